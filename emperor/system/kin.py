"""Who descends from whom, as the kernel has it: the children of this process, and what is known of each process.

It promises: nothing here waits, signals or reaps; what is gone meanwhile is left out. Of a process it opens
/proc/PID/stat and /proc/PID/status, which are the kernel's own.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional

_DEAD = frozenset(b"ZX")
_HAS_WAITID = hasattr(os, "waitid")
"""PyPy 3.9 has none."""


class Kin(NamedTuple):
    """One process, proc_pid_stat(5). ``dead``: it has ended and nobody has reaped it."""

    pid: int
    parent: int
    group: int
    session: int
    dead: bool


def parsed(stat: bytes) -> Optional[Kin]:
    """A line of /proc/PID/stat. The name in it is the process's own, and may hold anything, brackets too."""
    head, _, rest = stat.rpartition(b")")
    words = rest.split(maxsplit=4)
    try:
        pid = int(head.partition(b" ")[0])
        parent, group, session = (int(word) for word in words[1:4])
        return Kin(pid, parent, group, session, words[0][0] in _DEAD)
    except (ValueError, IndexError):
        return None


class Strangers(NamedTuple):
    """Children of ours that nobody looks after.

    ``strays`` have left the session of whoever we started; ``mourned`` have not, and are dead.
    """

    strays: list[Kin]
    mourned: list[Kin]


def strangers(found: Iterable[Kin], own_session: int, known: Collection[int]) -> Strangers:
    """``known``: pids. Whoever leads a session has given it its own number (setsid(2)).

    What is of our own session is never a stranger: whom we start to live by himself starts in a session of his own,
    and nobody who has left ours comes back.
    """
    others = [one for one in found if one.pid not in known and one.session != own_session]
    return Strangers(
        [one for one in others if one.session not in known],
        [one for one in others if one.session in known and one.dead],
    )


def look(pid: int) -> Optional[Kin]:
    """None: there is none, or no more."""
    return parsed(_read(f"/proc/{pid}/stat"))


def owner(pid: int) -> Optional[int]:
    """Its real uid, dead or alive. None: it is gone."""
    words = _line(pid, b"Uid:")
    return int(words[0]) if words else None


def ignores(pid: int, signum: int) -> bool:
    """Would this signal be lost on it? A handler is another matter."""
    words = _line(pid, b"SigIgn:")
    return bool(words) and bool(int(words[0], 16) >> (signum - 1) & 1)


def something_is_dead() -> bool:
    """Might there be a child to reap? Asked before the children are listed, for that costs much more."""
    if not _HAS_WAITID:
        return True
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def childless() -> bool:
    """Nobody, neither alive nor dead."""
    if not _HAS_WAITID:
        return not children()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def is_dead(pid: int) -> Optional[bool]:
    """A child of ours: has it ended, and is not reaped yet? None: it is none of ours."""
    if not _HAS_WAITID:
        one = look(pid)
        return one.dead if one is not None and one.parent == os.getpid() else None
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return None


def candidates() -> list[int]:
    """Who may be a child of this process; all children are among them. ``is_dead`` tells whether one is.

    The kernel lists them where it was built to (CONFIG_PROC_CHILDREN). Else it is to be asked of every process, which
    is a tenth of what reading their stat costs.
    """
    listed = _listed()
    return listed if listed is not None else _everybody()


def children() -> dict[int, bool]:
    """Of this process: pid → is it dead, not reaped?"""
    found = {pid: is_dead(pid) for pid in candidates()}
    return {pid: dead for pid, dead in found.items() if dead is not None}


def forked_by_threads() -> Optional[set[int]]:
    """Children that threads other than the first have forked, and that are theirs as long as those live.

    What a process adopts goes to its first thread, and so does what an ended thread has forked. None: this kernel does
    not tell.
    """
    first = str(os.getpid())
    pids: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):
            if task != first:
                pids.update(_of_task(task))
    except OSError:
        return None
    return pids


def descendants(pid: int) -> list[Kin]:
    """Those that live below it, parents first."""
    below: dict[int, list[Kin]] = {}
    for one in filter(None, map(look, _everybody())):
        below.setdefault(one.parent, []).append(one)
    found = list(below.get(pid, ()))
    for one in found:
        # It grows while it is walked: each is followed by those below it.
        found += below.get(one.pid, ())
    return [one for one in found if not one.dead]


def _listed() -> Optional[list[int]]:
    """Whoever forked it, thread by thread; None: this kernel does not tell."""
    pids: list[int] = []
    try:
        for task in os.listdir("/proc/self/task"):
            pids += _of_task(task)
    except OSError:
        return None
    return pids


def _of_task(task: str) -> list[int]:
    with open(f"/proc/self/task/{task}/children", "rb") as file:
        return [int(word) for word in file.read().split()]


def _everybody() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _line(pid: int, name: bytes) -> list[bytes]:
    """The words behind a name in /proc/PID/status, proc_pid_status(5)."""
    found = _read(f"/proc/{pid}/status").partition(b"\n" + name)[2]
    return found.partition(b"\n")[0].split()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
