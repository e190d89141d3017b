"""Closes descriptors that somebody else had in their hands, in a thread of its own.

The last close of a connected socket with SO_LINGER, or of a file on a hanging filesystem, waits: for as long as
whoever sent it likes. It must not be the loop that waits. Nor a program that is just being started, whose copy of the
descriptor may be the last one when it closes it: therefore a socket's lingering is switched off first, at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading

from emperor.system.threads import deaf_to_signals

_NO_LINGER = struct.pack("ii", 0, 0)
"""struct linger of socket(7)"""


MOST_THREADS = 16
"""Closes that may wait at the same time; one more waits for one of them."""


class Closer:
    """Threads start when no other is free, and keep nobody from exiting."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._threads = 0
        self._taken = self._closed = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Is everything closed that was taken over?"""
        with self._lock:
            return self._closed == self._taken

    def close(self, fd: int) -> None:
        """Take ``fd`` over."""
        _calm(fd)
        self._taken += 1
        if not self._free.acquire(blocking=False) and self._threads < MOST_THREADS:
            # No thread to be had (EAGAIN): it waits for one that there is, or for the next close.
            with contextlib.suppress(RuntimeError), deaf_to_signals():
                threading.Thread(target=self._work, name=f"closer-{self._threads + 1}", daemon=True).start()
                self._threads += 1
        self._queue.put(fd)

    def _work(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.close(self._queue.get())
            with self._lock:
                self._closed += 1
            self._free.release()


def _calm(fd: int) -> None:
    with contextlib.suppress(OSError):
        sock = socket.socket(fileno=fd)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        finally:
            sock.detach()
