"""Which inis there are and what they look like, also where a look may have to wait: there a scout looks.

It promises: nobody is waited for. What lies on a filesystem that may not answer is told as it was when it was last
seen; as long as it has never been seen, nothing is known of it. Whoever hangs there keeps only what is on the same
mount from being seen. What changes there is told once it has come to rest (``settling``).
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from emperor.intake.listing import Listing, listed, listing, prefix
from emperor.intake.marks import near_signature, signature
from emperor.intake.settling import Settling, Sight
from emperor.supervision.quiet import QUIET, Signature
from emperor.system import trust
from emperor.system.eventloop import Loop, Timer
from emperor.system.ground import Ground
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts

EVERY = 5.0
"""Seconds between two looks of a scout's."""

NOT_THERE = os.strerror(errno.ENOENT)

PATIENCE = 2.0
"""Seconds without an answer after which somebody is told that there is none."""


@dataclass
class Wanted:
    """Of one mount: what is to be looked at."""

    places: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


@dataclass
class Asked:
    """What was asked for last, and when; ``heard``: when the last answer came."""

    wanted: Wanted
    when: float
    heard: float = -EVERY


class Horizon:
    """``changed``: a scout has seen something new."""

    def __init__(self, scouts: Scouts, loop: Loop, changed: Callable[[], None]) -> None:
        self._scouts, self._loop, self._changed = scouts, loop, changed
        self._ground = Ground()
        self._ground.close()
        self._wanted: dict[int, Wanted] = {}
        self._sights: dict[int, Settling] = {}
        self._asked: dict[int, Asked] = {}
        self._silent: dict[int, tuple[float, Wanted]] = {}
        self._again: Timer | None = None
        self._beyond: dict[str, int] = {}
        self.unseen: set[str] = set()
        """Places and paths of which nothing is known yet."""
        self.links: list[str] = []
        """Names that are links to where nobody has to be waited for."""

    def begin(self) -> None:
        """A look at everything begins."""
        self._ground, self._wanted, self._beyond = Ground(), {}, {}
        self.unseen, self.links = set(), []

    def end(self) -> None:
        """It is over: what was missed is looked at by others."""
        self._ground.close()
        shelves: tuple[dict[int, Any], ...] = (self._sights, self._asked, self._silent)
        for shelf in shelves:
            for mount in shelf.keys() - self._wanted.keys():
                del shelf[mount]
        self._ask_those_due()

    def listing(self, place: str) -> Listing:
        found = listed(place, self._ground)
        for part, mount in found.far:
            self._wanted.setdefault(mount, Wanted()).places.add(part)
            theirs = self._sight(mount).listings.get(part)
            if theirs is None:
                self.unseen.add(part)
            if theirs is None or theirs.missing not in ("", NOT_THERE):
                found = replace(found, silent=(*found.silent, prefix(part)))
            else:
                self._beyond.update((path, mount) for _, path in (*theirs.names.items(), *theirs.more))
                alone = not glob.has_magic(os.path.dirname(place))
                found = _together(
                    found, theirs if alone else replace(theirs, missing=""), self._ground.mounts.answers_for(mount)
                )
        return found

    def signature(self, path: str) -> tuple[Signature, bool]:
        """And whether anything is known of it."""
        mount = self._beyond.get(path, 0)
        if not mount:
            try:
                seen = self._ground.seen(path)
                mark = near_signature(path, seen, self._ground.mounts)
                if stat.S_ISLNK(seen.mode):
                    self.links.append(path)
                return mark, True
            except Elsewhere as error:
                mount = error.mount
                self._wanted.setdefault(mount, Wanted()).paths.add(path)
            except OSError:
                return None, True
        marks = self._sight(mount).marks
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
        now = self._loop.now()
        silent = [wanted for since, wanted in self._silent.values() if now > since + PATIENCE]
        return sorted(one for wanted in silent for one in (*wanted.places, *wanted.paths))

    def _sight(self, mount: int) -> Sight:
        return self._sights.get(mount, Settling()).told

    def _ask_those_due(self) -> None:
        """Whoever has waited longest comes first: there may not be places for all."""
        now, soon = self._loop.now(), []
        for mount in sorted(self._wanted, key=lambda one: self._asked[one].when if one in self._asked else 0.0):
            due, hasty = self._due(mount)
            if due <= now:
                self._silent.setdefault(mount, (now, self._wanted[mount]))
                self._ask(mount, now)
            elif hasty:
                soon.append(due)
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_at(min(soon), self._ask_those_due) if soon else None

    def _due(self, mount: int) -> tuple[float, bool]:
        """And whether it is due before the next look at everything."""
        asked = self._asked.get(mount)
        if asked is None:
            return 0.0, False
        pause = self._sights.get(mount, Settling()).pause
        if pause is not None or asked.wanted != self._wanted[mount]:
            return asked.heard + (pause or QUIET), True
        # The beat of the looks is the same: one that comes a little early counts.
        return asked.when + EVERY / 2, False

    def _ask(self, mount: int, now: float) -> None:
        wanted, before = self._wanted[mount], self._asked.get(mount)
        places, paths = tuple(wanted.places), tuple(wanted.paths)
        whose = self._ground.mounts.answers_for(mount) or ("mount", mount)
        if self._scouts.ask(mount, lambda: look(places, paths), lambda sight: self._hear(mount, sight), whose):
            self._asked[mount] = Asked(wanted, now, before.heard if before is not None else -EVERY)

    def _hear(self, mount: int, sight: Sight) -> None:
        if mount not in self._asked:
            return
        now = self._asked[mount].heard = self._loop.now()
        self._silent.pop(mount, None)
        before = self._sights.get(mount, Settling())
        after = self._sights[mount] = before.heard(sight, now)
        if after.told != before.told:
            self._changed()
        else:
            self._ask_those_due()


def look(places: Iterable[str], paths: Iterable[str]) -> Sight:
    """As long as it takes: whoever calls it may wait."""
    listings = {place: listing(place) for place in places}
    found = {path for one in listings.values() for _, path in (*one.names.items(), *one.more)}
    return Sight(listings, {path: signature(path) for path in found.union(paths)})


def _together(one: Listing, other: Listing, mounter: int) -> Listing:
    """``mounter``: whatever it says itself, that filesystem's folders are its."""
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
        owners={**one.owners, **(dict.fromkeys(other.owners, mounter) if mounter else other.owners)},
    )
