"""A log that has grown large becomes FILE.1, its older ones FILE.2 and so on, and makes room for a new one.

It promises: nothing but a rename, which follows no link at the end of a path and loses no line; only the file that is
written to is moved, never one that somebody else has put in its place meanwhile; the files are moved once, however many
processes of ours append to it. Where a rename fails, all stays as it was.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import Callable


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Rotation:
    """``most``: bytes that the file may have. ``keep``: how many older ones stay, at least 1.

    ``permitted``: may we rename in its folder, asked each time. ``shared``: other processes append to it as well, the
    older generation of a vassal that reloads; then the file itself is the lock (flock(2)). Whoever may read it can hold
    that lock; ours is held for microseconds.
    """

    path: str
    most: int
    keep: int
    permitted: Callable[[], bool] = _always
    shared: bool = False

    def due(self, fd: int, more: int) -> bool:
        """Would the file be too large with ``more`` bytes? A single line may be. Only a file that has a size is."""
        there = os.fstat(fd)
        return stat.S_ISREG(there.st_mode) and there.st_size > 0 and there.st_size + more > self.most

    def turn(self, fd: int, patient: bool = True) -> bool:
        """Move the file of ``fd`` away. True: its path is to be opened anew; False: somebody else is just at it.

        Raises OSError: it cannot be moved, or must not be. Not ``patient``: whoever holds the lock has held it for
        longer than any of us would.
        """
        if not self.permitted():
            raise PermissionError(13, "its folder is not root's alone")
        if not self.shared:
            self._move(fd)
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if patient:
                return False
            self._move(fd)
            return True
        try:
            self._move(fd)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        return True

    def _move(self, fd: int) -> None:
        if not self._is_named(fd):
            # logrotate was here, or another process of ours.
            return
        for number in range(self.keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        os.rename(self.path, f"{self.path}.1")

    def _is_named(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False


def make_alike(fd: int, old: os.stat_result) -> None:
    """A new log gets the mode of the one before, and its owner and group where we may give them."""
    there = os.fstat(fd)
    if there.st_size:
        return
    if (there.st_uid, there.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(fd, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o666)


def is_removed(fd: int) -> bool:
    """A file without a name: what is written to it is never seen."""
    with contextlib.suppress(OSError):
        there = os.fstat(fd)
        return stat.S_ISREG(there.st_mode) and there.st_nlink == 0
    return False
