"""Does what the lifecycle of one vassal asks for: spawns and signals, holds its sockets, hears what it says.

It decides nothing about the lifecycle; it tells what happened, and ``supervision.vassal`` decides.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from emperor.errors import EmperorError, SpawnError
from emperor.holding.holdings import Holdings
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.supervision.channel import Failed, Listening, Lost, Message, Serving, WorkerReport, Workers
from emperor.supervision.commission import SERVE, Commission
from emperor.supervision.generation import Action
from emperor.supervision.record import (
    Begun,
    BootFailed,
    Doing,
    Exit,
    Exited,
    Forget,
    Keep,
    Queued,
    Ready,
    Release,
    Signal,
    Spawn,
    VassalEvent,
)
from emperor.system import limits, privilege, processes
from emperor.system.closer import Closer, Share
from emperor.system.eventloop import Loop
from emperor.system.logs import Ring
from emperor.tending.burials import Burials
from emperor.tending.crib import (
    Crib,
    CribState,
    GraveState,
    adopt_child,
    export_crib,
)
from emperor.tending.hearing import NOTHING_YET, Heard, Hearing, Listener
from emperor.tending.startgate import StartGate
from emperor.tending.vassallog import VassalLog

MOST_HANDED_OVER = 32768
"""Characters of a vassal's last lines that an upgrade keeps."""
MAX_WAKE = 30.0
"""Seconds that the workers of a killed generation have at most."""
DESCRIPTORS = 8
"""Of ours, at most, while a generation is started: channel, output, log, pidfd, commission, and subprocess's own."""


@dataclass(frozen=True)
class PerformerState:
    """What is handed over; ``lines`` and ``count`` are the ring's."""

    cribs: tuple[CribState, ...]
    unburied: tuple[GraveState, ...]
    lines: tuple[str, ...]
    count: int


class Performer:
    """The hands of one vassal's record."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        journal: Journal,
        launcher: str,
        holdings: Holdings,
        log: VassalLog,
        closer: Closer,
        gate: StartGate,
        tell: Callable[[VassalEvent], None],
        forget: Callable[[], None],
    ) -> None:
        self.name, self.holdings, self.log = name, holdings, log
        self._loop, self._journal, self._launcher = loop, journal, launcher
        self._closer, self._gate, self._tell, self._forget = closer, gate, tell, forget
        self._cribs: dict[int, Crib] = {}
        self._burials = Burials(loop)
        self._postponed: Spawn | None = None

    @property
    def ring(self) -> Ring:
        return self.log.ring

    def pid(self, number: int) -> int:
        """0: no such process."""
        crib = self._cribs.get(number)
        return crib.child.pid if crib is not None else 0

    def born(self, number: int) -> float | None:
        """When its process was started, monotonic seconds."""
        crib = self._cribs.get(number)
        return crib.child.born if crib is not None else None

    def workers(self, number: int) -> tuple[WorkerReport, ...]:
        crib = self._cribs.get(number)
        return crib.workers if crib is not None else ()

    def do(self, doing: Doing) -> None:
        _DO[type(doing)](self, doing)  # type: ignore[operator]  # each is filed under the type that it takes

    def reopen_logs(self) -> None:
        """Ours, and those that vassals keep themselves."""
        self.log.reopen()
        for crib in self._cribs.values():
            if crib.serving:
                processes.ask_to_reopen(crib.child)

    def spawn(self, order: Spawn) -> None:
        self._postponed = order
        self._ask_to_begin()
        if self._postponed is order:
            self._tell(Queued(order.number))

    def _ask_to_begin(self) -> None:
        """Not while its socket files are being removed, and not with too many others."""
        order = self._postponed
        if order is None:
            return
        if self.holdings.being_removed(order.spec):
            self.holdings.when_removed(self._ask_to_begin)
            return
        nobody_serves = not any(crib.serving for crib in self._cribs.values())
        owner = order.spec.identity.uid
        self._gate.enter((self.name, order.number), nobody_serves, lambda: self._begin(order), owner)

    def _begin(self, order: Spawn) -> None:
        """Called on behalf of anybody: a bug here is no other vassal's, and leaves no generation without a process."""
        if self.holdings.being_removed(order.spec):
            self._gate.leave((self.name, order.number))
            self._ask_to_begin()
            return
        self._postponed = None
        try:
            self._start(order)
        except Exception as error:
            self._journal.bug(error)
            self._failed_to_start(order.number, f"not started: {error}")

    def _start(self, order: Spawn) -> None:
        spec = order.spec
        try:
            limits.keep_reserve(DESCRIPTORS + len(spec.sockets))
            if self._share(spec).spent:
                raise SpawnError(f"start: what earlier vassals of {spec.identity.user} sent hangs in close(2)")
            self.log.follow(spec)
            listeners = self.holdings.provide(spec, order.number)
            places, leftovers = self.holdings.places(spec), self.holdings.leftovers(spec)
            commission = Commission(SERVE, spec, listeners, places, self.log.kept_by_vassal, os.getpid(), leftovers)
            child = processes.spawn(commission, self._launcher)
        except EmperorError as error:
            self._failed_to_start(order.number, str(error))
            return
        self._attend(Crib(order.number, spec, child, self._launcher))
        self._tell(Begun(order.number))
        if os.geteuid() == 0:
            try:
                privilege.verify(child.pid, spec.identity)
            except SpawnError as error:
                self._journal.warning(self.name, str(error))
                processes.kill_group(child)

    def signal(self, order: Signal) -> None:
        if self._postponed is not None and self._postponed.number == order.number:
            self._postponed = None
            self._failed_to_start(order.number, "not started")
        crib = self._cribs.get(order.number)
        if crib is None:
            return
        if order.action is Action.KILL:
            processes.kill_group(crib.child)
        else:
            processes.drain(crib.child, retire=order.action is Action.RETIRE)

    def keep(self, order: Keep) -> None:
        self.holdings.keep(order.spec)

    def release(self, order: Release) -> None:
        self._burials.bury_all()
        self.holdings.release()

    def forget(self, order: Forget) -> None:
        self.log.close()
        self._forget()

    def _failed_to_start(self, number: int, reason: str) -> None:
        self._gate.leave((self.name, number))
        self.holdings.give_up(number)
        self.log.say(reason)
        self._tell(Exited(number, Exit(None, None, reason, time.time()), random.random()))

    def export(self) -> PerformerState:
        cribs = tuple(export_crib(crib) for crib in self._cribs.values())
        return PerformerState(cribs, self._burials.export(), self.ring.tail(MOST_HANDED_OVER), self.ring.count)

    def adopt(self, state: PerformerState) -> None:
        """Go on where an older program of ours was, in this very process."""
        self.ring.refill(state.lines, state.count)
        for grave in state.unburied:
            self._burials.lay_out(adopt_child(grave.child), grave.due)
        for one in state.cribs:
            self.log.follow(one.spec)
            crib = Crib(one.number, one.spec, adopt_child(one.child), one.launcher)
            crib.workers, crib.serving = one.workers, one.serving
            self._attend(crib, one.heard)

    def _attend(self, crib: Crib, heard: Heard = NOTHING_YET) -> None:
        self._cribs[crib.number] = crib
        listener = Listener(
            lambda message, fd: self._hear(crib, message, fd),
            self.log.hear,
            lambda complaint: self._journal.warning(self.name, complaint),
        )
        crib.hearing = Hearing(crib.child, self._loop, self._share(crib.spec), listener, heard)
        crib.hearing.start()
        self._loop.watch(crib.child.pidfd, lambda: self._ended(crib))

    def _share(self, spec: VassalSpec) -> Share:
        return self._closer.share(spec.identity.uid)

    def _hear(self, crib: Crib, message: Message, fd: int | None) -> None:
        if isinstance(message, Listening) and fd is not None:
            self.holdings.take(crib.spec, message, fd)
            return
        if isinstance(message, (Serving, Failed)):
            self._gate.leave((self.name, crib.number))
        _HEAR[type(message)](self, crib, message)

    def _hear_serving(self, crib: Crib, message: Serving) -> None:
        crib.serving = True
        self._tell(Ready(crib.number))

    def _hear_failed(self, crib: Crib, message: Failed) -> None:
        self._tell(BootFailed(crib.number, message.reason, message.traceback))

    def _hear_workers(self, crib: Crib, message: Workers) -> None:
        crib.workers = message.workers

    def _hear_word(self, crib: Crib, message: Listening) -> None:
        self.holdings.hear_word(crib.spec, message)

    def _hear_lost(self, crib: Crib, message: Lost) -> None:
        if crib.number == max(self._cribs):
            self.holdings.hear_lost(crib.spec, message)

    def _ended(self, crib: Crib) -> None:
        """Its last words first, then its end. Its group is swept later if it may still have requests in flight."""
        self._loop.unwatch(crib.child.pidfd)
        assert crib.hearing is not None
        crib.hearing.stop()
        self._cribs.pop(crib.number, None)
        self._gate.leave((self.name, crib.number))
        self.holdings.give_up(crib.number)
        ended = _in_words(crib, processes.how_it_ended(crib.child))
        # Killed: its workers are finishing what they have. The zombie keeps their group's number ours.
        wake = 0.0 if ended.signal is None else min(crib.spec.reload_mercy, MAX_WAKE)
        self._burials.lay_out(crib.child, self._loop.now() + wake)
        self._tell(Exited(crib.number, ended, random.random()))


def _in_words(crib: Crib, ended: Exit) -> Exit:
    """An interpreter that could not be exec'd is the shell's exit code; its own words are in the log."""
    words = {processes.NOT_FOUND: "no such program", processes.NOT_EXECUTABLE: "it cannot be executed"}
    if crib.serving or not crib.spec.python or ended.code not in words:
        return ended
    who = crib.spec.identity.user
    return replace(ended, reason=f"exec {crib.spec.python} as {who}: {words[ended.code]}")


# Any, for each takes exactly the type that it is filed under.
_HEAR: dict[type, Callable[[Performer, Crib, Any], None]] = {
    Listening: Performer._hear_word,
    Lost: Performer._hear_lost,
    Serving: Performer._hear_serving,
    Failed: Performer._hear_failed,
    Workers: Performer._hear_workers,
}

_DO = {
    Spawn: Performer.spawn,
    Signal: Performer.signal,
    Keep: Performer.keep,
    Release: Performer.release,
    Forget: Performer.forget,
}
