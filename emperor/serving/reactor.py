"""What the threads of a server share: the epoll that one of them at a time waits in, the leader, and the way out.

It promises: a connection leaves the backlog only when a thread is free to serve it; one that waits (for a request, or
between two) pins no thread; none is waited for beyond its deadline. How the threads take turns is ``lone_thread``'s
and ``thread_pool``'s.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import time
from typing import Optional

from emperor.serving.backlog import Backlog, Peer
from emperor.serving.bell import Bell
from emperor.serving.settings import Settings, report
from emperor.serving.waiting import Waiting

__all__ = ["Reactor"]

_SWEEP_SECONDS = 1.0
_AT_ONCE = 64


class Reactor:
    """``pending``: what was heard and nobody has taken yet, (descriptor, events). Only the leader touches it.

    ``hurried``: a deadline is open. ``drain_began``: monotonic seconds; None: we serve. ``in_vain``, ``passed_over``: a
    lone thread's; the first is forgotten every second.
    """

    def __init__(self, backlog: Backlog, settings: Settings) -> None:
        self._settings = settings
        self._backlog = backlog
        self.pending: list[tuple[int, int]] = []
        self._full = False
        self.hurried = False
        self._sweep_at = 0.0
        self.drain_began: Optional[float] = None
        self._end: Optional[float] = None
        self.in_vain = 0
        self.passed_over = False
        self._keep_idle = True
        self._bell: Optional[Bell] = None
        self._disowned = False
        self._epoll = select.epoll()
        self.waiting = Waiting(self._epoll, settings.threads > 1)

    def open(self) -> Bell:
        """From now on connections are heard. What it returns wakes the leader."""
        bell = self._bell = Bell()
        self._epoll.register(bell.fd, select.EPOLLIN)
        self._listen(True)
        return bell

    # --- what each thread does ---

    def advance(self, peer: Peer, thread: int) -> Optional[Peer]:
        """Serve it. What is returned is to be watched; None: it is closed."""
        try:
            return peer.advance(thread, self.drain_began is not None)
        except Exception as error:
            # A bug of ours: it costs this connection, not the worker.
            report(f"connection: {type(error).__name__}: {error} -- connection closed")
            with contextlib.suppress(OSError):
                peer.close()
            return None
        finally:
            if self._disowned:
                os._exit(0)

    def watch(self, peer: Peer) -> None:
        if peer.deadline is not None:
            self.hurried = True
        self.waiting.watch(peer)
        if self._settings.threads > 1 and peer.deadline is not None:
            # The leader may be waiting without a deadline.
            self.wake_leader()

    def wake_leader(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.ring()

    # --- what only the leader does ---

    def wait(self) -> None:
        """Until somebody has something to say, or a deadline is due: ``pending`` is what was heard."""
        if not (self.hurried or self._full) and self.drain_began is None:
            self.pending = self._epoll.poll(-1, _AT_ONCE)
            return
        if self.drain_began is not None and self._backlog.open:
            # EPOLLEXCLUSIVE may have woken us alone: what we were woken for is ours, or nobody hears of it.
            self.pending += self._epoll.poll(0, _AT_ONCE)
            self._listen(False)
            # Perhaps that was all: waiting for what cannot come any more would cost every stop a second.
            return
        if self._full and len(self.waiting.peers) < self._settings.connections and self.drain_began is None:
            self._full = False
            self._listen(True)
        self.pending = self._epoll.poll(self._patience(), _AT_ONCE)
        if self.hurried or self.drain_began is not None:
            self._sweep_if_due()

    def take(self, fd: int) -> Optional[Peer]:
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
        if len(self.waiting.peers) + 1 >= self._settings.connections:
            self._full = not self.waiting.make_room({fd for fd, _ in self.pending})
            if self._full:
                self._listen(False)
        return peer

    def _listen(self, on: bool) -> None:
        self._backlog.watch(self._epoll, on)
        self.hurried = self.hurried or not on

    def _patience(self) -> float:
        """How long epoll may wait: for ever (negative) when no deadline is open."""
        if self.drain_began is not None:
            return max(0.0, min(_SWEEP_SECONDS, self.time_left()))
        return _SWEEP_SECONDS if self.hurried else -1.0

    def _sweep_if_due(self) -> None:
        """Close what is overdue. Once a second is often enough for deadlines of ten."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        self.in_vain = 0
        draining = self.drain_began is not None
        if not draining and (not self._full or self.waiting.idle()):
            self._full = False
            self._listen(True)
        patience = self._settings.patience_with_kept if self._keep_idle else 0.0
        idle_too = draining and now >= (self.drain_began or 0.0) + patience
        self.hurried = False
        if self.waiting.sweep(now, {fd for fd, _ in self.pending}, idle_too):
            self.hurried = True

    # --- the way out ---

    def drain(self, keep_idle: bool, bounded: bool) -> None:
        """As ``native.Server.drain``; from a signal handler, too."""
        now = time.monotonic()
        if bounded and self._end is None:
            self._end = now + self._settings.drain_seconds
        if self.drain_began is None:
            self.drain_began = now
        if not keep_idle:
            self._keep_idle = False
            self._sweep_at = 0.0
        self.wake_leader()

    def disown(self) -> None:
        """This is a process that the app forked: it ends where the app's view comes back."""
        self._disowned = True
        self._bell = None

    def is_done(self) -> bool:
        if self.drain_began is None:
            return False
        if self.time_left() <= 0:
            return True
        return not (self.waiting.peers or self.pending or self._backlog.open)

    @property
    def bounded(self) -> bool:
        """Has the drain an end?"""
        return self._end is not None

    def time_left(self) -> float:
        """Seconds until what is in flight is abandoned; may be negative, or infinite."""
        end = self._end
        return math.inf if end is None else end - time.monotonic()

    def close(self) -> None:
        bell, self._bell = self._bell, None
        self.waiting.close()
        self._epoll.close()
        if bell is not None:
            bell.close()
