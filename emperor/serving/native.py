"""The server of a worker: listening sockets, connections, threads, and the way out.

``drain`` stops accepting at once and lets ``run`` return when the work is done or, where it is bounded, the time is
over. The listening sockets stay the caller's. What is heard and who is waited for is ``reactor``'s; the thread that
accepts is the thread that serves, be it ``lone_thread`` or one of ``thread_pool``.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from emperor.serving import lone_thread
from emperor.serving.backlog import Backlog, kind_of
from emperor.serving.reactor import Reactor
from emperor.serving.service import Service
from emperor.serving.settings import Settings, Tally
from emperor.serving.thread_pool import ThreadPool
from emperor.wsgi.gateway import Gateway, WSGIApplication

__all__ = ["Server", "Settings", "Tally"]


class Server:
    """``listeners``: non-blocking, perhaps shared with other processes; each with its protocol."""

    def __init__(
        self,
        listeners: Sequence[tuple[socket.socket, str]],
        application: WSGIApplication,
        settings: Settings,
        tally: Tally,
    ) -> None:
        """Raises ``EmperorError`` for a protocol that is not ours."""
        services = []
        for listener, protocol in listeners:
            kind, line = kind_of(protocol)
            gateway = Gateway(application, line, sys.stderr, settings.threads > 1, settings.multiprocess)
            if settings.recorder is not None:
                gateway = settings.recorder(gateway, line)
            services.append((listener, kind, Service(gateway, settings, tally)))
        self._reactor = Reactor(Backlog(services), settings)
        self._pool = ThreadPool(self._reactor, settings.threads) if settings.threads > 1 else None

    def run(self) -> None:
        """Serve until drained. Only the main thread may call it, once."""
        bell = self._reactor.open()
        if self._pool is None:
            with bell.rung_by_signals():
                lone_thread.serve(self._reactor)
        elif not self._pool.serve():
            return
        self._reactor.close()

    def drain(self, keep_idle: bool = True, bounded: bool = True) -> None:
        """Stop accepting and let ``run`` return. A signal handler of the main thread may call it, repeatedly.

        ``keep_idle``: idle kept connections stay open for one more request each, as ``Settings`` says. Closing one as
        a request arrives makes nginx repeat a GET and fail a POST; without it they are closed now. ``bounded`` False:
        what is in flight has all the time it wants, until a call that is bounded.
        """
        self._reactor.drain(keep_idle, bounded)
        if self._pool is not None:
            self._pool.wake_main()

    def disown(self) -> None:
        """In a process that the app forked: what the app's view comes back to is not served by a second server."""
        self._reactor.disown()
        if self._pool is not None:
            self._pool.disown()
