"""A vassal's record: what is wanted of it, what it has, what can happen to it, and what is then to be done.

Frozen values alone; how one becomes the next stands in ``supervision.vassal``. The displayed state is not stored:
``state`` derives it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Optional

from emperor.model import Problem, VassalSpec
from emperor.supervision.events import Exit
from emperor.supervision.generation import Generation, Phase


class Wanted(Enum):
    UP = "up"
    DOWN = "down"
    """Stopped by an order; its ini is still there."""
    GONE = "gone"
    """Its ini was removed, or the emperor ends."""


@dataclass(frozen=True)
class Roll:
    """A rolling reload. ``young``, ``old``: how many workers the two generations were told to have. ``goal``: how many
    the young one is to have in the end.

    ``yields``: it is the old one's turn to let go of a worker, else the young one's to gain one. ``before``: what the
    old one serves. ``due``: when this step is not waited for any longer, monotonic seconds.
    """

    young: int
    old: int
    goal: int
    before: VassalSpec
    due: float
    yields: bool = True


@dataclass(frozen=True)
class Vassal:
    """``spec``: the newest valid ini. ``proven``: the one that served last. ``holds``: sockets may be open.

    ``last_word``: why the generation that starts is about to exit, as it says itself.
    ``rejected``: why ``spec`` failed to start beside a serving generation; "": it did not.
    ``cut_short``: how many starts in a row were ended because a newer one was wanted.
    ``retry_at``: monotonic seconds.
    ``asleep``: nobody is to serve until somebody connects; ``heeds``: whose sockets are listened to for that;
    ``opened``: whose were opened for it last.
    ``binds``: the generation that starts only opens sockets; ``few``: how many workers it has at first, 0: all.
    ``scaled``: how many workers were ordered, None: as the ini says; ``scaled_by``: until when that is waited for.
    ``crew``, ``leaving``: how many serve, and how many finish what they have, by their vassal's word.
    ``outdated``: it said that what its app was made of has changed; ``trusted_at``: from when on such a word starts
    another one, after so many ``misled`` ones in a row did not serve.
    ``size``: how many workers the serving one was told to have, 0: as its spec says.
    ``roll``: its workers take the places of its predecessor's one after another.
    """

    name: str
    wanted: Wanted = Wanted.UP
    spec: Optional[VassalSpec] = None
    proven: Optional[VassalSpec] = None
    problems: tuple[Problem, ...] = ()
    error: str = ""
    traceback: str = ""
    last_word: str = ""
    serving: Optional[Generation] = None
    incoming: Optional[Generation] = None
    outgoing: Optional[Generation] = None
    incoming_spec: Optional[VassalSpec] = None
    reload_wanted: bool = False
    restart_wanted: bool = False
    cut_short: int = 0
    rejected: str = ""
    exhausted: bool = False
    holds: bool = False
    failures: int = 0
    retry_at: Optional[float] = None
    restarts: int = 0
    reloads: int = 0
    last_exit: Optional[Exit] = None
    last_number: int = 0
    asleep: bool = False
    heeds: Optional[VassalSpec] = None
    opened: Optional[VassalSpec] = None
    binds: bool = False
    few: int = 0
    outdated: bool = False
    misled: int = 0
    trusted_at: float = 0.0
    size: int = 0
    scaled: Optional[int] = None
    scaled_by: Optional[float] = None
    crew: Optional[int] = None
    leaving: int = 0
    roll: Optional[Roll] = None

    @property
    def alive(self) -> tuple[Generation, ...]:
        return tuple(one for one in (self.serving, self.incoming, self.outgoing) if one is not None)

    @property
    def choice(self) -> Optional[VassalSpec]:
        """What is started next: what served, or was heeded, is better than what has failed beside or after it."""
        return ((self.proven or self.opened) if self.rejected else None) or self.spec

    def crew_of(self, spec: VassalSpec) -> int:
        """How many workers a generation of it is to have; with ``cheaper``, at most."""
        return self.scaled or spec.processes

    @property
    def running(self) -> bool:
        """Does a generation serve that nobody has told to go?"""
        return self.serving is not None and self.serving.serving


# What is shown --------------------------------------------------------------------------------------------------


def first_fatal(problems: tuple[Problem, ...]) -> str:
    return next((str(one) for one in problems if one.fatal), "")


def state(vassal: Vassal) -> str:
    """The state of CONTRACT.md, a pure function of the record."""
    if vassal.wanted is not Wanted.UP:
        return "STOPPING" if vassal.alive else "STOPPED"
    if vassal.serving is not None:
        return _serving_state(vassal, vassal.serving)
    if vassal.heeds is not None and vassal.incoming is None:
        return "IDLE"
    if vassal.incoming is not None:
        return "STARTING"
    if vassal.exhausted:
        return "FATAL"
    if vassal.retry_at is not None:
        return "BACKOFF"
    if vassal.spec is None:
        return "INVALID"
    return "STARTING"


def _serving_state(vassal: Vassal, one: Generation) -> str:
    if not one.serving:
        return "STOPPING"
    return "RELOADING" if vassal.incoming is not None or vassal.roll is not None else "RUNNING"


def next_deadline(vassal: Vassal) -> Optional[float]:
    """When ``Tick`` is due, monotonic seconds."""
    times = [one.deadline for one in vassal.alive if one.deadline is not None]
    pauses = vassal.serving is None and vassal.incoming is None and vassal.wanted is Wanted.UP
    if vassal.retry_at is not None and pauses:
        times.append(vassal.retry_at)
    if vassal.reload_wanted and vassal.wanted is Wanted.UP and not vassal.restart_wanted and not vassal.asleep:
        times.extend(_turns(vassal))
    at_rest = vassal.running and vassal.incoming is None and not vassal.reload_wanted
    if vassal.outdated and at_rest and vassal.wanted is Wanted.UP:
        times.append(heard_at(vassal))
    if vassal.roll is not None:
        times.append(vassal.roll.due)
    if vassal.scaled_by is not None:
        times.append(vassal.scaled_by)
    return min((when for when in times if when < math.inf), default=None)


def _turns(vassal: Vassal) -> Iterator[float]:
    """When a reload that waits may go on although nobody has ended."""
    if vassal.incoming is not None and vassal.incoming.phase is Phase.STARTING:
        yield cut_at(vassal.incoming, vassal.cut_short)
    elif vassal.serving is not None and vassal.outgoing is not None and vassal.outgoing.phase is Phase.RETIRING:
        yield hurried_at(vassal.outgoing)


AWAKE = 1.0
"""Seconds that a generation serves at least before its own word ends it: that it is tired, or outdated. What a user's
program says must not cost the emperor a start after the other."""


def heard_at(vassal: Vassal) -> float:
    """From when on the serving generation's own word ends it, monotonic seconds."""
    if vassal.serving is None or vassal.serving.ready_at is None:
        return math.inf
    return max(vassal.serving.ready_at + AWAKE, vassal.trusted_at)


MISLED = 10
"""So many failed reloads in a row, which nobody but the app itself asked for, follow each other at ``AWAKE``: somebody
mends a line and saves. After that the pauses double."""


def distrust(misled: int) -> float:
    """Seconds until the next word is heeded."""
    return AWAKE * 2.0 ** min(max(0, misled - MISLED), 6)


UNDISTURBED = 2.0
"""Seconds that a start has before it is ended for a newer one, if one before it was; then four times as many, and on.
So a reload at any moment takes effect soon, and reloads without end cannot keep every start from its end."""


def cut_at(starting: Generation, cut_short: int) -> float:
    """From when on a start may be ended for a newer one, monotonic seconds."""
    if not cut_short:
        return starting.born
    if starting.deadline is None:
        # It waits for its turn, and would have to wait again.
        return math.inf
    return starting.born + UNDISTURBED * 4.0 ** (min(cut_short, 16) - 1)


HURRY = 0.5
"""Seconds that a retiring generation has although a newer one waits for its end: a kept connection that is closed as a
request arrives makes a web server fail it, and those that are not idle have had their last answer by then."""


def hurried_at(outgoing: Generation) -> float:
    """From when on it is told to go at once, monotonic seconds."""
    if outgoing.deadline is None or outgoing.phase is not Phase.RETIRING:
        return 0.0
    return min(outgoing.deadline, outgoing.deadline - outgoing.patience.drain + HURRY)
