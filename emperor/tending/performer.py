"""Does what the lifecycle of one vassal asks for: spawns and signals, holds its sockets, sees its processes end.

It decides nothing about the lifecycle; it tells what happened, and ``supervision.vassal`` decides.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from emperor.holding.holdings import Holdings
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.supervision import orders
from emperor.supervision.channel import Message
from emperor.supervision.events import (
    Begun,
    Called,
    Doing,
    Doze,
    Exit,
    Exited,
    Forget,
    Keep,
    Release,
    Resize,
    Signal,
    Spawn,
    VassalEvent,
    Wake,
)
from emperor.supervision.generation import Action
from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import EMPTY, Totals, together
from emperor.system import processes
from emperor.system.closer import Closer, Share
from emperor.system.eventloop import Loop
from emperor.system.ring import Ring
from emperor.tending import obituary, shares
from emperor.tending.burials import Burials
from emperor.tending.crib import (
    Crib,
    CribState,
    GraveState,
    adopt_child,
    adopt_crib,
    export_crib,
)
from emperor.tending.doorbell import Doorbell
from emperor.tending.ears import Ears
from emperor.tending.hearing import NOTHING_YET, Heard, Hearing, Listener
from emperor.tending.shares import Claim
from emperor.tending.starter import Starter, Tools
from emperor.tending.startgate import StartGate
from emperor.tending.strays import Strays
from emperor.tending.vassallog import VassalLog

MOST_HANDED_OVER = 32768
"""Characters of a vassal's last lines that an upgrade keeps."""
OVER = 5.0
"""Seconds after a KILL for which a process is waited for."""
MAX_WAKE = 30.0
"""Seconds that the workers of a killed generation have at most."""


@dataclass(frozen=True)
class PerformerState:
    """What is handed over; ``lines`` and ``count`` are the ring's, ``past``: of the generations that have ended.

    ``log_word``: what is wrong with the log that the vassal keeps itself, in its words; ``stats_word``: with ``stats``.
    """

    cribs: tuple[CribState, ...]
    unburied: tuple[GraveState, ...]
    lines: tuple[str, ...]
    count: int
    past: Totals = EMPTY
    log_word: str = ""
    stats_word: str = ""


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
        strays: Strays,
        tell: Callable[[VassalEvent], None],
        forget: Callable[[], None],
        require_room: Callable[[Performer, VassalSpec], None] = lambda own, spec: None,
    ) -> None:
        self.name, self.holdings, self.log = name, holdings, log
        self._loop, self._journal = loop, journal
        self._closer, self._gate, self._tell, self._forget = closer, gate, tell, forget
        self._cribs: dict[int, Crib] = {}
        self._past, self._ended_last = EMPTY, (0, 0)
        self._strays = strays
        self._burials = Burials(loop, lambda pid: strays.buried(name, pid))
        self._ears = Ears(name, loop, journal, holdings, gate, tell, lambda: max(self._cribs))
        self._doorbell = Doorbell(loop, lambda: tell(Called()))
        holdings.closing = self._doorbell.hush
        tools = Tools(journal, launcher, holdings, log, self._share, gate, lambda spec: require_room(self, spec))
        self._starter = Starter(name, tools, tell, self._begun, self._failed_to_start)

    @property
    def ring(self) -> Ring:
        return self.log.ring

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all its processes that are not reaped."""
        return (*(crib.child.pid for crib in self._cribs.values()), *self._burials.pids)

    @property
    def claim(self) -> Claim:
        """What it takes of the emperor's descriptors."""
        crib = next(iter(self._cribs.values()), None)
        spec = crib.spec if crib is not None else self.holdings.owner
        if spec is None:
            return Claim()
        return Claim(shares.owner(spec), len(self.holdings.descriptors()), len(self._cribs))

    def pid(self, number: int) -> int:
        """0: no such process."""
        crib = self._cribs.get(number)
        return crib.child.pid if crib is not None else 0

    def last_pid(self, number: int) -> int:
        """The same, also of one that has just ended."""
        ended, pid = self._ended_last
        return self.pid(number) or (pid if number == ended else 0)

    def born(self, number: int) -> float | None:
        """When its process was started, monotonic seconds."""
        crib = self._cribs.get(number)
        return crib.child.born if crib is not None else None

    def when_a_worker_dies(self, tell: Callable[[int, WorkerReport], None]) -> None:
        """``tell`` is given the generation and the worker's last report."""
        self._ears.worker_died = tell

    def workers(self, number: int) -> tuple[WorkerReport, ...]:
        crib = self._cribs.get(number)
        return crib.workers if crib is not None else ()

    def totals(self) -> Totals:
        """What its workers have done in all generations since the emperor has it."""
        return together([self._past, *(crib.done for crib in self._cribs.values())])

    def do(self, doing: Doing) -> None:
        _DO[type(doing)](self, doing)  # type: ignore[operator]  # each is filed under the type that it takes

    def reopen_logs(self) -> None:
        """Ours, and those that vassals keep themselves."""
        self.log.reopen()
        for crib in self._cribs.values():
            if crib.serving:
                processes.ask_to_reopen(crib.child)

    def signal(self, order: Signal) -> None:
        self._starter.call_off(order.number)
        crib = self._cribs.get(order.number)
        if crib is None:
            return
        crib.told = True
        if order.action is Action.KILL:
            processes.kill_group(crib.child)
            self._loop.call_at(self._loop.now() + OVER, lambda: self._give_up(crib))
        else:
            processes.drain(crib.child, retire=order.action is Action.RETIRE)

    def spawn(self, order: Spawn) -> None:
        self._doorbell.hush()
        nobody_serves = not any(crib.serving for crib in self._cribs.values())
        self._starter.start(order, nobody_serves)

    def _begun(self, crib: Crib) -> None:
        self._strays.begun(self.name, crib.child.pid)
        self._attend(crib)
        self._tell(Begun(crib.number))

    def doze(self, order: Doze) -> None:
        self._doorbell.listen(self.holdings.descriptors())

    def wake(self, order: Wake) -> None:
        self._doorbell.hush()

    def keep(self, order: Keep) -> None:
        self.holdings.keep(order.spec)

    def resize(self, order: Resize) -> None:
        crib = self._cribs.get(order.number)
        if crib is None or crib.child.channel is None:
            return
        if not crib.obeys:
            self._journal.warning(self.name, "scale: not told: an older emperor has started it -- reload it once")
            return
        try:
            crib.child.channel.send(orders.encode(orders.Resize(order.workers)))
        except OSError as error:
            self._journal.warning(self.name, f"scale: not told: {error.strerror} -- it keeps the workers that it has")

    def release(self, order: Release) -> None:
        self._doorbell.hush()
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
        cribs, lines = tuple(export_crib(crib) for crib in self._cribs.values()), self.ring.tail(MOST_HANDED_OVER)
        return PerformerState(
            cribs,
            self._burials.export(),
            lines,
            self.ring.count,
            self._past,
            self.log.vassals_word,
            self.log.stats_warning,
        )

    def adopt(self, state: PerformerState) -> None:
        """Go on where an older program of ours was, in this very process."""
        self.ring.refill(state.lines, state.count)
        self._past = state.past
        for grave in state.unburied:
            self._burials.lay_out(adopt_child(grave.child), grave.due)
        for one in state.cribs:
            self.log.follow(one.spec)
            self._attend(adopt_crib(one), one.heard)
        self.log.recall(state.log_word, state.stats_word)

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

    def _hear(self, crib: Crib, message: Message, fd: int | None) -> None:
        served = crib.serving
        self._ears.hear(crib, message, fd)
        if crib.serving and not served and crib.number > 1:
            # What comes behind is of the new code.
            self.log.note(f"--- generation {crib.number} serves ---")

    def _share(self, spec: VassalSpec) -> Share:
        return self._closer.share(spec.identity.uid)

    def _give_up(self, crib: Crib) -> None:
        """Killed, and not dead yet: a filesystem that hangs holds it in its own exit. It does nothing any more."""
        if self._cribs.get(crib.number) is crib:
            self._ended(crib)

    def _ended(self, crib: Crib) -> None:
        """Its last words first, then its end. Its group is swept later if it may still have requests in flight."""
        self._loop.unwatch(crib.child.pidfd)
        assert crib.hearing is not None
        crib.hearing.stop()
        self._cribs.pop(crib.number, None)
        self._ended_last = (crib.number, crib.child.pid)
        self._past = self._past.plus(crib.done)
        ended = obituary.of(crib, self.holdings.complete(crib.spec))
        if not crib.binds or ended.code != 0:
            # What was bound for one that binds is kept as soon as it is known that it did.
            self.holdings.give_up(crib.number)
        # Killed: its workers are finishing what they have. The zombie keeps their group's number ours.
        wake = 0.0 if ended.signal is None or crib.child.swept else min(crib.spec.reload_mercy, MAX_WAKE)
        self._burials.lay_out(crib.child, self._loop.now() + wake)
        inquiry = self._starter.inquire(crib, ended)
        if isinstance(inquiry, Crib):
            # The generation has one more process, which says why, and the same deadline.
            self._strays.begun(self.name, inquiry.child.pid)
            self._attend(inquiry)
            return
        self._gate.leave((self.name, crib.number))
        last = obituary.line(crib, inquiry)
        if last:
            self.log.note(last)
        self._tell(Exited(crib.number, inquiry, random.random()))


_DO = {
    Spawn: Performer.spawn,
    Signal: Performer.signal,
    Keep: Performer.keep,
    Doze: Performer.doze,
    Wake: Performer.wake,
    Resize: Performer.resize,
    Release: Performer.release,
    Forget: Performer.forget,
}
