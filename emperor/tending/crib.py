"""One living child of a vassal and what we know of it, and how it is handed over to the program that replaces us.

Descriptors are named by their numbers: they keep them over an exec.
"""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass

from emperor.model import VassalSpec
from emperor.supervision.events import Exit
from emperor.supervision.reports import WorkerReport, of_rows
from emperor.supervision.totals import EMPTY, Totals
from emperor.system.processes import Child
from emperor.tending.hearing import Heard, Hearing


@dataclass
class Crib:
    """``launcher``: the program that it was started with, of this emperor or of an older one.

    ``binds``: it only opens sockets, and ends. ``obeys``: it hears orders; a vassal of an older program does not.
    ``stale_at``: when its word that its app has changed was last written down, monotonic seconds.
    ``told``: to go; it binds nothing for us any more. ``spoke``: we have heard a message of it.
    ``confessed``: it has said itself why it fails, also in the log.
    ``ended``: how the generation's own process ended, if this one only looks why.
    """

    number: int
    spec: VassalSpec
    child: Child
    launcher: str
    hearing: Hearing | None = None
    workers: tuple[WorkerReport, ...] = ()
    totals: Totals = EMPTY
    serving: bool = False
    binds: bool = False
    obeys: bool = True
    stale_at: float = -math.inf
    told: bool = False
    spoke: bool = False
    confessed: bool = False
    ended: Exit | None = None

    @property
    def done(self) -> Totals:
        """All that its workers have done."""
        return self.totals if self.totals != EMPTY else of_rows(self.workers)


@dataclass(frozen=True)
class ChildState:
    """``channel`` -1: it has none; ``output`` -1: we let go of it, for it is dead."""

    pid: int
    pidfd: int
    channel: int
    output: int
    born: float

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(fd for fd in (self.pidfd, self.channel, self.output) if fd >= 0)


@dataclass(frozen=True)
class CribState:
    number: int
    spec: VassalSpec
    child: ChildState
    launcher: str
    heard: Heard
    workers: tuple[WorkerReport, ...]
    serving: bool
    binds: bool = False
    obeys: bool = False
    told: bool = False
    totals: Totals = EMPTY


@dataclass(frozen=True)
class GraveState:
    """One that is dead and not reaped. ``due``: when its group is swept, monotonic seconds."""

    child: ChildState
    due: float


def export_crib(crib: Crib) -> CribState:
    assert crib.hearing is not None
    child, heard = export_child(crib.child), crib.hearing.export()
    return CribState(
        crib.number,
        crib.spec,
        child,
        crib.launcher,
        heard,
        crib.workers,
        crib.serving,
        crib.binds,
        crib.obeys,
        crib.told,
        crib.totals,
    )


def adopt_crib(state: CribState) -> Crib:
    """The inverse, but for its hearing, which begins anew."""
    return Crib(
        state.number,
        state.spec,
        adopt_child(state.child),
        state.launcher,
        workers=state.workers,
        serving=state.serving,
        binds=state.binds,
        obeys=state.obeys,
        told=state.told,
        totals=state.totals,
    )


def export_child(child: Child, dead: bool = False) -> ChildState:
    """``dead``: nothing but its pidfd is open any more."""
    channel = -1 if dead or child.channel is None else child.channel.fileno()
    return ChildState(child.pid, child.pidfd, channel, -1 if dead else child.output, child.born)


def adopt_child(state: ChildState) -> Child:
    """Close-on-exec, as if we had opened them."""
    for fd in state.descriptors:
        os.set_inheritable(fd, False)
    channel = socket.socket(fileno=state.channel) if state.channel >= 0 else None
    if channel is not None:
        channel.setblocking(False)
    return Child(state.pid, state.pidfd, channel, state.output, state.born)
