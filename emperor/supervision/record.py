"""A vassal's record: what is wanted of it, what it has, what can happen to it, and what is then to be done.

Frozen values alone; how one becomes the next stands in ``supervision.vassal``. The displayed state is not stored:
``state`` derives it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from emperor.model import Problem, VassalSpec
from emperor.supervision.generation import Action, Generation, Phase


class Wanted(Enum):
    UP = "up"
    DOWN = "down"
    """Stopped by an order; its ini is still there."""
    GONE = "gone"
    """Its ini was removed, or the emperor ends."""


@dataclass(frozen=True)
class Exit:
    """How a generation ended. ``at``: wall-clock seconds, for people."""

    code: Optional[int]
    signal: Optional[int]
    reason: str
    at: float


@dataclass(frozen=True)
class Vassal:
    """``spec``: the newest valid ini. ``proven``: the one that served last. ``holds``: sockets may be open.

    ``last_word``: why the generation that starts is about to exit, as it says itself.
    ``rejected``: why ``spec`` failed to start beside a serving generation; "": it did not.
    ``cut_short``: how many starts in a row were ended because a newer one was wanted.
    ``retry_at``: monotonic seconds.
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
    last_exit: Optional[Exit] = None
    last_number: int = 0

    @property
    def alive(self) -> tuple[Generation, ...]:
        return tuple(one for one in (self.serving, self.incoming, self.outgoing) if one is not None)

    @property
    def running(self) -> bool:
        """Does a generation serve that nobody has told to go?"""
        return self.serving is not None and self.serving.serving


# Events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configured:
    """The ini was read and is valid; ``problems`` are warnings. ``reload``: a running generation is to be replaced."""

    spec: VassalSpec
    problems: tuple[Problem, ...] = ()
    reload: bool = True


@dataclass(frozen=True)
class Misconfigured:
    """``void``: what its ini said before may not run any more either, for its addresses are another's."""

    problems: tuple[Problem, ...]
    void: bool = False


@dataclass(frozen=True)
class Order:
    """``verb``: start, stop, restart, remove or kill."""

    verb: str


@dataclass(frozen=True)
class Queued:
    """Its process is not started yet, for others start: until then no deadline runs."""

    number: int


@dataclass(frozen=True)
class Begun:
    """Its process is started now: from now on its start may take as long as its ini says."""

    number: int


@dataclass(frozen=True)
class Ready:
    number: int


@dataclass(frozen=True)
class BootFailed:
    """A vassal's own word on why it is about to exit."""

    number: int
    reason: str
    traceback: str


@dataclass(frozen=True)
class Exited:
    """The process is gone, or never came to be. ``luck``: the dice, in [0, 1), thrown by the caller."""

    number: int
    exit: Exit
    luck: float


@dataclass(frozen=True)
class Tick:
    """A deadline may have passed."""


VassalEvent = Union[Configured, Misconfigured, Order, Queued, Begun, Ready, BootFailed, Exited, Tick]


# What the performer has to do -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spawn:
    number: int
    spec: VassalSpec


@dataclass(frozen=True)
class Signal:
    """To the process (TERM) or to its whole group (KILL)."""

    number: int
    action: Action


@dataclass(frozen=True)
class Keep:
    """Of the sockets, only this spec's are needed from now on."""

    spec: VassalSpec


@dataclass(frozen=True)
class Release:
    """No generation is left and none is wanted: close and unlink the sockets."""


@dataclass(frozen=True)
class Forget:
    """The record can go."""


Doing = Union[Spawn, Signal, Keep, Release, Forget]


# What is shown --------------------------------------------------------------------------------------------------


def first_fatal(problems: tuple[Problem, ...]) -> str:
    return next((str(one) for one in problems if one.fatal), "")


def state(vassal: Vassal) -> str:
    """The state of CONTRACT.md, a pure function of the record."""
    if vassal.wanted is not Wanted.UP:
        return "STOPPING" if vassal.alive else "STOPPED"
    if vassal.serving is not None:
        if not vassal.serving.serving:
            return "STOPPING"
        return "RELOADING" if vassal.incoming is not None else "RUNNING"
    if vassal.incoming is not None:
        return "STARTING"
    if vassal.exhausted:
        return "FATAL"
    if vassal.retry_at is not None:
        return "BACKOFF"
    if vassal.spec is None:
        return "INVALID"
    return "STARTING"


def next_deadline(vassal: Vassal) -> Optional[float]:
    """When ``Tick`` is due, monotonic seconds."""
    times = [one.deadline for one in vassal.alive if one.deadline is not None]
    pauses = vassal.serving is None and vassal.incoming is None and vassal.wanted is Wanted.UP
    if vassal.retry_at is not None and pauses:
        times.append(vassal.retry_at)
    if vassal.reload_wanted and vassal.wanted is Wanted.UP and not vassal.restart_wanted:
        times.extend(_turns(vassal))
    return min((when for when in times if when < math.inf), default=None)


def _turns(vassal: Vassal) -> Iterator[float]:
    """When a reload that waits may go on although nobody has ended."""
    if vassal.incoming is not None and vassal.incoming.phase is Phase.STARTING:
        yield cut_at(vassal.incoming, vassal.cut_short)
    elif vassal.serving is not None and vassal.outgoing is not None and vassal.outgoing.phase is Phase.RETIRING:
        yield hurried_at(vassal.outgoing)


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
