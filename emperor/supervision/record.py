"""A vassal's record: what is wanted of it, what it has, what can happen to it, and what is then to be done.

Frozen values alone; how one becomes the next stands in ``supervision.vassal``. The displayed state is not stored:
``state`` derives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Union

from emperor.model import Problem, VassalSpec
from emperor.supervision.generation import Action, Generation


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
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Order:
    """``verb``: start, stop, restart, remove or kill."""

    verb: str


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


VassalEvent = Union[Configured, Misconfigured, Order, Ready, BootFailed, Exited, Tick]


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
    if vassal.retry_at is not None and vassal.wanted is Wanted.UP:
        times.append(vassal.retry_at)
    return min(times, default=None)
