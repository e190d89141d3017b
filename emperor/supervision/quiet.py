"""When has a changing file come to rest? A file is read once its signature has stayed the same for a while.

So an editor's three writes are one change, a file that is deleted and made again is a change and no removal, and a
half-written file is not read. How long the while is depends on the change: whoever touches a file or puts a whole one
in its place is through with it. Pure: signatures and the time come in as arguments.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Optional

QUIET = 0.25
"""Seconds without a change, after one that may be followed by more."""

BRIEF = 0.03
"""Seconds without a change, after one that was whole. Not none: a script copies, then touches."""

CALM = 1.0
"""Seconds for which a file that was told of has to wait as if more were to come: whoever goes on and on gets few."""

LONGEST = 2.0
"""Seconds after which a file that is touched without end is told of all the same: at each moment it is whole."""

AT_LENGTH = 10.0
"""Seconds after which a file that is written without end is told of all the same: what is half of it does no harm to
what runs, and whoever never comes to rest would never be told what is wrong."""

Signature = Optional[Hashable]
"""None: the file is not there."""


class Mark(NamedTuple):
    """The signature of a file as lstat(2) of its name and stat(2) of its end give it; times in nanoseconds."""

    link: int
    link_mtime: int
    device: int
    inode: int
    size: int
    mtime: int
    ctime: int

    @property
    def place(self) -> tuple[int, int, int]:
        return self.link, self.device, self.inode


class Kind(Enum):
    TOUCHED = "touched"
    """The same file of the same size: only its times, its owner or its mode are others."""
    REPLACED = "replaced"
    """A file that was whole when it got the name."""
    WRITTEN = "written"
    """Everything else: it may be half of what is to come."""


class Rest(NamedTuple):
    """Seconds without a change: of one that was calm before, of one that was not; and at the latest so many after
    the first change.
    """

    calm: float
    busy: float
    longest: float


RESTS: Mapping[Kind, Rest] = {
    Kind.TOUCHED: Rest(BRIEF, QUIET, LONGEST),
    Kind.REPLACED: Rest(BRIEF, QUIET, LONGEST),
    Kind.WRITTEN: Rest(QUIET, QUIET, AT_LENGTH),
}

AT_ONCE: Mapping[Kind, Rest] = dict.fromkeys(Kind, Rest(0.0, 0.0, 0.0))


class Moving(NamedTuple):
    """``since``: of its last change. ``first``: of the first one that was not told of. ``due``: at rest by then.

    ``calm``: before the first one it had long been still.
    """

    signature: Signature
    kind: Kind
    calm: bool
    first: float
    since: float
    due: float


@dataclass(frozen=True)
class Look:
    """What was known, what differs from it, and who was told of within the last ``CALM`` seconds, and when."""

    known: Mapping[str, Signature] = field(default_factory=dict)
    moving: Mapping[str, Moving] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)


def kind(before: Signature, after: Signature, arrived: bool = False) -> Kind:
    """What was done to it. ``arrived``: somebody heard that it was renamed to its name."""
    if not isinstance(after, Mark):
        return Kind.WRITTEN
    if isinstance(before, Mark) and before.place == after.place:
        return Kind.TOUCHED if before.size == after.size else Kind.WRITTEN
    # A rename or a chmod sets ctime alone (inode(7)), and both come after the last write.
    return Kind.REPLACED if arrived or (after.size > 0 and after.ctime > after.mtime) else Kind.WRITTEN


def look(
    before: Look,
    seen: Mapping[str, Signature],
    now: float,
    rests: Optional[Mapping[Kind, Rest]] = None,
    arrived: AbstractSet[str] = frozenset(),
) -> tuple[Look, tuple[str, ...]]:
    """The next state and the names that have come to rest with a new signature, in order; removed ones first."""
    known, moving, ripe = dict(before.known), {}, []
    told = {name: when for name, when in before.told.items() if now < when + CALM}
    patient = dict.fromkeys(Kind, (rests or RESTS)[Kind.WRITTEN])
    left = {mark.place for name, mark in before.known.items() if isinstance(mark, Mark) and seen.get(name) is None}
    for name in sorted({*before.known, *seen}):
        signature = seen.get(name)
        if signature == before.known.get(name):
            continue
        # Of a file with another name: told with the old name's end, so that one hands over to the other.
        renamed = name not in before.known and isinstance(signature, Mark) and signature.place in left
        one = _moved(before, name, signature, now, patient if renamed else rests or RESTS, name in arrived)
        if now >= one.due:
            known[name], told[name] = signature, now
            ripe.append(name)
        else:
            moving[name] = one
    gone = [name for name in ripe if seen.get(name) is None]
    for name in gone:
        del known[name]
    return Look(known, moving, told), tuple(gone + [name for name in ripe if name not in gone])


def _moved(
    before: Look, name: str, signature: Signature, now: float, rests: Mapping[Kind, Rest], arrived: bool
) -> Moving:
    known, last = before.known.get(name), before.moving.get(name)
    first, since = now, now
    if last is None:
        change = kind(known, signature, arrived)
    elif signature == last.signature:
        # That it was renamed may be heard later than it is seen.
        change = Kind.REPLACED if kind(known, signature, arrived) is Kind.REPLACED else last.kind
        first, since = last.first, last.since
    else:
        change = kind(last.signature, signature, arrived)
        # To touch what is half written does not make it whole.
        change = last.kind if change is Kind.TOUCHED else change
        first = last.first
    calm = last.calm if last is not None else now >= before.told.get(name, -math.inf) + CALM
    rest = rests[change]
    # That it is not there is told only at rest: it would cost the vassal its life.
    longest = rest.longest if signature is not None else math.inf
    due = min(since + (rest.calm if calm else rest.busy), first + longest)
    return Moving(signature, change, calm, first, since, due)


def next_look(state: Look) -> Optional[float]:
    """When to look again although nobody hinted at anything."""
    return min((one.due for one in state.moving.values()), default=None)
