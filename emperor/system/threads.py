"""Threads that hear no signal.

A signal to a process goes to any of its threads that does not block it (signal(7)). One that a helping thread takes
just before the process becomes another program would be lost with that thread; so they all go to the main thread.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Threads and programs that are started within block every signal for good; who starts them, for that moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
