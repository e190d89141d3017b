"""What a program inherits of its parent although it never asked for it, and how much it may hold open.

It promises: after ``shed_inheritance`` signals mean what signal(7) says, whoever started us.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterable

from emperor.errors import SpawnError

RESERVE = 32
ENOUGH = 8192
MOST = 65536


def shed_inheritance(held: Iterable[signal.Signals] = ()) -> None:
    """SIGCHLD at its default: ignored, the kernel reaps our children, and nobody knows how they ended (wait(2)).
    An empty signal mask: with TERM blocked nobody could stop us, or any vassal. Main thread only.

    ``held``: what the program that we replace holds back until we have handlers stays held back.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked & set(held))


def open_standard() -> None:
    """Descriptors 0, 1 and 2 lead somewhere: closed, the next file, or somebody's socket, would be standard error."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest one that is free (open(2)), and those below are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def keep_reserve(needed: int) -> None:
    """Before a program is started that takes so many descriptors of ours. SpawnError: too few would be left for the
    rest of an emperor's work, as reading inis and answering emperorctl, which must go on.
    """
    taken, most = descriptors()
    if taken + needed + reserve(most) > most:
        raise SpawnError(f"start: {taken} of {most} descriptors are in use -- {MEND}")


MEND = "raise LimitNOFILE= or ulimit -n"


def is_short(reason: str) -> bool:
    """Was there no room for a start, which says nothing against what was to start?"""
    return reason.startswith("start: ") and MEND in reason


def reserve(most: int) -> int:
    """How many of so many are kept free."""
    return min(RESERVE, most // 8)


def descriptors() -> tuple[int, int]:
    """How many this process has, and how many it may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = sys.maxsize if soft == resource.RLIM_INFINITY else soft
    try:
        # Linux 6.2 and newer count them for us; before, and with /proc at its strictest, they are listed, one of them
        # for the listing.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1, most
    except OSError:
        return (0 if most == sys.maxsize else most), most


def raise_nofile() -> tuple[int, int]:
    """How many descriptors this process may hold, soft and hard: raised if it is fewer than ``ENOUGH``.

    A vassal takes three or four of an emperor's descriptors and each socket one more, so 1024, the usual soft limit,
    is 200 vassals. Vassals inherit what is set here, and select(2) cannot watch a descriptor above 1023: therefore a
    limit that is enough is left alone, and the hard limit, which may be a thousand million, is not simply taken.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH:
        return soft, hard
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    # A seccomp filter may forbid it; then we live with what we have.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)
