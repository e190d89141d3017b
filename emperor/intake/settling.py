"""What scouts saw of one mount, until it has come to rest: only what two of them agree on is told.

Between two looks nobody knows what happens to a file: it is at rest if it is the same in two answers, and the second
was asked for some time after the first one came. Pure: answers and the time come in as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emperor.intake.listing import Listing
from emperor.supervision.quiet import AT_LENGTH, QUIET, Signature

LONGEST_PAUSE = 5.0
"""Seconds between two answers of which the first was not at rest; it is shorter in the beginning."""


@dataclass(frozen=True)
class Sight:
    """What a scout saw: place → its inis; path → signature."""

    listings: Mapping[str, Listing] = field(default_factory=dict)
    marks: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True)
class Settling:
    """``told``: what counts. ``last``: the newest answer. ``moving``: path → when it was first seen to be another.

    ``pause``: seconds from one answer to the next question; None: it is at rest.
    """

    told: Sight = Sight()
    last: Sight | None = None
    moving: Mapping[str, float] = field(default_factory=dict)
    pause: float | None = None

    def heard(self, sight: Sight, now: float) -> Settling:
        """With one more answer."""
        marks, moving = dict[str, Signature](), dict[str, float]()
        for path in self.told.marks.keys() | sight.marks.keys():
            here, known = path in sight.marks, path in self.told.marks
            first = self.moving.get(path, now)
            if not self._rests(path, sight) and (not here or now < first + AT_LENGTH):
                moving[path] = first
                if known:
                    marks[path] = self.told.marks[path]
            elif here:
                marks[path] = sight.marks[path]
        listings = {place: self._listing(place, one, marks) for place, one in sight.listings.items()}
        pause = min(LONGEST_PAUSE, 2 * self.pause if self.pause is not None else QUIET) if moving else None
        return Settling(Sight(listings, marks), sight, moving, pause)

    def _rests(self, path: str, sight: Sight) -> bool:
        here, told, last = path in sight.marks, self.told.marks, self.last.marks if self.last is not None else None
        if here and path in told and told[path] == sight.marks[path]:
            return True
        return last is not None and (path in last) == here and last.get(path) == sight.marks.get(path)

    def _listing(self, place: str, seen: Listing, marks: Mapping[str, Signature]) -> Listing:
        """With what has not come to rest as it was."""
        before = self.told.listings.get(place, Listing({}))
        listed = {path: name for one in (before, seen) for name, path in (*one.names.items(), *one.more)}
        names, more = dict[str, str](), []
        for path, name in sorted(listed.items()):
            if path in marks and names.setdefault(name, path) != path:
                more.append((name, path))
        return replace(seen, names=names, more=tuple(more))
