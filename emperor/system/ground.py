"""Folders that are held while somebody looks around in them.

It promises, of near ones: nobody is waited for. Whether a filesystem may not answer is asked of what is held, and
everything after goes by the descriptor that was asked about: whoever renames folders, or puts links in their place, in
the meantime leads nobody elsewhere. No more than ``MOST_HELD`` are held, and none beyond ``close``.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from emperor.system import acl, trust
from emperor.system.mounts import Elsewhere, Mounts, Seen

MOST_HELD = 32
"""Folders; a look goes from one to those beside it."""

_HOLD = acl.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FAR = acl.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC


class Ground:
    """What is there at this moment; make a new one for each look. Once closed it holds each folder for one question.

    Not ``near``: it waits as long as it takes, and never raises Elsewhere.
    """

    def __init__(self, near: bool = True) -> None:
        self.near, self.mounts = near, Mounts()
        self._held: dict[str, int] = {}
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._let_go(0)

    def require(self, folder: str) -> None:
        """It is there. Raises OSError, Elsewhere."""
        with self._holding(folder):
            return

    def seen(self, path: str) -> Seen:
        """Of the name itself, no link is followed. Raises OSError; Elsewhere, if its folder is not near."""
        folder, name = os.path.split(path)
        with self._holding(folder) as held:
            return self.mounts.seen(held, name or ".")

    def mode_of(self, path: str) -> int:
        """Of what it leads to. Raises OSError, Elsewhere."""
        if not self.near:
            return os.stat(path or ".").st_mode
        seen = self.seen(path)
        if not self.mounts.is_near(seen.mount):
            raise Elsewhere(path, seen.mount)
        return trust.end_of(path).st_mode if stat.S_ISLNK(seen.mode) else seen.mode

    def open(self, folder: str) -> int:
        """A descriptor to read a folder by; the caller closes it. Raises OSError, Elsewhere."""
        with self._holding(folder) as held:
            return os.open(acl.by_descriptor(held), _READ)

    def owner(self, folder: str) -> int:
        """Raises OSError, Elsewhere."""
        with self._holding(folder) as held:
            return os.fstat(held).st_uid

    def allows(self, folder: str, mode: int) -> bool:
        """access(2). Raises OSError, Elsewhere."""
        with self._holding(folder) as held:
            return os.access(acl.by_descriptor(held), mode)

    @contextlib.contextmanager
    def _holding(self, folder: str) -> Iterator[int]:
        try:
            yield self._hold(folder)
        finally:
            self._let_go(0 if self._closed else MOST_HELD)

    def _hold(self, folder: str) -> int:
        held = self._held.pop(folder, -1)
        if held < 0:
            held = self._step(folder) if self.near else os.open(folder or ".", _FAR)
        # The last one is the last to be let go.
        self._held[folder] = held
        return held

    def _step(self, folder: str) -> int:
        """From the folder above, if that is all there is to it: whoever is beside it began there, too."""
        above, name = os.path.split(folder)
        if not folder.startswith("/") or name in ("", ".", "..") or "//" in folder:
            return _end_of(folder)
        held = os.open(name, _HOLD, dir_fd=self._hold(above))
        try:
            is_link = stat.S_ISLNK(self.mounts.require(held, folder).mode)
        except BaseException:
            os.close(held)
            raise
        if not is_link:
            return held
        os.close(held)
        return _end_of(folder)

    def _let_go(self, most: int) -> None:
        while len(self._held) > most:
            os.close(self._held.pop(next(iter(self._held))))


def _end_of(path: str) -> int:
    with trust.hold(path) as held:
        return os.dup(held.descriptor)
