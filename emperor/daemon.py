"""The emperor: reads inis, keeps vassals, answers the control socket. Wiring in reading order, and little else.

What is decided about a vassal stands in ``supervision.vassal``; how it is done, in ``performer``; who may ask for what,
in ``config.spec``. This process imports no app, speaks no web protocol and opens nothing that a vassal's user controls.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emperor import __version__, herald, snapshot
from emperor.answers.answers import Answers
from emperor.chronicle import Chronicle
from emperor.config.effective import Sight
from emperor.control.connection import Reply
from emperor.control.messages import Policy
from emperor.control.server import ControlServer
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontKeeper, route
from emperor.herald import Herald
from emperor.holding.errands import Errands
from emperor.holding.holdings import Estate, Holdings
from emperor.intake.intake import Intake
from emperor.intake.namebook import NameBook
from emperor.intake.reading import Reader
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.rounds import Rounds
from emperor.succession import takeover
from emperor.succession.handover import State
from emperor.succession.upgrade import Upgrade, tell_askers
from emperor.supervision import happenings, wording
from emperor.supervision.events import Order, VassalEvent
from emperor.supervision.outcome import Given
from emperor.supervision.quiet import Signature
from emperor.supervision.record import Vassal, first_fatal, state
from emperor.system import cgroup, library
from emperor.system.cgroup import Groups
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.fdstore import Received
from emperor.system.folderlock import FolderLocks
from emperor.system.notify import Notifier
from emperor.system.placebook import PlaceBook
from emperor.system.reexec import Program
from emperor.system.scout import Scouts
from emperor.tending import shares
from emperor.tending.performer import Performer
from emperor.tending.register import Register
from emperor.tending.startgate import StartGate
from emperor.tending.strays import Strays
from emperor.tending.vassallog import VassalLog


@dataclass
class Emperor:
    """The daemon, or ``emperor run``: what there is of it, from its making until its loop has ended."""

    reader: Reader
    loop: Loop
    journal: Journal
    notifier: Notifier
    control_path: str
    policy: Policy
    single: str = ""
    """The only vassal of ``emperor run``: the failure of its first generation is the program's."""
    program: Program | None = None
    """What an upgrade in place executes; None: there is no such upgrade."""
    before: State | None = None
    """What an older program of this very process hands over."""
    received: Sequence[Received] = ()
    """What systemd gave us."""

    folders: FolderLocks = field(default_factory=FolderLocks)
    stopping: bool = False
    ended: bool = False
    failed: bool = False

    def __post_init__(self) -> None:
        runtime, before = self.reader.settings.runtime_folder, self.before
        self.register = Register(self.loop, self.journal, self._performer, self._report, self._settled)
        self.vassals, self.performers = self.register.vassals, self.register.performers
        self.chronicle = Chronicle(self)
        # First of all: whoever else is there is told by it, before anything of theirs is touched.
        self.answers = Answers(self, self.policy, self.loop)
        self.control = ControlServer(
            self.loop, self.control_path, self.answers, self.policy, before.control if before is not None else None
        )
        try:
            self.launcher = self._install(runtime)
            book = PlaceBook(runtime, self.single, before.book if before is not None else -1)
        except (EmperorError, OSError):
            self.control.close()
            raise
        self.closer = Closer()
        self.gate = StartGate(self.loop)
        groups = Groups(cgroup.delegated())
        self.strays = Strays(self.loop, self.journal, self._children, groups, succeeding=before is not None)
        self.errands = Errands(self.loop, self.journal, book)
        if before is not None:
            self.folders = FolderLocks(before.folders)
        self.estate = Estate(
            runtime, book, self.errands, self.journal, self.closer, {}, self.notifier, tuple(self.received)
        )
        self.scouts = Scouts(self.loop, self.journal.bug)
        self.intake = Intake(self.reader, self.register, self.estate, self.journal, self.scouts, self.control_path)
        self.herald = Herald(self.loop, self.notifier, self.vassals.values)
        self.upgrading = Upgrade(self.program, self, self.loop, self.journal, self.herald.reexecuting)
        self.front: FrontKeeper | None = None
        self.rounds = Rounds(self, self.loop)

    def _names(self) -> NameBook:
        """One app in the foreground has a name for itself."""
        return NameBook("" if self.single else self.reader.settings.runtime_folder)

    def _install(self, runtime: str) -> str:
        """The launcher. Those that older vassals run from stay; without a new one theirs will do."""
        if self.before is None:
            return library.install(runtime)
        library.hold(crib.launcher for one in self.before.vassals for crib in one.performer.cribs)
        try:
            return library.install(runtime)
        except (EmperorError, OSError) as error:
            self.journal.warning("emperor", f"{error} -- vassals are started from the copy that was there")
            return self.before.launcher

    # Beginning ------------------------------------------------------------------------------------------------

    def rule(self, places: Sequence[str]) -> None:
        """Watch these folders, from the next turn of the loop on. EmperorError: another emperor serves one of them."""
        self.intake.watch(places, self.loop, self.folders, self._names(), begun=self.before is not None)
        if self.before is not None and self.intake.inis is not None:
            self.intake.inis.adopt({one.record.name: one.ini for one in self.before.vassals if one.ini is not None})
            takeover.take_over(self, self.before)
        self.loop.call_soon(self._open_for_business)

    def heed_signals(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            self.loop.on_signal(signum, self.stop)
        self.loop.on_signal(signal.SIGCHLD, self.strays.heard)
        self.loop.on_signal(signal.SIGHUP, self._reload_all)
        self.loop.on_signal(signal.SIGUSR1, self._reopen_logs)
        self.loop.on_signal(signal.SIGUSR2, self.upgrading.ask)

    def _open_for_business(self) -> None:
        if self.stopping or self.intake.inis is None:
            return
        if self.before is not None:
            # All that could go wrong in becoming this program has not.
            self.chronicle.of_emperor(happenings.UPGRADED, f"version {self.before.version} became {__version__}")
            self.journal.info("emperor", tell_askers(self.before, self.control.reply_to, self.loop.now()))
            self.before = None
            self.intake.inis.look()
        else:
            self.chronicle.of_emperor(happenings.STARTED, f"version {__version__}")
            with self.estate.book.gathering():
                self.intake.first_look(self._all_seen)
            return
        self._all_seen()

    def _all_seen(self) -> None:
        if not self.stopping:
            self.rounds.settle_estate()
            self.herald.begin(lambda: self.journal.info("emperor", f"ready, {wording.summary(self.vassals.values())}"))

    def _performer(self, name: str) -> Performer:
        performer = Performer(
            name,
            self.loop,
            self.journal,
            self.launcher,
            Holdings(name, self.estate),
            VassalLog(name, self.journal),
            self.closer,
            self.gate,
            self.strays,
            lambda event: self.register.tell(name, event),
            lambda: self._forget(name),
            self._require_room,
        )
        performer.when_a_worker_dies(
            lambda number, worker: self.chronicle.worker_died(name, state(self.vassals[name]), number, worker)
        )
        return performer

    def _require_room(self, own: Performer, spec: VassalSpec) -> None:
        shares.require_room(own.claim, spec, self.performers.values(), len(self.performers))

    def _children(self) -> set[int]:
        """Whom we have started, and somebody looks after until he is reaped."""
        front = self.front.pids if self.front is not None else ()
        vassals = (pid for performer in self.performers.values() for pid in performer.pids)
        return {*vassals, *self.errands.pids, *self.upgrading.pids, *self.scouts.pids, *front}

    # Vassals --------------------------------------------------------------------------------------------------

    def _settled(self) -> None:
        self.answers.look_again()
        self.herald.look()
        self._tell_front()
        self.intake.settle_claims()

    def _report(self, before: Vassal, after: Vassal, event: VassalEvent) -> None:
        line = wording.change(before, after, event)
        self.chronicle.changed(before, after, event)
        if line:
            self.journal.info(after.name, line)
        elif after.error and after.error != before.error and after.error != first_fatal(after.problems):
            # What is wrong with an ini has been said when it was read.
            self.journal.warning(after.name, after.error)
        if self.single and state(after) == "BACKOFF" and after.proven is None:
            self.failed = True
            self.stop()

    def _forget(self, name: str) -> None:
        self.journal.info(name, "is gone")
        self.answers.tell_followers()
        self.chronicle.gone(name, state(self.vassals[name]), self.vassals[name].error)
        self.register.strike(name)
        self.intake.forget(name)
        self.rounds.settle_estate()
        self._perhaps_end()

    # Orders (answers.Realm) -----------------------------------------------------------------------------------

    def show(self, name: str, lines: int, numbers: bool = False) -> dict[str, Any]:
        config = self.intake.paths.get(name, "")
        return snapshot.snapshot(self.vassals[name], self.performers[name], config, self.loop.now(), lines, numbers)

    def most_workers(self, name: str) -> int | None:
        return self.intake.most_workers(name)

    def trouble(self) -> str:
        return self.journal.trouble

    def owner(self, name: str) -> int | None:
        return self.intake.owner(name)

    def effective(self, name: str, secrets: bool, placeholders: bool) -> dict[str, Any]:
        return self.intake.effective(name, Sight(secrets, placeholders))

    def process(self, name: str, generation: int) -> int:
        return self.performers[name].last_pid(generation)

    def order(self, name: str, verb: str, workers: int, when: Callable[[Callable[[], Given]], None]) -> None:
        if verb == "scale":
            when(lambda: Given(self.intake.orders.scale(name, workers)))
        else:
            self.intake.orders.give(name, verb, when)

    def _reload_all(self) -> None:
        to_come = list(self.vassals)

        def carry_out(act: Callable[[], Given]) -> None:
            to_come.pop()
            try:
                act()
            finally:
                if not to_come:
                    # Before the orders nobody moves, and the reload would be over at once.
                    self.herald.reloading()

        for name in list(self.vassals):
            self.order(name, "reload", 0, carry_out)
        if not self.vassals:
            self.herald.reloading()

    def _reopen_logs(self) -> None:
        self.journal.reopen()
        for performer in self.performers.values():
            performer.reopen_logs()

    # An upgrade in place (upgrade.Realm) ----------------------------------------------------------------------

    def upgrade(self, reply: Reply) -> None:
        if self.stopping:
            raise EmperorError("the emperor is stopping")
        self.upgrading.ask(reply)

    def sound(self) -> Mapping[str, Signature]:
        return self.intake.sound()

    def at_rest(self) -> bool:
        # Whatever a scout waits for, nobody waits for it.
        self.intake.orders.hurry()
        return self.errands.idle and self.closer.idle and self.scouts.dismiss()

    def export(self) -> State:
        return takeover.export(self)

    # The front door -------------------------------------------------------------------------------------------

    def _tell_front(self) -> None:
        if self.front is not None:
            self.front.tell([route(one) for one in self.vassals.values() if one.spec is not None])

    # The end --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Drain everybody; asked a second time, end everybody."""
        if self.stopping:
            self.journal.info("emperor", "stopping at once")
            for name in list(self.vassals):
                self.register.tell(name, Order("kill"))
            if self.front is not None:
                self.front.kill()
            return
        self.stopping = True
        self.chronicle.of_emperor(happenings.STOPPING, "requests in flight finish")
        self.intake.close()
        self.upgrading.abandon()
        self.herald.stopping()
        self.estate.leave_behind = self.notifier.speaks and herald.comes_back(herald.own_unit())
        self.journal.info("emperor", "stopping: requests in flight finish")
        if self.front is not None:
            self.front.stop(self._perhaps_end)
        with self.estate.book.gathering():
            for name in list(self.vassals):
                self.register.tell(name, Order("remove", why="the emperor ends"))
        self._perhaps_end()

    def _perhaps_end(self) -> None:
        if self.ended or not self.stopping or self.vassals or (self.front is not None and self.front.running):
            return
        # Meanwhile a stop may have overtaken the restart.
        if self.estate.left and not herald.comes_back(herald.own_unit()):
            self.estate.clear_up()
        if not self.errands.idle:
            self.errands.when_done(self._perhaps_end)
            return
        if not self.strays.gone:
            self.strays.when_gone(self._perhaps_end)
            return
        self.ended = True
        self.scouts.dismiss()
        self.control.close()
        self.loop.stop()
