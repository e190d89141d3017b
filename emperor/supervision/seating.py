"""Who sits in one seat of a crew: a worker, perhaps its successor, and those before it who are on their way out.

It promises: a seat's worker is told to go only when its successor serves, or when its seat is closed; whoever is on its
way out stays there until the kernel says that it has ended. Frozen values alone; the processes are ``crew``'s.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Optional

from emperor.supervision import generation as gen
from emperor.supervision.generation import Action, Event, Generation, Phase
from emperor.supervision.seat import Past

Signals = tuple[tuple[int, Action], ...]
"""To which of the workers, by its number, what is to be sent."""


class Role(Enum):
    SITTING = "sitting"
    INCOMING = "incoming"
    """Started to take the place of who sits there."""
    OUTGOING = "outgoing"
    """Told to go."""


@dataclass(frozen=True)
class Seat:
    """``open``: is anybody to sit there? ``renewals``: how many have been replaced because they were worn.

    ``not_before``: nobody is forked into it earlier, whoever opens it; monotonic seconds.
    """

    index: int
    open: bool = True
    sitting: Optional[Generation] = None
    incoming: Optional[Generation] = None
    outgoing: tuple[Generation, ...] = ()
    past: Past = field(default_factory=Past)
    renewals: int = 0
    not_before: float = 0.0

    @property
    def everybody(self) -> tuple[Generation, ...]:
        inside = (one for one in (self.sitting, self.incoming) if one is not None)
        return (*inside, *self.outgoing)

    @property
    def serves(self) -> bool:
        return self.sitting is not None and self.sitting.phase is Phase.READY


def seated(seat: Seat, worker: Generation) -> Seat:
    """Newly forked: into the empty seat, or to take the place of who sits there."""
    return replace(seat, sitting=worker) if seat.sitting is None else replace(seat, incoming=worker)


def told(seat: Seat, number: int, event: Event, now: float) -> tuple[Seat, Signals]:
    """One of them is told, or has said, something. Nothing happens if it is not there any more."""
    after, signals = _each(seat, event, now, number)
    if after.incoming is None or after.incoming.phase is not Phase.READY:
        return after, signals
    worn = after.sitting
    after = replace(after, sitting=after.incoming, incoming=None)
    if worn is None:
        return after, signals
    worn, actions = gen.step(worn, Event.RETIRE, now)
    after = replace(after, outgoing=(*after.outgoing, worn), renewals=after.renewals + 1)
    return after, (*signals, *((worn.number, action) for action in actions))


def all_told(seat: Seat, event: Event, now: float) -> tuple[Seat, Signals]:
    return _each(seat, event, now, None)


def closed(seat: Seat, now: float) -> tuple[Seat, Signals]:
    """Whoever is there is to go, and nobody comes."""
    after, signals = all_told(seat, Event.RETIRE, now)
    return replace(after, open=False, sitting=None, incoming=None, outgoing=after.everybody), signals


def to_open(seats: Sequence[Seat], wanted: int) -> list[int]:
    """The numbers of the seats to be opened, new ones among them, until there are so many."""
    spare = [seat.index for seat in seats if not seat.open]
    missing = max(0, wanted - (len(seats) - len(spare)))
    return (spare + list(range(len(seats), len(seats) + missing)))[:missing]


def to_close(seats: Sequence[Seat], wanted: int, busy: Container[int]) -> list[int]:
    """Those of the seats that go until there are so few. ``busy``: the numbers of the workers that have a request.

    First where nobody serves, last where somebody would be interrupted; among equals the younger numbers.
    """

    def worth(seat: Seat) -> tuple[int, int]:
        if seat.sitting is None:
            return 0, -seat.index
        return (1 if not seat.serves else 3 if seat.sitting.number in busy else 2), -seat.index

    inside = sorted((seat for seat in seats if seat.open), key=worth)
    return [seat.index for seat in inside[: max(0, len(inside) - wanted)]]


def spared(seat: Seat, number: int, until: float) -> Seat:
    """One of those on their way out is not overdue before then; monotonic seconds."""
    outgoing = (replace(one, deadline=until) if one.number == number else one for one in seat.outgoing)
    return replace(seat, outgoing=tuple(outgoing))


def left(seat: Seat, number: int) -> tuple[Seat, Role]:
    """One of them has ended. Its successor, if there is one, sits there from now on."""
    if seat.sitting is not None and seat.sitting.number == number:
        return replace(seat, sitting=seat.incoming, incoming=None), Role.SITTING
    if seat.incoming is not None and seat.incoming.number == number:
        return replace(seat, incoming=None), Role.INCOMING
    return replace(seat, outgoing=tuple(one for one in seat.outgoing if one.number != number)), Role.OUTGOING


def _each(seat: Seat, event: Event, now: float, number: Optional[int]) -> tuple[Seat, Signals]:
    """``number`` None: everybody."""
    signals: list[tuple[int, Action]] = []

    def step(one: Optional[Generation]) -> Optional[Generation]:
        if one is None or number not in (None, one.number):
            return one
        after, actions = gen.step(one, event, now)
        signals.extend((one.number, action) for action in actions)
        return after

    outgoing = tuple(one for one in map(step, seat.outgoing) if one is not None)
    after = replace(seat, sitting=step(seat.sitting), incoming=step(seat.incoming), outgoing=outgoing)
    return after, tuple(signals)
