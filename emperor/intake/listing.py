"""Which files of a folder, or of a glob, are vassals; which folder it is that an emperor must have to itself.

It opens no ini.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from emperor.control.messages import ALL
from emperor.errors import EmperorError
from emperor.model import VASSAL_NAME
from emperor.system.folderlock import FolderLocks

SILENT = (".*", "*~", "*.swp", "*.bak", "*.dpkg-*", "*.rpmnew", "*.rpmsave", "#*#")
"""What editors and package managers leave behind: ignored without a word."""


@dataclass(frozen=True)
class Listing:
    """``names``: vassal → path. ``missing``: the place could not be read, for this reason. ``odd``: not vassals."""

    names: dict[str, str]
    missing: str = ""
    odd: tuple[str, ...] = ()


def listing(place: str) -> Listing:
    """The vassals of one folder, or of one glob."""
    try:
        if os.path.isdir(place) or not glob.has_magic(place):
            paths = [os.path.join(place, entry) for entry in os.listdir(place)]
        else:
            folder = os.path.dirname(place) or "."
            if not glob.has_magic(folder):
                # Of a folder that cannot be read, glob says the same as of an empty one.
                os.listdir(folder)
            paths = glob.glob(place)
    except OSError as error:
        return Listing({}, missing=error.strerror or str(error))
    names, odd = {}, []
    for path in sorted(paths):
        base = os.path.basename(path)
        if any(fnmatch.fnmatchcase(base, pattern) for pattern in SILENT):
            continue
        stem, suffix = os.path.splitext(base)
        if suffix == ".ini" and stem != ALL and VASSAL_NAME.fullmatch(stem):
            names[stem] = path
        elif suffix == ".ini" or not _is_folder_or_socket(path):
            odd.append(path)
    return Listing(names, odd=tuple(odd))


def _is_folder_or_socket(path: str) -> bool:
    """A vassal's socket may lie beside its ini."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)


def folder_of(place: str) -> str:
    """The folder that is locked for a place: of a glob the one before its first magic."""
    if os.path.isdir(place):
        return place
    while glob.has_magic(place):
        place = os.path.dirname(place) or "."
    return place


def occupy(places: Sequence[str], locks: FolderLocks) -> None:
    """Before anything is started: EmperorError if another emperor serves one of them. What is missing may come yet."""
    for place in places:
        folder = folder_of(place)
        with contextlib.suppress(OSError):
            holder = locks.take(folder).holder
            if holder is not None:
                raise EmperorError(f"{folder}: {holder} holds it -- this emperor does not start")
