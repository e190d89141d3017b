"""Closes what somebody else had in his hands, in threads of its own.

The last close of a connected socket with SO_LINGER, or of a file on a hanging filesystem, waits: for as long as
whoever sent it likes. It must not be the loop that waits. Nor a program that is just being started, which closes its
copies of all that we have open: therefore a socket's lingering is switched off first, at once, and what is no socket
has been taken over by its thread, and so is in no copy, before ``close`` returns.

It promises: whose it was waits for himself alone. Each owner has one thread, and no more than that one; nobody's close
stands behind another's. What an owner's thread hangs in is counted (``Share``), so that no more is taken from him.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from emperor.system.threads import deaf_to_signals

_NO_LINGER = struct.pack("ii", 0, 0)
"""struct linger of socket(7)"""

NOBODY = -1
"""The owner of what the emperor has let go of itself: sockets, whose closes seldom wait."""
MOST_THREADS = 16
"""Closes of nobody's that may wait at the same time; one more waits for one of them."""

MOST_QUEUED = 1000
"""More than a socket's default send buffer holds of the smallest datagrams: each costs its bookkeeping too."""
MOUTHFUL = 65536
"""Of a stream: the end of what descriptors came with is an end of what is read at a time."""
AT_HAND = 0.05
"""Seconds to wait at most for a thread that was just started."""


@dataclass
class _Owner:
    """``since``: when the close began that his thread is at, monotonic seconds. ``alien``: of those that are not over
    yet, how many came from him and are no sockets."""

    waiting: deque[Callable[[], None]] = field(default_factory=deque)
    threads: int = 0
    owed: int = 0
    alien: int = 0
    since: float = 0.0


class Closer:
    """Threads end when nothing is to be closed, and keep nobody from exiting."""

    def __init__(self) -> None:
        self._owners: dict[int, _Owner] = {}
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Is everything closed that was taken over?"""
        with self._lock:
            return not self._owners

    def share(self, owner: int) -> Share:
        """``owner``: a uid. It is the same for all of his vassals: a new name is no new share."""
        return Share(self, owner)

    def close(self, fd: int, owner: int = NOBODY) -> None:
        """Take ``fd`` over."""
        alien = not calm(fd)
        begun = threading.Event()
        self._take_over(owner, partial(_close, begun, fd), alien)
        if alien:
            begun.wait(AT_HAND)

    def end(self, channel: socket.socket, owner: int) -> None:
        """Take a channel over with all that is still in it."""
        self._take_over(owner, partial(_end, channel.detach()), False)

    def owed(self, owner: int) -> tuple[int, int, float]:
        """How many are not closed yet, how many of them are no sockets, and for how long the first of them hangs."""
        with self._lock:
            one = self._owners.get(owner)
            return (one.owed, one.alien, time.monotonic() - one.since) if one is not None else (0, 0, 0.0)

    def _take_over(self, owner: int, act: Callable[[], None], alien: bool) -> None:
        with self._lock:
            one = self._owners.setdefault(owner, _Owner(since=time.monotonic()))
            one.owed += 1
            one.alien += alien
            one.waiting.append(partial(self._over, one, alien, act))
            short = [(who, each) for who, each in self._owners.items() if each.waiting and each.threads < _most(who)]
            for _, each in short:
                each.threads += 1
        for who, each in short:
            try:
                with deaf_to_signals():
                    threading.Thread(target=self._work, args=(who, each), name=f"closer-{who}", daemon=True).start()
            except RuntimeError:
                # No thread to be had (EAGAIN): it waits for one that there is, or for the next close.
                with self._lock:
                    each.threads -= 1

    def _over(self, one: _Owner, alien: bool, act: Callable[[], None]) -> None:
        one.since = time.monotonic()
        with contextlib.suppress(OSError):
            act()
        with self._lock:
            one.owed -= 1
            one.alien -= alien

    def _work(self, owner: int, one: _Owner) -> None:
        while True:
            with self._lock:
                if not one.waiting:
                    one.threads -= 1
                    if not one.threads:
                        del self._owners[owner]
                    return
                act = one.waiting.popleft()
            act()


@dataclass(frozen=True)
class Share:
    """What one owner owes: descriptors of his that are not closed yet."""

    closer: Closer
    owner: int

    MOST = 8
    PATIENCE = 5.0
    """Seconds: a hundred channels that end at once are no sign of anything."""

    @property
    def hangs(self) -> bool:
        """Is one of those that he sent, and that are no sockets, not closed yet?"""
        return self.closer.owed(self.owner)[1] > 0

    @property
    def spent(self) -> bool:
        """Is there so much that nothing more must be begun with him?"""
        owed, _, hung = self.closer.owed(self.owner)
        return owed >= self.MOST and hung > self.PATIENCE

    def close(self, fd: int) -> None:
        self.closer.close(fd, self.owner)

    def end(self, channel: socket.socket) -> None:
        self.closer.end(channel, self.owner)


def is_socket(fd: int) -> bool:
    """Asked of the kernel alone: fstat(2) would ask the file's filesystem, which may not answer."""
    try:
        socket.socket(fileno=fd).detach()
    except OSError:
        return False
    return True


def calm(fd: int) -> bool:
    """Its close waits for nobody's bytes any more; False: it is no socket."""
    if not is_socket(fd):
        return False
    with contextlib.suppress(OSError):
        sock = socket.socket(fileno=fd)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        finally:
            sock.detach()
    return True


def _most(owner: int) -> int:
    return MOST_THREADS if owner == NOBODY else 1


def _close(begun: threading.Event, fd: int) -> None:
    # Whoever waits for this needs the interpreter, which is free once close(2) has begun.
    begun.set()
    os.close(fd)


def _end(fd: int) -> None:
    """Descriptors that are in it are let go of without being taken, which calls for nothing from their filesystems.

    First they, then the channel: the last close of that may be a program's that is just being started.
    """
    with socket.socket(fileno=fd) as channel:
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)
        for _ in range(MOST_QUEUED):
            # An empty message looks like the end, so the end is not looked for.
            channel.recvmsg(MOUTHFUL)
