"""FastCGI through flup 1.0.3, for those who ask for it by name (``fastcgi-engine = flup``).

It promises: our listening sockets, our drain, our tally, and no more requests in the app at once than
``threads``. flup reads and writes the records and keeps the connections; what it takes for WSGI (its handler, its
streams, its reading of parameters record by record) is replaced by our own, so that an app sees no difference. What
stays flup's: a kept connection pins a thread, a record costs three system calls, no descriptor beyond 1023.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import socket
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Optional

from emperor.errors import EmperorError
from emperor.serving.flup_request import LINE, PIECE, connection_class, request_class
from emperor.serving.settings import Settings, Tally, report
from emperor.wsgi.gateway import Gateway, WSGIApplication

__all__ = ["Server"]

_SPARE = 16
"""Threads beyond ``threads``: each may be pinned by an idle connection that the web server keeps."""

_SLICE = 0.5
"""Seconds between two looks at the end of a drain."""


class Server:
    """The same face as ``emperor.serving.native.Server``; FastCGI only."""

    def __init__(
        self,
        listeners: Sequence[tuple[socket.socket, str]],
        application: WSGIApplication,
        settings: Settings,
        tally: Tally,
    ) -> None:
        """Raises ``EmperorError`` for another protocol, and where flup cannot be imported."""
        for _, protocol in listeners:
            if protocol != "fastcgi":
                raise EmperorError(f"server: protocol {protocol}: fastcgi-engine = flup speaks FastCGI alone")
        self._listeners = [listener for listener, _ in listeners]
        self._settings = settings
        self._turns = _Turns(settings.threads, tally)
        self._connection = _connections(application, settings, self._turns, self)
        self._accepting = threading.Lock()
        self._drain_began: Optional[float] = None
        self._end: Optional[float] = None
        self._keep_idle = True
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def draining(self) -> bool:
        return self._drain_began is not None

    @property
    def patience_is_over(self) -> bool:
        """Is it time to close connections that are kept and idle?"""
        began = self._drain_began
        patience = self._settings.patience_with_kept if self._keep_idle else 0.0
        return began is not None and time.monotonic() >= began + patience

    def run(self) -> None:
        """Serve until drained. Only the main thread may call it, once."""
        threads = [
            threading.Thread(target=self._work, name=f"flup-{number}", daemon=True)
            for number in range(self._settings.threads + _SPARE)
        ]
        for thread in threads:
            thread.start()
        while not self.draining:
            select.select([self._wake_read], [], [])
        for thread in threads:
            # Looked at again and again: a drain without an end may be given one.
            while thread.is_alive() and (self._end is None or time.monotonic() < self._end):
                thread.join(_SLICE if self._end is None else max(0.0, min(_SLICE, self._end - time.monotonic())))
        if not any(thread.is_alive() for thread in threads):
            # A signal may call drain between any two of these lines.
            ends = self._wake_read, self._wake_write
            self._wake_write = -1
            for fd in ends:
                os.close(fd)

    def drain(self, keep_idle: bool = True, bounded: bool = True) -> None:
        """As the native server's."""
        now = time.monotonic()
        if bounded and self._end is None:
            self._end = now + self._settings.drain_seconds
        if self._drain_began is None:
            self._drain_began = now
        self._keep_idle = self._keep_idle and keep_idle
        wake = self._wake_write
        if wake >= 0:
            # BrokenPipeError: run() is just closing it, so nobody sleeps any more.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(wake, b"\0")

    def _work(self) -> None:
        last = False
        while not last:
            # One more each after the drain has begun: who waits already is not left behind, and load cannot hold us.
            last = self.draining
            accepted = self._accept()
            if accepted is None:
                continue
            with accepted:
                try:
                    self._connection(accepted).run()
                except Exception as error:
                    report(f"flup: {type(error).__name__}: {error} -- connection closed")

    def _accept(self) -> Optional[socket.socket]:
        """One thread waits at a time. The byte in the pipe stays there: it is news for each of them."""
        with self._accepting:
            known = {listener.fileno(): listener for listener in self._listeners}
            ready, _, _ = select.select([self._wake_read, *known], [], [], 0 if self.draining else None)
            for fd in ready:
                # Another process may have been faster: the socket is not blocking.
                with contextlib.suppress(OSError):
                    if fd in known:
                        return known[fd].accept()[0]
            return None


class _Turns:
    """Lets so many requests into the app at once; each holds a number for the tally meanwhile."""

    def __init__(self, threads: int, tally: Tally) -> None:
        self._gate = threading.BoundedSemaphore(threads)
        self._free = list(range(threads))
        self._tally = tally

    def enter(self, request: str) -> int:
        self._gate.acquire()
        number = self._free.pop()
        self._tally.begin(number, request)
        return number

    def leave(self, number: int, failed: bool) -> None:
        self._tally.end(number, failed)
        self._free.append(number)
        self._gate.release()


def _import_flup() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("flup.server.fcgi_base")
    except ImportError as error:
        raise EmperorError(
            f"fastcgi-engine = flup: flup cannot be imported: {error} -- install flup==1.0.3 into the app's"
            " environment, or use fastcgi-engine = native"
        ) from None


def _connections(application: WSGIApplication, settings: Settings, turns: _Turns, server: Server) -> Any:
    """What makes a connection of an accepted socket. flup's classes are known only now, so its subclasses are made
    here.
    """
    flup: Any = _import_flup()
    gateway = Gateway(application, LINE, sys.stderr, settings.threads > 1, settings.multiprocess)
    if settings.recorder is not None:
        gateway = settings.recorder(gateway, LINE)
    # Any address but None, which would mean descriptor 0.
    engine = flup.BaseFCGIServer(application, bindAddress="inherited")
    engine.request_class = request_class(flup, gateway, settings, turns)
    engine.maxwrite = PIECE + 8
    # flup looks the names up as bytes, but has them as text: it would answer FCGI_GET_VALUES with nothing.
    engine.capability = {b"FCGI_MAX_CONNS": settings.threads, b"FCGI_MAX_REQS": settings.threads, b"FCGI_MPXS_CONNS": 0}
    connection = connection_class(flup, server, settings)
    return lambda accepted: connection(accepted, "", engine, None)
