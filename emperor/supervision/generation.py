"""One generation of one child: a vassal under the emperor, or a worker under its vassal.

Two rules hold everywhere: the table below decides every phase × event pair, and a generation that is DEAD stays so.
Who starts the next one, and when, is not decided here.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Optional


class Phase(Enum):
    STARTING = "starting"
    """The process runs; it has not said that it serves."""
    READY = "ready"
    """It said so."""
    RETIRING = "retiring"
    """A younger one serves: it finishes what it has, and keeps idle connections open for a last request each."""
    DRAINING = "draining"
    """It was told to finish what it has and to go."""
    DEAD = "dead"


class Event(Enum):
    READY = "ready"
    """Its own word."""
    RETIRE = "retire"
    """A younger generation has taken over."""
    DRAIN = "drain"
    """Somebody wants it to end, gracefully; nobody takes over, or somebody is waiting for its end."""
    KILL = "kill"
    """Somebody wants it to end, now."""
    DEADLINE = "deadline"
    """Its deadline has passed."""
    EXITED = "exited"
    """The kernel's word."""


class Action(Enum):
    RETIRE = "retire"
    TERM = "term"
    KILL = "kill"


@dataclass(frozen=True)
class Patience:
    """Seconds a child may take to say that it serves, and to drain."""

    start: float
    drain: float


@dataclass(frozen=True)
class Generation:
    """``deadline``: when DEADLINE is due (monotonic seconds), None: never. ``late``: it overran its start."""

    number: int
    phase: Phase
    born: float
    patience: Patience
    ready_at: Optional[float] = None
    deadline: Optional[float] = None
    late: bool = False

    @property
    def alive(self) -> bool:
        return self.phase is not Phase.DEAD

    @property
    def serving(self) -> bool:
        return self.phase is Phase.READY

    @property
    def had_served(self) -> bool:
        return self.ready_at is not None


def born(number: int, patience: Patience, now: float) -> Generation:
    return Generation(number, Phase.STARTING, now, patience, deadline=now + patience.start)


UNBORN = 5.0
"""Seconds at most for the end of one that has not served yet: it has no request in flight, and its successor waits."""

LEAVING = (Phase.RETIRING, Phase.DRAINING)
"""It was told to go: its end is no failure."""

TABLE: dict[tuple[Phase, Event], tuple[Phase, tuple[Action, ...]]] = {
    (Phase.STARTING, Event.READY): (Phase.READY, ()),
    (Phase.STARTING, Event.RETIRE): (Phase.DRAINING, (Action.TERM,)),
    (Phase.STARTING, Event.DRAIN): (Phase.DRAINING, (Action.TERM,)),
    (Phase.STARTING, Event.KILL): (Phase.DRAINING, (Action.KILL,)),
    # A start that takes too long has nothing in flight that could be lost.
    (Phase.STARTING, Event.DEADLINE): (Phase.DRAINING, (Action.KILL,)),
    (Phase.STARTING, Event.EXITED): (Phase.DEAD, ()),
    (Phase.READY, Event.READY): (Phase.READY, ()),
    (Phase.READY, Event.RETIRE): (Phase.RETIRING, (Action.RETIRE,)),
    (Phase.READY, Event.DRAIN): (Phase.DRAINING, (Action.TERM,)),
    (Phase.READY, Event.KILL): (Phase.DRAINING, (Action.KILL,)),
    (Phase.READY, Event.DEADLINE): (Phase.READY, ()),
    (Phase.READY, Event.EXITED): (Phase.DEAD, ()),
    (Phase.RETIRING, Event.READY): (Phase.RETIRING, ()),
    (Phase.RETIRING, Event.RETIRE): (Phase.RETIRING, ()),
    (Phase.RETIRING, Event.DRAIN): (Phase.DRAINING, (Action.TERM,)),
    (Phase.RETIRING, Event.KILL): (Phase.DRAINING, (Action.KILL,)),
    (Phase.RETIRING, Event.DEADLINE): (Phase.DRAINING, (Action.KILL,)),
    (Phase.RETIRING, Event.EXITED): (Phase.DEAD, ()),
    (Phase.DRAINING, Event.READY): (Phase.DRAINING, ()),
    (Phase.DRAINING, Event.RETIRE): (Phase.DRAINING, ()),
    (Phase.DRAINING, Event.DRAIN): (Phase.DRAINING, ()),
    (Phase.DRAINING, Event.KILL): (Phase.DRAINING, (Action.KILL,)),
    (Phase.DRAINING, Event.DEADLINE): (Phase.DRAINING, (Action.KILL,)),
    (Phase.DRAINING, Event.EXITED): (Phase.DEAD, ()),
    (Phase.DEAD, Event.READY): (Phase.DEAD, ()),
    (Phase.DEAD, Event.RETIRE): (Phase.DEAD, ()),
    (Phase.DEAD, Event.DRAIN): (Phase.DEAD, ()),
    (Phase.DEAD, Event.KILL): (Phase.DEAD, ()),
    (Phase.DEAD, Event.DEADLINE): (Phase.DEAD, ()),
    (Phase.DEAD, Event.EXITED): (Phase.DEAD, ()),
}


def step(generation: Generation, event: Event, now: float) -> tuple[Generation, tuple[Action, ...]]:
    """What becomes of it, and what the owner has to do to the process."""
    before = generation.phase
    phase, actions = TABLE[before, event]
    after = replace(generation, phase=phase)
    if event is Event.DEADLINE or phase is Phase.DEAD:
        # Killed once is killed: only the kernel's word is still to come.
        after = replace(
            after, deadline=None, late=generation.late or (before is Phase.STARTING and event is Event.DEADLINE)
        )
    elif phase is Phase.READY and before is not Phase.READY:
        after = replace(after, ready_at=now, deadline=None)
    elif phase in LEAVING and before not in LEAVING:
        mercy = generation.patience.drain
        after = replace(after, deadline=now + (min(mercy, UNBORN) if before is Phase.STARTING else mercy))
    elif event is Event.READY and generation.ready_at is None and generation.deadline is not None:
        # It was told to go as it began to serve: it may have taken requests. Said again, it buys nothing.
        after = replace(after, ready_at=now, deadline=now + generation.patience.drain)
    elif event is Event.DRAIN:
        # By now it is wanted gone anyway: what was a failure is an order.
        after = replace(after, late=False)
    return after, actions
