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
from dataclasses import dataclass, field, replace

from emperor.control.messages import ALL
from emperor.errors import EmperorError
from emperor.model import VASSAL_NAME
from emperor.system import trust
from emperor.system.folderlock import FolderLocks
from emperor.system.ground import Ground
from emperor.system.mounts import Elsewhere

EMPEROR = "emperor"

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
    that it is on; ``silent``: folders that have not answered. ``owners``: folder → uid of whose it is.
    """

    names: dict[str, str]
    missing: str = ""
    odd: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    overfull: tuple[str, ...] = ()
    far: tuple[tuple[str, int], ...] = ()
    silent: tuple[str, ...] = ()
    owners: Mapping[str, int] = field(default_factory=dict)


def listing(place: str, near: bool = False) -> Listing:
    """The vassals of one folder, or of one glob. ``near``: nobody must be waited for."""
    with contextlib.closing(Ground(near)) as ground:
        return listed(place, ground)


def listed(place: str, ground: Ground) -> Listing:
    """The same, within a look at more."""
    look = _Look(place, ground)
    try:
        for folder, pattern, mount in look.folders(place):
            look.list(folder, pattern, mount)
    except OSError as error:
        return Listing({}, missing=error.strerror or str(error))
    return look.found()


class _Look:
    """Goes through the folders of a place."""

    def __init__(self, place: str, ground: Ground) -> None:
        self._ground, self._many = ground, glob.has_magic(os.path.dirname(place))
        self._files: dict[str, bool] = {}
        self._overfull: dict[str, None] = {}
        self._far: list[tuple[str, int]] = []
        self._owners: dict[str, int] = {}

    def found(self) -> Listing:
        found = _sorted(self._files, self._ground.near)
        return replace(found, overfull=tuple(self._overfull), far=tuple(self._far), owners=self._owners)

    def list(self, folder: str, pattern: str, mount: int) -> None:
        """Raises OSError, if it is the only one: of one among many glob(3) says the same as of an empty one."""
        try:
            if not mount:
                found = self._inside(folder, pattern).items()
                self._files.update((os.path.join(folder, name), plain) for name, plain in found)
        except Elsewhere as error:
            mount = error.mount
            folder = glob.escape(folder) if pattern else folder
        except OSError:
            if not self._many:
                raise
        if mount:
            self._far.append((os.path.join(folder, pattern) if pattern else folder, mount))

    def folders(self, place: str) -> Iterator[tuple[str, str, int]]:
        """Each folder of a place, the pattern of the names in it ("": all), and 0; of what is beyond, which may be a
        pattern, the mount. Raises OSError."""
        try:
            is_folder = self._is_folder(place)
        except Elsewhere as error:
            yield place, "", error.mount
            return
        if is_folder or not glob.has_magic(place):
            yield place, "", 0
            return
        folder, pattern = os.path.split(place)
        for one, mount in self._expansion(folder):
            if mount or not self._many or self._is_readable(one):
                yield one, pattern, mount

    def _expansion(self, folder: str) -> Iterator[tuple[str, int]]:
        """The folders that a pattern finds; with a mount, the pattern of what may be found beyond. Raises OSError."""
        if not glob.has_magic(folder):
            try:
                self._ground.require(folder)
                yield folder, 0
            except Elsewhere as error:
                yield glob.escape(folder), error.mount
            return
        above, last = os.path.split(folder)
        for one, beyond in self._expansion(above):
            if beyond:
                yield os.path.join(one, last), beyond
                continue
            for path, mount in self._folders_inside(one, last):
                yield (glob.escape(path), mount) if mount else (path, 0)

    def _folders_inside(self, folder: str, pattern: str) -> Iterator[tuple[str, int]]:
        try:
            # Whether a name without magic is there is asked below.
            names = sorted(self._inside(folder, pattern)) if glob.has_magic(pattern) else [pattern]
        except Elsewhere as error:
            # It was another one just now.
            yield os.path.join(folder, pattern), error.mount
            return
        except OSError:
            return
        for name in names:
            if glob.has_magic(pattern) and name.startswith(".") and not pattern.startswith("."):
                continue
            path = os.path.join(folder, name)
            try:
                if self._is_folder(path):
                    yield path, 0
            except Elsewhere as error:
                yield path, error.mount

    def _is_readable(self, folder: str) -> bool:
        try:
            return self._ground.allows(folder, os.R_OK | os.X_OK)
        except OSError:
            return False
        except Elsewhere:
            # It was another one just now; who lists it finds the same.
            return True

    def _is_folder(self, path: str) -> bool:
        """Raises Elsewhere."""
        try:
            return stat.S_ISDIR(self._ground.mode_of(path))
        except OSError:
            return False

    def _inside(self, folder: str, pattern: str) -> dict[str, bool]:
        """The names in it, as glob(3) finds them, and is it a plain file? Raises OSError, Elsewhere."""
        if pattern and not glob.has_magic(pattern):
            try:
                self._ground.seen(os.path.join(folder, pattern))
            except OSError:
                return {}
            self._owners[_as_in_paths(folder)] = self._ground.owner(folder)
            return {pattern: False}
        fits = re.compile(fnmatch.translate(pattern or "*")).match
        descriptor = self._ground.open(folder)
        try:
            self._owners[_as_in_paths(folder)] = os.fstat(descriptor).st_uid
            with os.scandir(descriptor) as listed:
                entries = list(itertools.islice(listed, MOST_ENTRIES + 1))
            if len(entries) > MOST_ENTRIES:
                self._overfull[folder] = None
                return {}
            # Nobody asks what an ini is.
            return {one.name: one.name.endswith(".ini") or _is_file(one) for one in entries if fits(one.name)}
        finally:
            os.close(descriptor)


def _as_in_paths(folder: str) -> str:
    return os.path.dirname(os.path.join(folder, "_"))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _sorted(found: Mapping[str, bool], near: bool) -> Listing:
    """``found``: path, and is it known to be a plain file?"""
    names: dict[str, str] = {}
    more, odd = [], []
    for path in sorted(found):
        base = os.path.basename(path)
        if _SILENT.match(base):
            continue
        stem, suffix = os.path.splitext(base)
        if suffix == ".ini" and may_be_called(stem):
            if names.setdefault(stem, path) != path:
                more.append((stem, path))
        elif suffix == ".ini" or found[path] or not _is_folder_or_socket(path, near):
            odd.append(path)
    return Listing(names, odd=tuple(odd), more=tuple(more))


def may_be_called(stem: str) -> bool:
    """Is it a vassal's name? Not what orders mean by all of them, nor what begins the emperor's own lines in a log."""
    return VASSAL_NAME.fullmatch(stem) is not None and stem != ALL and stem.lower() != EMPEROR


def prefix(place: str) -> str:
    """The part of a glob before its first magic, without what escapes a name; of anything else all of it."""
    parts = place.split("/")
    plain = itertools.takewhile(lambda part: not glob.has_magic(_ESCAPED.sub("", part)), parts)
    return "/".join(_ESCAPED.sub(r"\1", part) for part in plain)


def _is_folder_or_socket(path: str, near: bool) -> bool:
    """A vassal's socket may lie beside its ini."""
    with contextlib.suppress(OSError, Elsewhere):
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
