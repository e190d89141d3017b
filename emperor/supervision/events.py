"""What can happen to a vassal, and what its record then asks for. Frozen values alone.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

from emperor.model import Problem, VassalSpec
from emperor.supervision.generation import Action


@dataclass(frozen=True)
class Exit:
    """How a generation ended. ``at``: wall-clock seconds, for people."""

    code: Optional[int]
    signal: Optional[int]
    reason: str
    at: float


# Events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configured:
    """The ini was read and is valid; ``problems`` are warnings. ``reload``: a running generation is to be replaced.

    ``why``: told to people, if it is not the ini that has changed.
    """

    spec: VassalSpec
    problems: tuple[Problem, ...] = ()
    reload: bool = True
    why: str = ""


@dataclass(frozen=True)
class Misconfigured:
    """``void``: what its ini said before may not run any more either, for its addresses are another's."""

    problems: tuple[Problem, ...]
    void: bool = False


@dataclass(frozen=True)
class Order:
    """``verb``: start, stop, restart, remove, kill or scale (to so many ``workers``). ``why``: told to people."""

    verb: str
    workers: int = 0
    why: str = ""


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
class Called:
    """Somebody has connected to one that is asleep."""


@dataclass(frozen=True)
class Tired:
    """A generation's own word: nobody has asked it for anything for as long as its ini's ``idle``."""

    number: int


@dataclass(frozen=True)
class Outdated:
    """A generation's own word: what its app was made of has changed."""

    number: int


@dataclass(frozen=True)
class Resized:
    """A generation's own word: how many workers serve now, and how many are on their way out."""

    number: int
    workers: int
    leaving: int


@dataclass(frozen=True)
class Tick:
    """A deadline may have passed."""


VassalEvent = Union[
    Configured,
    Misconfigured,
    Order,
    Queued,
    Begun,
    Ready,
    BootFailed,
    Exited,
    Called,
    Tired,
    Outdated,
    Resized,
    Tick,
]


# What the performer has to do -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spawn:
    """``workers``: how many at most, 0: as the spec says. ``binds``: it only opens what sockets are not open yet.

    One that binds ends with code 0 once all of them are; if none is its user's to bind, it needs no process.
    """

    number: int
    spec: VassalSpec
    workers: int = 0
    binds: bool = False


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
class Doze:
    """Nobody serves: tell when somebody connects, until the next Spawn, Wake or Release."""


@dataclass(frozen=True)
class Wake:
    """Whoever connects is not to be told of any more."""


@dataclass(frozen=True)
class Resize:
    """A generation that serves is to have so many workers."""

    number: int
    workers: int


@dataclass(frozen=True)
class Release:
    """No generation is left and none is wanted: close and unlink the sockets."""


@dataclass(frozen=True)
class Forget:
    """The record can go."""


Doing = Union[Spawn, Signal, Keep, Doze, Wake, Resize, Release, Forget]
