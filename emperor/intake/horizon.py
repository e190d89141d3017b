"""Which inis there are and what they look like, also where a look may have to wait: there a scout looks.

It promises: nobody is waited for. What lies on a filesystem that may not answer is told as it was when it was last
seen; as long as it has never been seen, nothing is known of it. Whoever hangs there keeps only what is on the same
mount from being seen.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from emperor.intake.listing import Listing, listing, prefix
from emperor.intake.marks import near_signature, signature
from emperor.supervision.quiet import Signature
from emperor.system import trust
from emperor.system.eventloop import Loop
from emperor.system.mounts import Elsewhere, Mounts
from emperor.system.scout import Scouts

EVERY = 5.0
"""Seconds between two looks of a scout's."""

NOT_THERE = os.strerror(errno.ENOENT)

PATIENCE = 2.0
"""Seconds without an answer after which somebody is told that there is none."""


@dataclass(frozen=True)
class Sight:
    """What a scout saw: place → its inis; path → signature."""

    listings: Mapping[str, Listing] = field(default_factory=dict)
    marks: Mapping[str, Signature] = field(default_factory=dict)


@dataclass
class Asked:
    """Of one mount: what is to be looked at."""

    places: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


class Horizon:
    """``changed``: a scout has seen something new."""

    def __init__(self, scouts: Scouts, loop: Loop, changed: Callable[[], None]) -> None:
        self._scouts, self._loop, self._changed = scouts, loop, changed
        self._mounts = Mounts()
        self._wanted: dict[int, Asked] = {}
        self._sights: dict[int, Sight] = {}
        self._asked: dict[int, tuple[float, Asked]] = {}
        self._beyond: dict[str, int] = {}
        self.unseen: set[str] = set()
        """Places and paths of which nothing is known yet."""
        self.links: list[str] = []
        """Names that are links to where nobody has to be waited for."""

    def begin(self) -> None:
        """A look at everything begins."""
        self._mounts, self._wanted, self._beyond = Mounts(), {}, {}
        self.unseen, self.links = set(), []

    def end(self) -> None:
        """It is over: what was missed is looked at by others."""
        now = self._loop.now()
        for shelf in (self._sights, self._asked):
            for mount in shelf.keys() - self._wanted.keys():
                del shelf[mount]
        for mount, asked in self._wanted.items():
            when, before = self._asked.get(mount, (-EVERY, None))
            # The beat of the looks is the same: one that comes a little early counts.
            if (before != asked or now >= when + EVERY / 2) and self._ask(mount, asked):
                self._asked[mount] = (now, asked)

    def listing(self, place: str) -> Listing:
        found = listing(place, near=True)
        for part, mount in found.far:
            self._wanted.setdefault(mount, Asked()).places.add(part)
            theirs = self._sights.get(mount, Sight()).listings.get(part)
            if theirs is None:
                self.unseen.add(part)
            if theirs is None or theirs.missing not in ("", NOT_THERE):
                found = replace(found, silent=(*found.silent, prefix(part)))
            else:
                self._beyond.update((path, mount) for _, path in (*theirs.names.items(), *theirs.more))
                alone = not glob.has_magic(os.path.dirname(place))
                found = _together(found, theirs if alone else replace(theirs, missing=""))
        return found

    def signature(self, path: str) -> tuple[Signature, bool]:
        """And whether anything is known of it."""
        mount = self._beyond.get(path, 0)
        if not mount:
            try:
                seen = self._mounts.seen(path)
                mark = near_signature(path, seen, self._mounts)
                if stat.S_ISLNK(seen.mode):
                    self.links.append(path)
                return mark, True
            except Elsewhere as error:
                mount = error.mount
                self._wanted.setdefault(mount, Asked()).paths.add(path)
            except OSError:
                return None, True
        marks = self._sights.get(mount, Sight()).marks
        if path not in marks:
            self.unseen.add(path)
        return marks.get(path), path in marks

    def is_near(self, folder: str) -> bool:
        """Also if it is not there."""
        try:
            trust.end_of(folder)
        except Elsewhere:
            return False
        except OSError:
            return True
        return True

    def hangs(self) -> list[str]:
        """Places and paths that nobody has answered for in ``PATIENCE``."""
        silent = (mount for mount in self._asked if self._scouts.waits(mount) > PATIENCE)
        return sorted(one for mount in silent for one in (*self._asked[mount][1].places, *self._asked[mount][1].paths))

    def _ask(self, mount: int, asked: Asked) -> bool:
        places, paths = tuple(asked.places), tuple(asked.paths)
        return self._scouts.ask(mount, lambda: look(places, paths), lambda sight: self._hear(mount, sight))

    def _hear(self, mount: int, sight: Sight) -> None:
        if mount in self._asked and self._sights.get(mount) != sight:
            self._sights[mount] = sight
            self._changed()


def look(places: Iterable[str], paths: Iterable[str]) -> Sight:
    """As long as it takes: whoever calls it may wait."""
    listings = {place: listing(place) for place in places}
    found = {path for one in listings.values() for _, path in (*one.names.items(), *one.more)}
    return Sight(listings, {path: signature(path) for path in found.union(paths)})


def _together(one: Listing, other: Listing) -> Listing:
    names, more = dict(one.names), [*one.more, *other.more]
    for name, path in other.names.items():
        if names.setdefault(name, path) != path:
            more.append((name, path))
    return Listing(
        names,
        missing=one.missing or other.missing,
        odd=(*one.odd, *other.odd),
        more=tuple(more),
        overfull=(*one.overfull, *other.overfull),
        silent=one.silent,
    )
