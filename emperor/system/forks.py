"""Children that are forks of this very program: forked, waited for, signalled, measured.

It promises: another thread of this process may wait for any child (waitpid(2) with -1), and nothing here fails or
meets a stranger by it.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Collection
from typing import NamedTuple, Optional


def fork(held: Collection[int]) -> int:
    """Fork with these signals held back: the fork would take one with its parent's handlers, and lose it.

    In the child they still are. Raises OSError.
    """
    pid = -1
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        with warnings.catch_warnings():
            # Python 3.12 and later warn of threads (of the app, or ours); as an error, it would cost us the number.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
    return pid


def wait(pid: int) -> tuple[int, Optional[int]]:
    """As waitpid(2) with WNOHANG; without a status if somebody else of this process has been told (ECHILD)."""
    try:
        return os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return pid, None


def send(pid: int, signum: int) -> None:
    """Its number is our child's until somebody reaps it; then it may be anybody's, who hears nothing."""
    if _is_our_child(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


class Usage(NamedTuple):
    """What a process takes up: bytes of address space, and of them resident; seconds of processor time."""

    vsz: int = 0
    rss: int = 0
    cpu: float = 0.0


def usage(pid: int) -> Usage:
    """proc_pid_stat(5); nothing if it is gone."""
    if not pid:
        return Usage()
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name, which may hold anything, state is field 3.
            fields = file.read().rpartition(b")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Usage(int(fields[20]), int(fields[21]) * _page(), ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, IndexError, ValueError):
        return Usage()


def memory(pid: int) -> tuple[int, int]:
    """Bytes of address space, and of them resident, proc_pid_statm(5); 0 if it is gone."""
    if not pid:
        return 0, 0
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            size, resident = file.read().split()[:2]
        return int(size) * _page(), int(resident) * _page()
    except (OSError, ValueError):
        return 0, 0


def _page() -> int:
    return os.sysconf("SC_PAGE_SIZE")


def _is_our_child(pid: int) -> bool:
    """Dead or alive, proc_pid_stat(5); PyPy 3.9 has no waitid(2)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except (OSError, IndexError, ValueError):
        return False
