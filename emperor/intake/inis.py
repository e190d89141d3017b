"""The folders of inis: which names are vassals, and which of them have changed and come to rest.

It promises: a change is told within a second of the file being quiet where inotify tells of it, else within
``RESCAN``; a folder that is missing or cannot be read takes nobody down, its vassals stay as they are until it is back.
It opens no ini: a signature comes from lstat and stat alone.
"""

from __future__ import annotations

import functools
import glob
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from emperor.intake.drawn import Drawn
from emperor.intake.horizon import Horizon
from emperor.intake.listing import OVERFULL, Listing, near_folder_of
from emperor.intake.marks import content
from emperor.intake.namebook import NameBook
from emperor.intake.readinglist import SLICE, ReadingList
from emperor.intake.whosename import Registry, holders
from emperor.journal import Journal
from emperor.supervision import quiet
from emperor.supervision.quiet import AT_ONCE, Kind, Look, Mark, Rest, Signature
from emperor.system import trust
from emperor.system.eventloop import Loop, Timer
from emperor.system.folderlock import FolderLocks
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts
from emperor.system.watch import Watch

RESCAN = 5.0
"""Seconds between two looks that no event asked for: what inotify cannot see (network folders, moved parents)."""

ODD = "is not a vassal's name -- ignored (NAME.ini: letters, digits, _ . @ -, at most 64; not all, not emperor)"
NO_INIS = "finds no ini: a glob is one of inis, not of folders (…/*.ini) -- nothing of it runs"
MOST_TOLD = 1000
"""Files that are no vassals, of which each is told once; of more than so many nothing is said."""

SILENCE = "there is no answer from the filesystem that it leads to -- what is there stays as it is until there is one"

FIRST = 5.0
"""Seconds of reading before the emperor is ready: inis that take longer come later."""

MOST_LINKS = 1000
"""Of which it is asked where they lead, so that it can be watched."""


@dataclass(frozen=True)
class IniState:
    """What is handed over of one ini. ``place``: the folder or glob that it was found by; ``mark``: its signature."""

    path: str
    place: str
    mark: tuple[int, ...]


class Inis:
    """Calls ``changed(name, path, written)`` and ``removed(name)`` for what has come to rest.

    Not ``written``: only its owner, mode or ACL is another, or a file that it draws in (``drawn``).
    """

    def __init__(
        self,
        places: Sequence[str],
        loop: Loop,
        journal: Journal,
        changed: Callable[[str, str, bool], None],
        removed: Callable[[str], None],
        locks: FolderLocks,
        scouts: Scouts,
        names: NameBook,
    ) -> None:
        self._locks = locks
        self._horizon = Horizon(scouts, loop, self.look)
        self._places, self._loop, self._journal = tuple(places), loop, journal
        self._changed, self._removed = changed, removed
        self._watch = Watch(loop, self.look, lambda message: journal.warning("emperor", message))
        self._look = Look()
        self.drawn = Drawn()
        self._reading = ReadingList(loop, self._tell_changed)
        self._paths: dict[str, str] = {}
        self._origin: dict[str, str] = {}
        self._owners: dict[str, int] = {}
        self._names = names
        self._has: dict[str, str] = {}
        self._told: set[str] = set()
        self._missing: dict[str, str] = {}
        self._unlocked: dict[str, str] = {}
        self._again: Timer | None = None
        self._begun = False
        self._rescan()

    def path(self, name: str) -> str | None:
        """Where the ini of ``name`` lies now, even if it has not come to rest."""
        return self._paths.get(name)

    def mark(self, name: str) -> Signature:
        """What its ini is at this moment, as far as nobody has to be waited for."""
        return self._horizon.signature(self._paths[name])[0] if name in self._paths else None

    def acknowledge(self, name: str) -> None:
        """Somebody is about to read the ini of ``name`` unasked: what it is now will be no news.

        To be called before it is read; what is written from here on is told.
        """
        mark = self._horizon.signature(self._paths[name])[0] if name in self._paths else None
        self._reading.drop(name)
        if mark is not None and name in self._look.known:
            moving = {one: since for one, since in self._look.moving.items() if one != name}
            self._look = replace(self._look, known={**self._look.known, name: mark}, moving=moving)

    def doubt(self, name: str) -> None:
        """It could not be read, perhaps for want of descriptors or memory: at the next rescan it is news again."""
        if name in self._look.known:
            self._look = replace(self._look, known={**self._look.known, name: ()})

    def first_look(self) -> None:
        """At the start everything counts as quiet."""
        self._examine(AT_ONCE, FIRST)

    def look(self) -> None:
        self._examine(quiet.RESTS)

    @property
    def complete(self) -> bool:
        """Could every place be read at the last look, and is it ours?"""
        return not self._missing and not self._horizon.unseen

    @property
    def settled(self) -> bool:
        """Is everything seen, at rest and told?"""
        return not (self._horizon.unseen or self._look.moving or self._reading.names())

    def export(self) -> dict[str, IniState]:
        """What is known of each name; one that has not been read since it changed will be news."""
        unread = dict.fromkeys(self._reading.names(), ())
        known = {name: mark for name, mark in {**self._look.known, **unread}.items() if isinstance(mark, tuple)}
        return {
            name: IniState(self._paths[name], self._origin[name], tuple(mark))
            for name, mark in known.items()
            if name in self._paths
        }

    def adopt(self, states: Mapping[str, IniState]) -> None:
        """What was known to an older program: only what differs from it is news."""
        marks: dict[str, Signature] = {}
        for name, one in states.items():
            self._paths[name], self._origin[name], self._has[name] = one.path, one.place, one.path
            marks[name] = Mark(*one.mark) if len(one.mark) == len(Mark._fields) else one.mark
        self._look, self._begun = replace(self._look, known=marks), True

    def close(self) -> None:
        self._reading.close()
        self._watch.close()

    def _rescan(self) -> None:
        self._loop.on_the_beat(RESCAN, self._rescan)
        if self._begun:
            self.look()

    def _examine(self, rests: Mapping[Kind, Rest], seconds: float = SLICE) -> None:
        self._begun = True
        arrived = self._watch.arrivals()
        self._horizon.begin()
        seen, before = self._see(), self._look.known
        self._horizon.end()
        whole = {name for name in seen if os.path.basename(self._paths[name]) in arrived}
        self._look, ripe = quiet.look(self._look, seen, self._loop.now(), rests, whole)
        self._watch.follow(self._folders(), self._linked(), self._parents())
        for name in ripe:
            if seen.get(name) is None:
                self._reading.drop(name)
                self._guarded(self._tell_removed, name)
            else:
                self._to_be_read(name, content(before.get(name)) != content(seen[name]))
        for name in self.drawn.look(self._loop.now()):
            if name in self._paths:
                self._to_be_read(name, False)
        self._names.save(self._paths)
        self._reading.go(seconds)
        if self._again is not None:
            self._again.cancel()
        due = [when for when in (quiet.next_look(self._look), self.drawn.next_look()) if when is not None]
        self._again = self._loop.call_at(min(due), self.look) if due else None

    def _to_be_read(self, name: str, written: bool) -> None:
        path = self._has[name] = self._paths[name]
        owner = self._owners.get(os.path.dirname(path))
        if owner is not None:
            self._names.note(name, owner if owner != os.geteuid() else None)
        # Root's inis take turns by folder: as many users' may lie in each.
        self._reading.add(name, owner or os.path.dirname(path), written)

    def _guarded(self, tell: Callable[..., None], *words: object) -> None:
        """A bug at one vassal's ini is no reason to pass over the others'."""
        try:
            tell(*words)
        except Exception as error:
            self._journal.bug(error)

    def _tell_changed(self, name: str, written: bool) -> None:
        if name in self._paths:
            self._guarded(self._changed, name, self._paths[name], written)

    def _tell_removed(self, name: str) -> None:
        for shelf in (self._paths, self._has):
            shelf.pop(name, None)
        self._removed(name)

    def _see(self) -> dict[str, Signature]:
        told, self._told = self._told, set()
        self._tell_of_silence(told)
        asking: dict[str, list[str]] = {}
        origin: dict[str, str] = {}
        blind: set[str] = set()
        for place in self._places:
            for name, path, visible in self._listed(place, told):
                if path not in origin:
                    origin[path] = place
                    asking.setdefault(name, []).append(path)
                if not visible:
                    blind.add(path)
        # Who owns a folder was seen as it was listed.
        whose = {path: self._owners[folder] for path in origin if (folder := os.path.dirname(path)) in self._owners}
        known = Registry(self._has, self._names.kept, whose)
        paths = holders(asking, known, functools.cache(self._is_ours))
        for name, candidates in asking.items():
            self._tell_losers(name, candidates, paths.get(name), known, told)
        self._origin.update((name, origin[path]) for name, path in paths.items())
        self._paths = {**{n: p for n, p in self._paths.items() if n in self._look.known}, **paths}
        return {name: self._mark(name, path, path not in blind) for name, path in paths.items()}

    def _tell_losers(
        self, name: str, candidates: Sequence[str], holder: str | None, known: Registry, told: set[str]
    ) -> None:
        for path in candidates:
            if holder is None and not known.lets(name, path):
                self._once(path, f"{name} is the name of another user's vassal -- ignored", told)
            elif holder not in (None, path):
                self._once(path, f"{name} is already {holder} -- ignored", told)

    def _tell_of_silence(self, told: set[str]) -> None:
        for path in self._horizon.hangs():
            self._once(path, SILENCE, told)

    def _mark(self, name: str, path: str, visible: bool) -> Signature:
        mark, known = self._horizon.signature(path) if visible else (None, False)
        return mark if known else self._look.known.get(name)

    def _listed(self, place: str, told: set[str]) -> Iterator[tuple[str, str, bool]]:
        """Name, path, and whether anything is known of it at this moment."""
        found = self._horizon.listing(place)
        self._owners.update(found.owners)
        trouble = f"cannot be read: {found.missing}" if found.missing else self._taken(place)
        self._tell_trouble(place, trouble)
        for path in found.odd:
            self._once(path, ODD, told)
        for folder in found.overfull:
            self._once(folder, OVERFULL, told)
        if _finds_nothing(place, found):
            self._once(place, NO_INIS, told)
        for name, path in () if trouble else (*found.names.items(), *found.more):
            yield name, path, True
        dark = (*found.overfull, *found.silent)
        if trouble or dark:
            # Nothing is known of them, so nothing has changed.
            for name, path in self._paths.items():
                if self._origin[name] == place and (trouble or path.startswith(tuple(f"{one}/" for one in dark))):
                    yield name, path, False

    def _is_ours(self, path: str) -> bool:
        return bool(trust.only_ours(os.path.dirname(path), os.geteuid(), near=True))

    def _taken(self, place: str) -> str:
        """Why its inis are not for us: another emperor has them. A folder that has come or was replaced is locked."""
        try:
            folder = near_folder_of(place)
            verdict = self._locks.take(folder)
        except Elsewhere:
            return ""
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if verdict.warning and self._unlocked.get(folder) != verdict.warning:
            self._journal.warning(folder, f"cannot be locked: {verdict.warning}")
        self._unlocked[folder] = verdict.warning
        return f"{verdict.holder} holds it" if verdict.holder is not None else ""

    def _tell_trouble(self, place: str, trouble: str) -> None:
        if trouble and self._missing.get(place) != trouble:
            self._journal.warning(place, f"{trouble} -- its vassals stay as they are")
        elif not trouble and place in self._missing:
            unreadable = self._missing[place].startswith("cannot")
            self._journal.info(place, "can be read again" if unreadable else "is free now: this emperor serves it")
        if trouble:
            self._missing[place] = trouble
        else:
            self._missing.pop(place, None)

    def _once(self, path: str, message: str, told: set[str]) -> None:
        """``told``: at the look before. Of a file that is gone nothing is kept."""
        if len(self._told) < MOST_TOLD:
            self._told.add(path)
            if path not in told:
                self._journal.warning(path, message)

    def _folders(self) -> set[str]:
        found = (place if not glob.has_magic(place) else os.path.dirname(place) for place in self._places)
        return {folder for folder in found if not glob.has_magic(folder) and self._horizon.is_near(folder)}

    def _parents(self) -> set[str]:
        """Where a folder may be removed and made again."""
        return {os.path.dirname(os.path.abspath(folder)) for folder in self._folders()}

    def _linked(self) -> set[str]:
        """Where links lead, and where lies what is drawn in."""
        links = itertools.islice(self._horizon.links, MOST_LINKS)
        return {folder for path in links if (folder := trust.folder_of(path))} | self.drawn.folders()


def _finds_nothing(place: str, found: Listing) -> bool:
    """A glob of folders, by mistake. That one of inis finds none yet is nothing to speak of."""
    return glob.has_magic(place) and not place.endswith(".ini") and replace(found, owners={}) == Listing({})
