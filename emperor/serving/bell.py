"""What wakes a thread that waits for descriptors: a pipe of a thread's own, which anybody may ring."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

__all__ = ["Bell"]


class Bell:
    """``fd`` is readable once it was rung, until ``hush``."""

    __slots__ = ("_write", "fd")

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ring(self) -> None:
        """From any thread, and from a signal's handler. Of a full pipe nobody is unaware."""
        # Once: another thread may be closing it.
        fd = self._write
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.write(fd, b"\0")

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)

    def close(self) -> None:
        ends = self.fd, self._write
        self.fd = self._write = -1
        for fd in ends:
            os.close(fd)

    @contextlib.contextmanager
    def rung_by_signals(self) -> Iterator[None]:
        """A signal between Python's last look and the wait for events is heard at once: its handler runs only when that
        wait is over (signal(7); ``signal.set_wakeup_fd``). Of the main thread's bell only: no other runs handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
