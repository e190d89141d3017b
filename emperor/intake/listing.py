"""Which files of a folder, or of a glob, are vassals; which folder it is that an emperor must have to itself.

It opens no ini, and of a folder that holds very many files it reads no more than it must to know that.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import itertools
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from emperor.control.messages import ALL
from emperor.errors import EmperorError
from emperor.model import VASSAL_NAME
from emperor.system import trust
from emperor.system.folderlock import FolderLocks
from emperor.system.mounts import Elsewhere, Mounts

_ESCAPED = re.compile(r"\[([*?[])\]")
"""As glob.escape writes it."""

SILENT = (".*", "*~", "*.swp", "*.bak", "*.dpkg-*", "*.rpmnew", "*.rpmsave", "#*#")
"""What editors and package managers leave behind: ignored without a word."""
_SILENT = re.compile("|".join(map(fnmatch.translate, SILENT)))

MOST_ENTRIES = 10_000
"""Of one folder: it is looked through every few seconds, and whoever it belongs to could keep the emperor busy."""
OVERFULL = f"holds more than {MOST_ENTRIES} files -- its vassals stay as they are"


@dataclass(frozen=True)
class Listing:
    """``names``: vassal → path. ``missing``: the place could not be read, for this reason. ``odd``: not vassals.

    ``more``: the paths of those whose name another has, by name. ``overfull``: folders of which nothing is listed,
    since they hold more than ``MOST_ENTRIES`` files. ``far``: what was left out since it may not answer, and the mount
    that it is on; ``silent``: folders that have not answered.
    """

    names: dict[str, str]
    missing: str = ""
    odd: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    overfull: tuple[str, ...] = ()
    far: tuple[tuple[str, int], ...] = ()
    silent: tuple[str, ...] = ()


def listing(place: str, near: bool = False) -> Listing:
    """The vassals of one folder, or of one glob. ``near``: nobody must be waited for."""
    found: dict[str, os.DirEntry[str] | None] = {}
    overfull, far = [], []
    try:
        for folder, pattern, mount in near_folders(place) if near else ((*one, 0) for one in _folders(place)):
            if mount:
                far.append((os.path.join(folder, pattern) if pattern else folder, mount))
                continue
            entries = _inside(folder, pattern)
            overfull += [folder] if entries is None else []
            found.update((os.path.join(folder, name), entry) for name, entry in (entries or {}).items())
    except OSError as error:
        return Listing({}, missing=error.strerror or str(error))
    return replace(_sorted(found, near), overfull=tuple(overfull), far=tuple(far))


def _sorted(found: Mapping[str, os.DirEntry[str] | None], near: bool) -> Listing:
    names: dict[str, str] = {}
    more, odd = [], []
    for path in sorted(found):
        base = os.path.basename(path)
        if _SILENT.match(base):
            continue
        stem, suffix = os.path.splitext(base)
        if suffix == ".ini" and stem != ALL and VASSAL_NAME.fullmatch(stem):
            if names.setdefault(stem, path) != path:
                more.append((stem, path))
        elif suffix == ".ini" or not _is_folder_or_socket(path, found[path], near):
            odd.append(path)
    return Listing(names, odd=tuple(odd), more=tuple(more))


def _folders(place: str) -> Iterator[tuple[str, str]]:
    """Each folder of a place, and the pattern of the names in it; "": all. Raises OSError."""
    if os.path.isdir(place) or not glob.has_magic(place):
        yield place, ""
        return
    folder, pattern = os.path.split(place)
    if not glob.has_magic(folder):
        # Of a folder that cannot be read, glob says the same as of an empty one.
        os.scandir(folder or ".").close()
    for one in glob.glob(folder) if glob.has_magic(folder) else [folder]:
        if os.access(one or ".", os.R_OK | os.X_OK) and os.path.isdir(one or "."):
            yield one, pattern


def near_folders(place: str) -> Iterator[tuple[str, str, int]]:
    """``_folders`` as far as nobody has to be waited for, with 0; what is beyond, with the mount. Raises OSError."""
    try:
        is_folder = stat.S_ISDIR(trust.end_of(place).st_mode)
    except Elsewhere as error:
        yield place, "", error.mount
        return
    except OSError:
        is_folder = False
    if is_folder or not glob.has_magic(place):
        yield place, "", 0
        return
    folder, pattern = os.path.split(place)
    for one, mount in _near_expansion(folder, Mounts()):
        if mount or not glob.has_magic(folder) or os.access(one, os.R_OK | os.X_OK):
            yield one, pattern, mount


def _near_expansion(folder: str, mounts: Mounts) -> Iterator[tuple[str, int]]:
    """The folders that a pattern finds; with a mount, the pattern of what may be found beyond it. Raises OSError."""
    if not glob.has_magic(folder):
        try:
            trust.end_of(folder)
            yield folder, 0
        except Elsewhere as error:
            yield glob.escape(folder), error.mount
        return
    above, last = os.path.split(folder)
    for one, beyond in _near_expansion(above, mounts):
        if beyond:
            yield os.path.join(one, last), beyond
            continue
        with contextlib.suppress(OSError):
            for name in sorted(_inside(one, last) or ()):
                if glob.has_magic(last) and name.startswith(".") and not last.startswith("."):
                    continue
                path = os.path.join(one, name)
                mount = _beyond(path, mounts)
                if mount is not None:
                    yield (glob.escape(path), mount) if mount else (path, 0)


def _beyond(path: str, mounts: Mounts) -> int | None:
    """The mount that a folder leads to if that may not answer, else 0; None: it is no folder."""
    try:
        seen = mounts.seen(path)
        if not mounts.is_near(seen.mount):
            return seen.mount
        mode = trust.end_of(path).st_mode if stat.S_ISLNK(seen.mode) else seen.mode
    except Elsewhere as error:
        return error.mount
    except OSError:
        return None
    return 0 if stat.S_ISDIR(mode) else None


def prefix(place: str) -> str:
    """The part of a glob before its first magic, without what escapes a name; of anything else all of it."""
    parts = place.split("/")
    plain = itertools.takewhile(lambda part: not glob.has_magic(_ESCAPED.sub("", part)), parts)
    return "/".join(_ESCAPED.sub(r"\1", part) for part in plain)


def _inside(folder: str, pattern: str) -> dict[str, os.DirEntry[str] | None] | None:
    """The names in it, as glob(3) finds them; None: there are too many. Raises OSError."""
    if pattern and not glob.has_magic(pattern):
        return {pattern: None} if os.path.lexists(os.path.join(folder, pattern)) else {}
    fits = re.compile(fnmatch.translate(pattern or "*")).match
    with os.scandir(folder or ".") as listed:
        entries = list(itertools.islice(listed, MOST_ENTRIES + 1))
    return {one.name: one for one in entries if fits(one.name)} if len(entries) <= MOST_ENTRIES else None


def _is_folder_or_socket(path: str, entry: os.DirEntry[str] | None, near: bool) -> bool:
    """A vassal's socket may lie beside its ini."""
    with contextlib.suppress(OSError, Elsewhere):
        if entry is not None and entry.is_file(follow_symlinks=False):
            return False
        mode = (trust.end_of(path) if near else os.stat(path)).st_mode
        return stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)
    return False


def folder_of(place: str) -> str:
    """The folder that is locked for a place: of a glob the one before its first magic."""
    if os.path.isdir(place):
        return place
    while glob.has_magic(place):
        place = os.path.dirname(place) or "."
    return place


def near_folder_of(place: str) -> str:
    """The same; Elsewhere, if somebody would have to be waited for."""
    fixed = place
    while glob.has_magic(fixed):
        fixed = os.path.dirname(fixed) or "."
    with contextlib.suppress(OSError):
        trust.end_of(fixed)
    with contextlib.suppress(OSError):
        return place if stat.S_ISDIR(trust.end_of(place).st_mode) else fixed
    return fixed


def occupy(places: Sequence[str], locks: FolderLocks) -> None:
    """Before anything is started: EmperorError if another emperor serves one of them. What is missing may come yet."""
    for place in places:
        # A lock there would be one more thing to wait for.
        with contextlib.suppress(OSError, Elsewhere):
            folder = near_folder_of(place)
            holder = locks.take(folder).holder
            if holder is not None:
                raise EmperorError(f"{folder}: {holder} holds it -- this emperor does not start")
