"""The last words of a worker that is to be killed: where each of its threads is, on its standard error.

It promises: the stacks are written whatever the app does, be it in C and with the interpreter's lock held, and its end
says that they are complete. An app that blocks the signal, or gives it another meaning, is ended without.

Source: faulthandler.register with ``chain``: the handler is C, and hands the signal on to what it meant before, which
is for a real-time signal the end of the process (signal(7)). CPython 3.9 to 3.14 and PyPy 3.9 have it.
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import faulthandler
import signal

from emperor.system import forks

STACKS = signal.SIGRTMAX - 3
"""The C library keeps the first real-time signals for itself, valgrind the last one."""

PATIENCE = 1.0
"""Seconds for what is written within milliseconds, if anybody reads."""


def install() -> None:
    """In a worker: from now on ``ask`` of its vassal's is answered. Main thread only.

    What the app forks inherits it, but nobody asks that. A program that it starts does not (execve(2)).
    """
    # Its default is what ends us, whatever the app made of it while it was imported.
    signal.signal(STACKS, signal.SIG_DFL)
    faulthandler.register(STACKS, file=2, all_threads=True, chain=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [STACKS])


def ask(pid: int) -> None:
    """Of a worker of ours: it writes them, and ends. Whether it has is for ``wait`` to say: kill it after a while."""
    forks.send(pid, STACKS)
