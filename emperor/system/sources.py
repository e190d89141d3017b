"""The files that an app was made of: which they are, and what they look like now.

It promises: what it is asked for it answers as far as it can be seen; nothing raises for a file that is not there. It
enters no folder twice, follows no link to a folder, and its walk ends after so many folders, files and seconds.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections import deque
from collections.abc import Collection, Iterable
from types import ModuleType
from typing import NamedTuple, Optional

from emperor.supervision.modified import Place

MOST_FOLDERS, MOST_FILES, MOST_SECONDS = 2000, 5000, 1.0
"""Where a walk ends."""

MOST_BYTES = 1 << 20

PASSED_OVER = frozenset(("site-packages", "dist-packages", "node_modules", "__pycache__"))

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_PYTHONS = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


class Mark(NamedTuple):
    """Size in bytes, time in nanoseconds: what Python itself judges a module's cache by.

    The inode is left out: some file systems (FUSE, folders shared with a virtual machine) give another one each time.
    """

    size: int
    mtime: int


def mark(path: str) -> Optional[Mark]:
    """Of the file that its links lead to; None: there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Mark(found.st_size, found.st_mtime_ns)


def place(path: str) -> Optional[Place]:
    """The same for what ``touch-reload`` names: here, another file of the same look is another file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Place(os.path.realpath(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def content(path: str) -> Optional[int]:
    """What is in it, in short; None: it cannot be read."""
    try:
        # A FIFO, too, may have such a name, and would wait for a writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return zlib.crc32(file.read(MOST_BYTES))
    except OSError:
        return None


def end(path: str) -> Optional[str]:
    """Where its links lead to; None: to nothing, for now."""
    return os.path.realpath(path) if os.path.exists(path) else None


def here() -> str:
    """The current folder; the root if it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return os.sep


def absolute(path: str) -> str:
    """What ``..`` leads out of may be a link, so it stays."""
    parts = os.path.join(here(), path).split(os.sep) if not os.path.isabs(path) else path.split(os.sep)
    return os.sep + os.sep.join(part for part in parts if part not in ("", "."))


def loaded() -> list[str]:
    """The files of the modules that are in ``sys.modules``, without ours."""
    return [path for path in map(_file_of, list(sys.modules.values())) if path and is_theirs(path)]


def is_theirs(path: str) -> bool:
    """Ours never change: they are a copy that nobody writes to."""
    return not path.startswith(_OURS)


def own_folders(files: Iterable[str]) -> set[str]:
    """The folders of those that neither Python nor pip has put there."""
    return {os.path.dirname(path) for path in files if is_own(path)}


def own_entries() -> list[str]:
    """The folders of ``sys.path`` that are the app's own."""
    return [entry for entry in sys.path if os.path.isabs(entry) and is_own(entry + os.sep)]


def is_own(path: str) -> bool:
    return not path.startswith((_OURS, _PYTHONS)) and not any(part in path for part in _INSTALLED)


def python_files(folders: Collection[str]) -> tuple[dict[str, Optional[Mark]], bool]:
    """Every ``*.py`` below them, nearest first; and are these all?

    Hidden ones are left out: an Emacs lock is a hidden link.
    """
    found: dict[str, Optional[Mark]] = {}
    entered: set[tuple[int, int]] = set()
    waiting, enough = deque(folders), time.monotonic() + MOST_SECONDS
    while waiting and len(entered) < MOST_FOLDERS and len(found) < MOST_FILES and time.monotonic() < enough:
        folder = waiting.popleft()
        try:
            there = os.stat(folder)
            if (there.st_dev, there.st_ino) in entered:
                continue
            entered.add((there.st_dev, there.st_ino))
            with os.scandir(folder) as entries:
                _sort(entries, found, waiting)
        except OSError:
            continue
    return found, not waiting


def _sort(entries: Iterable[os.DirEntry[str]], found: dict[str, Optional[Mark]], waiting: deque[str]) -> None:
    for entry in entries:
        if entry.name.startswith(".") or entry.name in PASSED_OVER:
            continue
        if entry.name.endswith(".py"):
            found[entry.path] = mark(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            waiting.append(entry.path)


def _file_of(module: object) -> str:
    if not isinstance(module, ModuleType):
        return ""
    try:
        # Past whatever the module does about its attributes: to ask a lazy one would import it.
        names = object.__getattribute__(module, "__dict__")
    except AttributeError:
        # PyPy's cffi libraries say that they are modules.
        return ""
    spec = names.get("__spec__")
    path = spec.origin if getattr(spec, "has_location", False) else names.get("__file__")
    return absolute(path) if isinstance(path, str) and path else ""
