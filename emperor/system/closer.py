"""Closes descriptors that somebody else had in their hands, in a thread of its own.

The last close of a connected socket with SO_LINGER, or of a file on a hanging filesystem, waits: for as long as whoever
sent it likes. It must not be the loop that waits.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading


class Closer:
    """The thread starts with the first descriptor, and keeps nobody from exiting."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def close(self, fd: int) -> None:
        """Take ``fd`` over."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="closer", daemon=True)
            self._thread.start()
        self._queue.put(fd)

    def _work(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.close(self._queue.get())
