"""How many start at the same time: a machine that imports two hundred apps at once does none of them well.

A place is given back when the start is over, and lapses after ``PATIENCE``: an app that hangs at its import may keep
itself waiting, not the others. Who has nobody to serve in its stead goes before who is merely to be replaced; but of
``EVERY`` places one is for somebody who has waited long to be replaced. In each of the two lines the owners take
turns: however many one of them starts, another's start has the next place, or the next but as many as owners wait.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Optional

PATIENCE = 3.0
"""Seconds for which a start that does not come to its end keeps its place."""

LONG = 1.0
"""Seconds after which who is merely to be replaced has waited long."""

EVERY = 4
"""Of so many places one is for somebody who has waited long; of fewer, down to two, where there are fewer at once."""

Token = tuple[str, int]
"""A vassal, and the number of its generation."""


class Waiting(NamedTuple):
    """``owner``: the uid that it is to run as. ``since``: when it asked."""

    token: Token
    owner: int
    since: float


@dataclass(frozen=True)
class Line:
    """``turns``: the owners who have had a place from it, who had the last one last."""

    waiting: tuple[Waiting, ...] = ()
    turns: tuple[int, ...] = ()

    @property
    def first(self) -> Waiting:
        """Whose owner has had no place for longest; of one owner's, who has waited longest."""
        last = {owner: turn for turn, owner in enumerate(self.turns)}
        firsts = {self.waiting[place].owner: place for place in reversed(range(len(self.waiting)))}
        return self.waiting[min(firsts.values(), key=lambda place: (last.get(self.waiting[place].owner, -1), place))]

    def with_one(self, one: Waiting) -> Line:
        return replace(self, waiting=(*self.waiting, one))

    def without(self, token: Token) -> Line:
        return replace(self, waiting=tuple(one for one in self.waiting if one.token != token))

    def served(self, one: Waiting) -> Line:
        turns = (*(owner for owner in self.turns if owner != one.owner), one.owner)
        return replace(self.without(one.token), turns=turns)


@dataclass(frozen=True)
class Starting:
    """``places``: at most so many at once, 0: any number. ``inside``: with the time when each place lapses.

    ``passed``: how many places in a row have gone past the patient line while somebody was in it.
    """

    places: int
    inside: tuple[tuple[Token, float], ...] = ()
    urgent: Line = Line()
    patient: Line = Line()
    passed: int = 0

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        return (*self.urgent.waiting, *self.patient.waiting)

    @property
    def lapses(self) -> Optional[float]:
        """When to ask again; None: nobody waits."""
        if not self.waiting:
            return None
        return min((when for _, when in self.inside), default=None)


Step = tuple[Starting, tuple[Token, ...]]
"""What has become of it, and who may begin now."""


def default_places(cpus: int) -> int:
    return max(4, 2 * cpus)


def ask(state: Starting, token: Token, urgent: bool, now: float, owner: int = 0) -> Step:
    """Begin when there is a place. Asked twice is asked once. ``owner``: the uid that it is to run as."""
    if any(token == one for one, _ in state.inside) or any(token == one.token for one in state.waiting):
        return state, ()
    one = Waiting(token, owner, now)
    if urgent:
        return tick(replace(state, urgent=state.urgent.with_one(one)), now)
    return tick(replace(state, patient=state.patient.with_one(one)), now)


def leave(state: Starting, token: Token, now: float) -> Step:
    """Its start is over, or it does not want to begin any more. A stranger's word changes nothing."""
    inside = tuple(one for one in state.inside if one[0] != token)
    if len(inside) < len(state.inside):
        return tick(replace(state, inside=inside), now)
    return tick(replace(state, urgent=state.urgent.without(token), patient=state.patient.without(token)), now)


def tick(state: Starting, now: float) -> Step:
    """Places that have lapsed are free; they are taken in turn."""
    after = replace(state, inside=tuple(one for one in state.inside if one[1] > now))
    admitted: list[Token] = []
    while after.waiting and (not after.places or len(after.inside) < after.places):
        after, token = _admit(after, now)
        admitted.append(token)
    if not after.inside:
        # Nobody starts and nobody waits: nobody's turn is owed to them.
        after = Starting(after.places)
    return after, tuple(admitted)


def _admit(state: Starting, now: float) -> tuple[Starting, Token]:
    someone = bool(state.patient.waiting)
    aged = someone and now >= state.patient.waiting[0].since + LONG
    enough = max(2, min(EVERY, state.places)) - 1
    to_patient = not state.urgent.waiting or (aged and state.passed >= enough)
    one = (state.patient if to_patient else state.urgent).first
    after = replace(state, inside=(*state.inside, (one.token, now + PATIENCE)))
    if to_patient:
        return replace(after, patient=state.patient.served(one), passed=0), one.token
    passed = state.passed + 1 if someone else 0
    return replace(after, urgent=state.urgent.served(one), passed=passed), one.token
