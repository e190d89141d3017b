"""How many start at the same time: a machine that imports two hundred apps at once does none of them well.

A place is given back when the start is over, and lapses after ``PATIENCE``: an app that hangs at its import may keep
itself waiting, not the others. Who has nobody to serve in its stead goes before who is merely to be replaced.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

PATIENCE = 3.0
"""Seconds for which a start that does not come to its end keeps its place."""

Token = tuple[str, int]
"""A vassal, and the number of its generation."""


@dataclass(frozen=True)
class Starting:
    """``places``: at most so many at once, 0: any number. ``inside``: with the time when each place lapses."""

    places: int
    inside: tuple[tuple[Token, float], ...] = ()
    urgent: tuple[Token, ...] = ()
    patient: tuple[Token, ...] = ()

    @property
    def lapses(self) -> Optional[float]:
        """When to ask again; None: nobody waits."""
        if not (self.urgent or self.patient):
            return None
        return min((when for _, when in self.inside), default=None)


Step = tuple[Starting, tuple[Token, ...]]
"""What has become of it, and who may begin now."""


def default_places(cpus: int) -> int:
    return max(4, 2 * cpus)


def ask(state: Starting, token: Token, urgent: bool, now: float) -> Step:
    """Begin when there is a place. Asked twice is asked once."""
    if any(token == one for one, _ in state.inside) or token in (*state.urgent, *state.patient):
        return state, ()
    line = "urgent" if urgent else "patient"
    return tick(replace(state, **{line: (*getattr(state, line), token)}), now)  # type: ignore[arg-type]  # both are lines


def leave(state: Starting, token: Token, now: float) -> Step:
    """Its start is over, or it does not want to begin any more. A stranger's word changes nothing."""
    return tick(
        replace(
            state,
            inside=tuple(one for one in state.inside if one[0] != token),
            urgent=tuple(one for one in state.urgent if one != token),
            patient=tuple(one for one in state.patient if one != token),
        ),
        now,
    )


def tick(state: Starting, now: float) -> Step:
    """Places that have lapsed are free; whoever has waited longest takes them."""
    inside = tuple(one for one in state.inside if one[1] > now)
    waiting = (*state.urgent, *state.patient)
    room = max(0, state.places - len(inside)) if state.places else len(waiting)
    urgent = min(room, len(state.urgent))
    admitted = waiting[:room]
    after = replace(
        state,
        inside=(*inside, *((token, now + PATIENCE) for token in admitted)),
        urgent=state.urgent[urgent:],
        patient=state.patient[room - urgent :],
    )
    return after, admitted
