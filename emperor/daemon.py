"""The emperor: reads inis, keeps vassals, answers the control socket. Wiring in reading order, and little else.

What is decided about a vassal stands in ``supervision.vassal``; how it is done, in ``performer``; who may ask for what,
in ``config.spec``. This process imports no app, speaks no web protocol and opens nothing that a vassal's user controls.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from emperor import herald, snapshot, succession
from emperor.answers import Answers
from emperor.config.claims import Claims, precedence
from emperor.control.connection import Reply
from emperor.control.messages import Policy
from emperor.control.server import ControlServer
from emperor.errands import Errands
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontKeeper, route
from emperor.handover import State
from emperor.herald import Herald
from emperor.holdings import Estate, Holdings
from emperor.inis import Inis, occupy
from emperor.journal import Journal
from emperor.model import Address, Problem, VassalSpec
from emperor.performer import Performer
from emperor.reading import Reader, Reading
from emperor.register import Register
from emperor.startgate import StartGate
from emperor.supervision import wording
from emperor.supervision.record import (
    Configured,
    Misconfigured,
    Order,
    Vassal,
    Wanted,
    state,
)
from emperor.system import library
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.fdstore import Received
from emperor.system.folderlock import FolderLocks
from emperor.system.notify import Notifier
from emperor.system.placebook import PlaceBook
from emperor.system.reexec import Program
from emperor.upgrade import Upgrade
from emperor.vassallog import VassalLog

LOOK_EVERY = 5.0
"""Seconds between two looks at socket files, and the least between two reloads for what a vassal says of its own."""


@dataclass
class Emperor:
    """``paths``: name → where its ini lies; ``readings``: what it said when it was read last."""

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
        # First of all: whoever else is there is told by it, before anything of theirs is touched.
        self.answers = Answers(self, self.policy, self.loop)
        self.control = ControlServer(
            self.loop, self.control_path, self.answers, self.policy, before.control if before is not None else None
        )
        try:
            self.launcher = library.install(runtime)
            book = PlaceBook(runtime, self.single, before.book if before is not None else -1)
        except (EmperorError, OSError):
            self.control.close()
            raise
        self.closer = Closer()
        self.gate = StartGate(self.loop)
        self.errands = Errands(self.loop, self.journal, book)
        if before is not None:
            self.folders = FolderLocks(before.folders)
        self.estate = Estate(
            runtime, book, self.errands, self.journal, self.closer, {}, self.notifier, tuple(self.received)
        )
        self.claims = Claims(runtime, self._holder)
        self.herald = Herald(self.loop, self.notifier, self.vassals.values)
        self.upgrading = Upgrade(self.program, self, self.loop, self.journal, self.herald.reexecuting)
        self.front: FrontKeeper | None = None
        self.inis: Inis | None = None
        self.paths: dict[str, str] = {}
        self.readings: dict[str, Reading] = {}
        self._arriving: list[tuple[str, Reading]] | None = None
        self.loop.call_at(self.loop.now() + LOOK_EVERY, self._look_at_sockets)

    # Beginning ------------------------------------------------------------------------------------------------

    def rule(self, places: Sequence[str]) -> None:
        """Watch these folders, from the next turn of the loop on. EmperorError: another emperor serves one of them."""
        occupy(places, self.folders)
        self.inis = Inis(places, self.loop, self.journal, self._changed, self._removed, self.folders)
        if self.before is not None:
            self.inis.adopt({one.record.name: one.mark for one in self.before.vassals})
            succession.take_over(self, self.before)
            self.before = None
        self.loop.call_soon(self._open_for_business)

    def heed_signals(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            self.loop.on_signal(signum, self.stop)
        self.loop.on_signal(signal.SIGHUP, self._reload_all)
        self.loop.on_signal(signal.SIGUSR1, self._reopen_logs)
        self.loop.on_signal(signal.SIGUSR2, self.upgrading.ask)

    def _open_for_business(self) -> None:
        assert self.inis is not None
        if self.stopping:
            return
        if self.vassals:
            self.inis.look()
        else:
            self._first_look(self.inis)
        self._settle_estate()
        self.herald.begin(lambda: self.journal.info("emperor", f"ready, {wording.summary(self.vassals.values())}"))

    def _settle_estate(self) -> None:
        """What systemd has kept for vassals that are no more is let go of."""
        specs = [one.spec for one in self.vassals.values() if one.spec is not None]
        self.estate.settle(wanted.address for spec in specs for wanted in spec.sockets)

    def _look_at_sockets(self) -> None:
        """One whose socket file is gone serves nobody: its next generation binds it again."""
        if self.stopping:
            return
        for name in list(self.vassals):
            record, losses = self.vassals[name], self.performers[name].holdings.look()
            if not losses or record.spec is None or not record.running or record.incoming is not None:
                continue
            for loss in losses:
                self.journal.warning(name, loss)
            self.register.tell(name, Configured(record.spec, record.problems, reload=True))
        self.loop.call_at(self.loop.now() + LOOK_EVERY, self._look_at_sockets)

    def _first_look(self, inis: Inis) -> None:
        """Read all, then begin with administrators' inis: of two that name one address theirs is the first."""
        self._arriving = []
        inis.first_look()
        arrived, self._arriving = self._arriving, None
        for name, reading in sorted(arrived, key=lambda one: precedence(one[0], one[1].checked)):
            try:
                self.take(name, reading, reload=True)
            except Exception as error:
                self.journal.bug(error)

    # News of inis ---------------------------------------------------------------------------------------------

    def _changed(self, name: str, path: str, written: bool) -> None:
        """The ini is new, was written or touched; or (not ``written``) only its owner or mode has changed."""
        self.paths[name] = path
        before, reading = self.readings.get(name), self.reader.read(name, path)
        if self._arriving is not None:
            self._arriving.append((name, reading))
        else:
            self.take(name, reading, reload=written or before is None or reading != before)

    def _removed(self, name: str) -> None:
        self.readings.pop(name, None)
        self.claims.withdraw(name)
        if name in self.vassals:
            self.performers[name].holdings.leaving = True
            self.register.tell(name, Order("remove"))

    def take(self, name: str, reading: Reading, reload: bool) -> None:
        """An ini was read: a vassal begins, goes on with it, or shows what is wrong with it."""
        if self.stopping:
            return
        self.register.enter(name)
        ousted = self.claims.ousted(name)
        reading = replace(reading, checked=self.claims.judge(name, reading.checked))
        performer, checked = self.performers[name], reading.checked
        performer.holdings.leaving = False
        before = self.readings.get(name)
        if before is not None and before.authority != reading.authority:
            # What an older owner's app has printed is not the new one's to read.
            performer.ring.clear()
        self.readings[name] = reading
        if before is None or before.checked.problems != checked.problems:
            self._publish(name, checked.problems)
        if checked.spec is None:
            self.register.tell(name, Misconfigured(checked.problems, ousted))
        else:
            self.register.tell(name, Configured(checked.spec, checked.problems, reload))

    def _holder(self, address: Address, spec: VassalSpec) -> str:
        """``claims.Holder``: one that is leaving hands over what another ini of its user names."""
        holdings = self.estate.holders.get(address)
        if holdings is None:
            return ""
        record = self.vassals.get(holdings.name)
        theirs = (record.proven or record.spec) if record is not None else None
        given = holdings.leaving and theirs is not None and theirs.identity == spec.identity
        return "" if given else holdings.name

    def _settle_claims(self) -> None:
        """An address is free, or is another's now: whoever waited for it comes up."""
        for name, checked in self.claims.unsettled():
            if name in self.readings:
                self.take(name, replace(self.readings[name], checked=checked), reload=True)

    def _publish(self, name: str, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            (self.journal.fault if problem.fatal else self.journal.warning)(name, str(problem))

    def _performer(self, name: str) -> Performer:
        return Performer(
            name,
            self.loop,
            self.journal,
            self.launcher,
            Holdings(name, self.estate),
            VassalLog(name, self.journal),
            self.closer,
            self.gate,
            lambda event: self.register.tell(name, event),
            lambda: self._forget(name),
        )

    # Vassals --------------------------------------------------------------------------------------------------

    def _settled(self) -> None:
        self.answers.look_again()
        self.herald.look()
        self._tell_front()
        self._settle_claims()

    def _report(self, before: Vassal, after: Vassal) -> None:
        line = wording.change(before, after)
        if line:
            self.journal.info(after.name, line)
        elif after.error and after.error != before.error:
            self.journal.warning(after.name, after.error)
        if self.single and state(after) == "BACKOFF" and after.proven is None:
            self.failed = True
            self.stop()

    def _forget(self, name: str) -> None:
        self.journal.info(name, "is gone")
        self.register.strike(name)
        self.paths.pop(name, None)
        if self.inis is not None and not self.stopping:
            self._settle_estate()
        self._perhaps_end()

    # Orders (answers.Realm) -----------------------------------------------------------------------------------

    def show(self, name: str, lines: int) -> dict[str, Any]:
        config = self.paths.get(name, "")
        return snapshot.snapshot(self.vassals[name], self.performers[name], config, self.loop.now(), lines)

    def owner(self, name: str) -> int | None:
        """Whose vassal it is, for the control socket's permissions."""
        spec, reading = self.vassals[name].spec, self.readings.get(name)
        if reading is not None and reading.authority is not None and reading.authority.uid is not None:
            return reading.authority.uid
        return spec.identity.uid if spec is not None else None

    def order(self, name: str, verb: str) -> str:
        """start, stop, restart, reload; "" or the reason why not. All but stop read the ini again."""
        if self.stopping:
            return "the emperor is stopping"
        if verb == "reload" and self.vassals[name].wanted is not Wanted.UP:
            return f"stopped on purpose -- emperorctl start {name}"
        if verb != "stop" and name in self.paths:
            if self.inis is not None:
                self.inis.acknowledge(name)
            reading = self.reader.read(name, self.paths[name])
            if reading.authority is None:
                # Not there at this moment: the next look at the folder knows more.
                return "\n".join(map(str, reading.checked.problems))
            self.take(name, reading, reload=verb == "reload")
            checked = self.readings[name].checked
            if checked.spec is None and (verb != "start" or self.vassals[name].spec is None):
                return "\n".join(str(one) for one in checked.problems if one.fatal)
        if verb != "reload":
            self.register.tell(name, Order(verb))
        return ""

    def _reload_all(self) -> None:
        self.herald.reloading()
        for name in list(self.vassals):
            self.order(name, "reload")
        self.herald.look()

    def _reopen_logs(self) -> None:
        self.journal.reopen()
        for performer in self.performers.values():
            performer.reopen_logs()

    # An upgrade in place (upgrade.Realm) ----------------------------------------------------------------------

    def upgrade(self, reply: Reply) -> None:
        if self.stopping:
            raise EmperorError("the emperor is stopping")
        self.upgrading.ask(reply)

    def sound(self) -> list[str]:
        return [self.paths[name] for name, one in self.readings.items() if one.checked.spec and name in self.paths]

    def at_rest(self) -> bool:
        return self.errands.idle and self.closer.idle

    def export(self) -> State:
        return succession.export(self)

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
        if self.inis is not None:
            # Nobody begins any more, whatever is written now.
            self.inis.close()
        self.upgrading.abandon()
        self.herald.stopping()
        self.estate.leave_behind = self.notifier.speaks and herald.comes_back(herald.own_unit())
        self.journal.info("emperor", "stopping: requests in flight finish")
        if self.front is not None:
            self.front.stop(self._perhaps_end)
        for name in list(self.vassals):
            self.register.tell(name, Order("remove"))
        self._perhaps_end()

    def _perhaps_end(self) -> None:
        if self.ended or not self.stopping or self.vassals or (self.front is not None and self.front.running):
            return
        if not self.errands.idle:
            self.errands.when_done(self._perhaps_end)
            return
        self.ended = True
        self.control.close()
        self.loop.stop()
