"""Does what the lifecycle of one vassal asks for: spawns and signals, holds its sockets, hears what it says.

It decides nothing about the lifecycle; it tells what happened, and ``supervision.vassal`` decides.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from emperor.errors import ChannelError, EmperorError, SpawnError
from emperor.hearing import Hearing, Listener
from emperor.holdings import Holdings
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.supervision.channel import Failed, Listening, Message, Serving, WorkerReport, Workers
from emperor.supervision.commission import SERVE, Commission
from emperor.supervision.generation import Action
from emperor.supervision.record import (
    BootFailed,
    Doing,
    Exit,
    Exited,
    Forget,
    Keep,
    Ready,
    Release,
    Signal,
    Spawn,
    VassalEvent,
)
from emperor.system import privilege, processes
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.logs import Ring
from emperor.system.processes import Child
from emperor.vassallog import VassalLog

MAX_UNBURIED = 2
"""Killed generations whose workers may still be finishing; an older one is swept when there are more."""
MAX_WAKE = 30.0
"""Seconds that the workers of a killed generation have at most."""
REAP_AGAIN = 1.0


@dataclass
class Crib:
    """One living child and what we know of it."""

    number: int
    spec: VassalSpec
    child: Child
    hearing: Hearing | None = None
    workers: tuple[WorkerReport, ...] = ()
    serving: bool = False


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
        tell: Callable[[VassalEvent], None],
        forget: Callable[[], None],
    ) -> None:
        self.name, self.holdings, self.log = name, holdings, log
        self._loop, self._journal, self._launcher = loop, journal, launcher
        self._closer, self._tell, self._forget = closer, tell, forget
        self._cribs: dict[int, Crib] = {}
        self._unburied: list[Child] = []
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
        spec = order.spec
        if self.holdings.being_removed(spec):
            self._postponed = order
            self.holdings.when_removed(self._spawn_postponed)
            return
        try:
            self.log.follow(spec)
            listeners = self.holdings.provide(spec)
            commission = Commission(
                SERVE, spec, listeners, self.holdings.places(spec), self.log.kept_by_vassal, os.getpid()
            )
            child = processes.spawn(commission, self._launcher)
        except EmperorError as error:
            self._failed_to_start(order.number, str(error))
            return
        self._attend(Crib(order.number, spec, child))
        if os.geteuid() == 0:
            try:
                privilege.verify(child.pid, spec.identity)
            except SpawnError as error:
                self._journal.warning(self.name, str(error))
                processes.kill_group(child)

    def _spawn_postponed(self) -> None:
        order, self._postponed = self._postponed, None
        if order is not None:
            self.spawn(order)

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
        for child in list(self._unburied):
            self._bury(child)
        self.holdings.release()

    def forget(self, order: Forget) -> None:
        self.log.close()
        self._forget()

    def _failed_to_start(self, number: int, reason: str) -> None:
        self.log.say(reason)
        self._tell(Exited(number, Exit(None, None, reason, time.time()), random.random()))

    def _attend(self, crib: Crib) -> None:
        self._cribs[crib.number] = crib
        listener = Listener(
            lambda message, fd: self._hear(crib, message, fd),
            self.log.hear,
            lambda complaint: self._journal.warning(self.name, complaint),
        )
        crib.hearing = Hearing(crib.child, self._loop, self._closer, listener)
        crib.hearing.start()
        self._loop.watch(crib.child.pidfd, lambda: self._ended(crib))

    def _hear(self, crib: Crib, message: Message, fd: int | None) -> None:
        if isinstance(message, Listening):
            if fd is None:
                raise ChannelError("channel: a listener without its descriptor")
            self.holdings.take(crib.spec, message, fd)
            return
        if fd is not None:
            self._closer.close(fd)
        if isinstance(message, Serving):
            crib.serving = True
            self._tell(Ready(crib.number))
        elif isinstance(message, Failed):
            self._tell(BootFailed(crib.number, message.reason, message.traceback))
        elif isinstance(message, Workers):
            crib.workers = message.workers

    def _ended(self, crib: Crib) -> None:
        """Its last words first, then its end. Its group is swept later if it may still have requests in flight."""
        self._loop.unwatch(crib.child.pidfd)
        assert crib.hearing is not None
        crib.hearing.stop()
        self._cribs.pop(crib.number, None)
        ended = _in_words(crib, processes.how_it_ended(crib.child))
        self._unburied.append(crib.child)
        if ended.signal is None:
            self._bury(crib.child)
        else:
            # Killed: its workers are finishing what they have. The zombie keeps their group's number ours.
            wake = min(crib.spec.reload_mercy, MAX_WAKE)
            self._loop.call_at(self._loop.now() + wake, lambda: self._bury(crib.child))
        if len(self._unburied) > MAX_UNBURIED:
            self._bury(self._unburied[0])
        self._tell(Exited(crib.number, ended, random.random()))

    def _bury(self, child: Child) -> None:
        if child not in self._unburied:
            return
        self._unburied.remove(child)
        if not processes.reap(child):
            # Somebody traces it. It is dead and swept; only its number is not free yet.
            self._loop.call_at(self._loop.now() + REAP_AGAIN, lambda: self._reap_again(child))

    def _reap_again(self, child: Child) -> None:
        if not processes.reap(child):
            self._loop.call_at(self._loop.now() + REAP_AGAIN, lambda: self._reap_again(child))


def _in_words(crib: Crib, ended: Exit) -> Exit:
    """An interpreter that could not be exec'd is the shell's exit code; its own words are in the log."""
    words = {processes.NOT_FOUND: "no such program", processes.NOT_EXECUTABLE: "it cannot be executed"}
    if crib.serving or not crib.spec.python or ended.code not in words:
        return ended
    who = crib.spec.identity.user
    return replace(ended, reason=f"exec {crib.spec.python} as {who}: {words[ended.code]}")


_DO = {
    Spawn: Performer.spawn,
    Signal: Performer.signal,
    Keep: Performer.keep,
    Release: Performer.release,
    Forget: Performer.forget,
}
