"""The server of a worker: listening sockets, connections, threads, and the way out.

It promises: a connection leaves the backlog only when a thread is free to serve it; one that waits (for a
request, or between two) pins no thread; the thread that accepts is the thread that serves. ``drain`` stops
accepting at once and lets ``run`` return when the work is done or, where it is bounded, the time is over. The
listening sockets stay the caller's.

One thread at a time, the leader, waits in epoll. It takes one piece of work, hands the lead on and serves.
With one thread that is a plain loop of the main thread's. With more of them the main thread serves nobody: only it can
run the handlers of signals, and one that came just before it waited for the lead would not be heard.

What a lone thread has accepted waits for its present request, which may be long, while other workers idle. So it takes
nobody in whom it cannot serve at once: whom it has already come first, and a new one is given a moment to speak.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Optional

from emperor.serving.backlog import Backlog, Peer, kind_of
from emperor.serving.bell import Bell
from emperor.serving.service import Service
from emperor.serving.settings import Settings, Tally, report
from emperor.serving.waiting import Waiting, is_idle
from emperor.wsgi.gateway import Gateway, WSGIApplication

__all__ = ["Server", "Settings", "Tally"]

_SWEEP_SECONDS = 1.0
_GRACE_SECONDS = 0.1
_AT_ONCE = 64
_SPEAKS_SOON = 3
"""Milliseconds: a web server's request follows its connection within microseconds."""
_IN_VAIN = 8
"""So many of those a second: silent connections are not to cost a worker its time."""


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
        self._settings = settings
        services = []
        for listener, protocol in listeners:
            kind, line = kind_of(protocol)
            gateway = Gateway(application, line, sys.stderr, settings.threads > 1, settings.multiprocess)
            services.append((listener, kind, Service(gateway, settings, tally)))
        self._backlog = Backlog(services)
        self._pending: list[tuple[int, int]] = []
        self._lead = threading.Lock()
        self._full = False
        self._hurried = False
        self._sweep_at = 0.0
        self._drain_began: Optional[float] = None
        self._end: Optional[float] = None
        self._in_vain = 0
        self._passed_over = False
        self._keep_idle = True
        self._abandoned = False
        self._bell: Optional[Bell] = None
        self._main: Optional[Bell] = None
        self._disowned = False
        self._epoll = select.epoll()
        self._waiting = Waiting(self._epoll, settings.threads > 1)

    def run(self) -> None:
        """Serve until drained. Only the main thread may call it, once."""
        self._bell = Bell()
        self._epoll.register(self._bell.fd, select.EPOLLIN)
        self._listen(True)
        if self._settings.threads == 1:
            with self._bell.rung_by_signals():
                self._alone()
        else:
            self._together()
        self._close()

    def drain(self, keep_idle: bool = True, bounded: bool = True) -> None:
        """Stop accepting and let ``run`` return. A signal handler of the main thread may call it, repeatedly.

        ``keep_idle``: idle kept connections stay open for one more request each, as ``Settings`` says. Closing one as
        a request arrives makes nginx repeat a GET and fail a POST; without it they are closed now. ``bounded`` False:
        what is in flight has all the time it wants, until a call that is bounded.
        """
        now = time.monotonic()
        if bounded and self._end is None:
            self._end = now + self._settings.drain_seconds
        if self._drain_began is None:
            self._drain_began = now
        if not keep_idle:
            self._keep_idle = False
            self._sweep_at = 0.0
        self._wake_leader()
        main = self._main
        if main is not None:
            main.ring()

    def disown(self) -> None:
        """In a process that the app forked: what the app's view comes back to is not served by a second server."""
        self._disowned = True
        self._bell = self._main = None

    # --- what each thread does ---

    def _alone(self) -> None:
        """A lone thread hands no lead on, and hides no connection from others while it serves it."""
        peers = self._waiting.peers
        while self._drain_began is None or not self._is_done():
            self._wait()
            pending = self._pending if len(self._pending) == 1 else self._accepted_first()
            while pending:
                fd, _ = pending.pop()
                peer = peers.get(fd) or self._take(fd)
                if peer is None:
                    continue
                watched = self._advance(peer, 0)
                if watched is None:
                    # One that was never waited for, which is every uwsgi request's, is unknown.
                    peers.pop(fd, None)
                elif watched is not peer or peer.watcher is None:
                    self._watch_new(peer, watched)
                elif peer.deadline is not None:
                    self._hurried = True

    def _accepted_first(self) -> list[tuple[int, int]]:
        """``_pending``: nobody is accepted while somebody who was is heard. But listening sockets are not passed over
        twice in a row, and not in a drain: they are heard for the last time.
        """
        peers = self._waiting.peers
        accepted = [one for one in self._pending if one[0] in peers]
        if accepted and len(accepted) < len(self._pending) and self._drain_began is None:
            doors = [one for one in self._pending if one[0] not in peers]
            # Taken from the end. What is passed over is heard again (epoll(7), level-triggered).
            self._pending = doors + accepted if self._passed_over else accepted
            self._passed_over = not self._passed_over
        return self._pending

    def _watch_new(self, peer: Peer, watched: Optional[Peer]) -> None:
        """If its request was not there, or not the whole of it, it is given a moment before."""
        if watched is peer and not (self._pending or self._in_vain >= _IN_VAIN or is_idle(peer)):
            poll = select.poll()
            poll.register(peer.fd, select.POLLIN)
            if poll.poll(_SPEAKS_SOON):
                watched = self._advance(peer, 0)
            else:
                self._in_vain += 1
        if watched is not None:
            self._watch(watched)

    def _together(self) -> None:
        main, poll = Bell(), select.poll()
        poll.register(main.fd, select.POLLIN)
        self._main = main
        ended: list[int] = []
        threads = [
            threading.Thread(target=self._work, args=(number, ended, main), name=f"wsgi-{number}", daemon=True)
            for number in range(self._settings.threads)
        ]
        with main.rung_by_signals():
            for thread in threads:
                thread.start()
            while len(ended) < len(threads) and not self._abandoned:
                # A thread that is only about to find that all is done gets the time for it.
                patience = None if self._end is None else self._time_left() + _GRACE_SECONDS
                if poll.poll(None if patience is None else max(0.0, patience) * 1000):
                    main.hush()
                elif patience is not None:
                    self._abandoned = True
        self._main = None
        if not self._abandoned:
            for thread in threads:
                # They have nothing left to do but to ring.
                thread.join()
            main.close()

    def _work(self, thread: int, ended: list[int], main: Bell) -> None:
        try:
            self._serve_until_drained(thread)
        finally:
            ended.append(thread)
            main.ring()

    def _serve_until_drained(self, thread: int) -> None:
        while True:
            peer: Optional[Peer] = None
            with self._lead:
                if self._is_done():
                    break
                if not self._pending:
                    self._wait()
                if self._pending:
                    fd, _ = self._pending.pop()
                    # While it is served it may be closed, and its number given to another connection.
                    peer = self._waiting.peers.pop(fd, None) or self._take(fd)
            if peer is not None:
                watched = self._advance(peer, thread)
                if watched is not None:
                    self._watch(watched)
        # The next leader may be asleep, and it is its turn to find that all is done.
        self._wake_leader()

    def _advance(self, peer: Peer, thread: int) -> Optional[Peer]:
        try:
            return peer.advance(thread, self._drain_began is not None)
        except Exception as error:
            # A bug of ours: it costs this connection, not the worker.
            report(f"connection: {type(error).__name__}: {error} -- connection closed")
            with contextlib.suppress(OSError):
                peer.close()
            return None
        finally:
            if self._disowned:
                os._exit(0)

    def _watch(self, peer: Peer) -> None:
        if peer.deadline is not None:
            self._hurried = True
        self._waiting.watch(peer)
        if self._settings.threads > 1 and peer.deadline is not None:
            # The leader may be waiting without a deadline.
            self._wake_leader()

    # --- what only the leader does ---

    def _wait(self) -> None:
        """Until somebody has something to say, or a deadline is due: ``_pending`` is what was heard."""
        if not (self._hurried or self._full) and self._drain_began is None:
            self._pending = self._epoll.poll(-1, _AT_ONCE)
            return
        if self._drain_began is not None and self._backlog.open:
            # EPOLLEXCLUSIVE may have woken us alone: what we were woken for is ours, or nobody hears of it.
            self._pending += self._epoll.poll(0, _AT_ONCE)
            self._listen(False)
            # Perhaps that was all: waiting for what cannot come any more would cost every stop a second.
            return
        if self._full and len(self._waiting.peers) < self._settings.connections and self._drain_began is None:
            self._full = False
            self._listen(True)
        self._pending = self._epoll.poll(self._patience(), _AT_ONCE)
        if self._hurried or self._drain_began is not None:
            self._sweep_if_due()

    def _take(self, fd: int) -> Optional[Peer]:
        """Who came, if it is a listening socket that was heard."""
        try:
            peer = self._backlog.accept(fd)
        except KeyError:
            # Not one. Of a connection there may be a last word after it was closed.
            if self._bell is not None and fd == self._bell.fd:
                self._bell.hush()
            return None
        except OSError as error:
            report(f"accept: {error.strerror} -- no new connections for {_SWEEP_SECONDS:g} s")
            self._listen(False)
            return None
        if len(self._waiting.peers) + 1 >= self._settings.connections:
            self._full = not self._waiting.make_room({fd for fd, _ in self._pending})
            if self._full:
                self._listen(False)
        return peer

    def _listen(self, on: bool) -> None:
        self._backlog.watch(self._epoll, on)
        self._hurried = self._hurried or not on

    def _patience(self) -> float:
        """How long epoll may wait: for ever (negative) when no deadline is open."""
        if self._drain_began is not None:
            return max(0.0, min(_SWEEP_SECONDS, self._time_left()))
        return _SWEEP_SECONDS if self._hurried else -1.0

    def _sweep_if_due(self) -> None:
        """Close what is overdue. Once a second is often enough for deadlines of ten."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        self._in_vain = 0
        draining = self._drain_began is not None
        if not draining and (not self._full or self._waiting.idle()):
            self._full = False
            self._listen(True)
        patience = self._settings.patience_with_kept if self._keep_idle else 0.0
        idle_too = draining and now >= (self._drain_began or 0.0) + patience
        self._hurried = False
        if self._waiting.sweep(now, {fd for fd, _ in self._pending}, idle_too):
            self._hurried = True

    # --- the way out ---

    def _is_done(self) -> bool:
        if self._drain_began is None:
            return False
        if self._time_left() <= 0:
            return True
        return not (self._waiting.peers or self._pending or self._backlog.open)

    def _time_left(self) -> float:
        end = self._end
        return math.inf if end is None else end - time.monotonic()

    def _wake_leader(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    def _close(self) -> None:
        if self._abandoned:
            return
        bell, self._bell = self._bell, None
        self._waiting.close()
        self._epoll.close()
        if bell is not None:
            bell.close()
