"""What an ini may look at beside itself: files and folders that only an administrator can write, or nothing at all.

It promises: nothing is opened, and nothing looked for, below a folder that somebody else can write; what was judged is
what is read. The reasons name paths, never what stands in a file.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from emperor.config.language import inifile
from emperor.config.language.logic import Refused
from emperor.errors import EmperorError
from emperor.intake.marks import as_read
from emperor.model import ADMIN
from emperor.supervision.quiet import Signature
from emperor.system import trust

MOST_FOUND = 1000
"""Names that one pattern may find."""


class AdministratorsFiles:
    """``logic.Files`` for lines that root, or the emperor's own user, wrote.

    ``near``: nobody must be waited for, and each of them may raise Elsewhere. ``marks``: what was read, and what was
    missed in a folder of ours, with the signatures that they had then.
    """

    def __init__(self, euid: int, near: bool = False) -> None:
        self._euid, self._near = euid, near
        self.marks: dict[str, Signature] = {}

    def read(self, path: str) -> str:
        try:
            opened = trust.read_ini(path, self._euid, self._near)
        except EmperorError as error:
            self._miss(path)
            raise Refused(str(error)) from None
        if opened.authority.kind != ADMIN:
            self._miss(path)
            raise Refused(f"{path}: somebody else can write it -- not read")
        self.marks[path] = as_read(opened)
        text = inifile.decode(opened.text, path)
        if not isinstance(text, str):
            raise Refused(str(text))
        return text

    def _miss(self, path: str) -> None:
        """Once it is there, or another, it is news; where somebody else can write, nobody looks."""
        if trust.only_ours(os.path.dirname(path), self._euid, self._near):
            self.marks[path] = None

    def exists(self, path: str) -> bool:
        return self._look(path, lambda mode: True)

    def is_file(self, path: str) -> bool:
        return self._look(path, stat.S_ISREG)

    def is_dir(self, path: str) -> bool:
        return self._look(path, stat.S_ISDIR)

    def glob(self, pattern: str) -> Sequence[str]:
        """Folders end with a slash, as glob(3) marks them for uWSGI."""
        folder, last = os.path.split(pattern)
        if glob.has_magic(folder):
            raise Refused("has a wildcard in a folder's name -- only the last part of a pattern may have one")
        if not self._stands(pattern) or not self._is_folder(folder):
            return ()
        found = sorted(glob.glob(os.path.join(glob.escape(folder), last)))
        if len(found) > MOST_FOUND:
            raise Refused(f"finds more than {MOST_FOUND} names")
        return [f"{one}/" if self._is_folder(one) else one for one in found]

    def _is_folder(self, path: str) -> bool:
        mode = self._mode(path)
        return mode is not None and stat.S_ISDIR(mode)

    def _mode(self, path: str) -> int | None:
        """Of what it leads to, a link of root's to anywhere; None: nothing, as far as can be told."""
        try:
            return (trust.end_of(path) if self._near else os.stat(path or ".")).st_mode
        except (OSError, ValueError):
            return None

    def _look(self, path: str, test: Callable[[int], bool]) -> bool:
        if not self._stands(path):
            return False
        mode = self._mode(path)
        return mode is not None and test(mode)

    def _stands(self, path: str) -> bool:
        """Is its folder there, and ours? Step by step from the root: not even the name of what lies in somebody else's
        folder is asked for."""
        if self._near:
            # A link of root's may lead anywhere.
            with contextlib.suppress(OSError):
                trust.end_of(path)
        *folders, last = reversed(PurePosixPath(path).parents)
        for folder in folders:
            if not self._sticky(str(folder)):
                self._insist(str(folder))
        return not self._insist(str(last)).missing

    def _insist(self, folder: str) -> trust.Standing:
        standing = trust.only_ours(folder, self._euid, self._near)
        if not standing:
            raise Refused(
                f"{folder}: somebody else than root can write it, and the emperor does not look there -- write out the "
                "lines that are meant, or name a path of root's"
            )
        return standing

    def _sticky(self, folder: str) -> bool:
        """Like /tmp: what root has put there is root's, as the next step shows."""
        try:
            there = trust.entry_of(folder) if self._near else os.lstat(folder)
        except OSError:
            return False
        return bool(there.st_mode & stat.S_ISVTX) and there.st_uid in (0, self._euid)


class NoFiles:
    """``logic.Files`` for an ini that somebody else than an administrator can write."""

    def read(self, path: str) -> str:
        raise Refused("only an ini that root alone can write may have other files read -- write their lines here")

    def exists(self, path: str) -> bool:
        raise Refused("only an ini that root alone can write may ask what there is -- write the lines out")

    is_file = exists
    is_dir = exists

    def glob(self, pattern: str) -> Sequence[str]:
        raise Refused("only an ini that root alone can write may ask what there is -- write the lines out")
