"""From inis to vassals: what is read, whose the addresses are that it names, and what becomes of its vassal.

It promises: of two inis that name one address only one is valid at a time; one that cannot be used changes nothing of
what runs; once closed, nothing begins any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emperor.config.claims import Claims, precedence
from emperor.config.context import Checked
from emperor.config.effective import Sight
from emperor.holding.estate import Estate
from emperor.intake import telling
from emperor.intake.apart import Apart
from emperor.intake.gathering import Gathering
from emperor.intake.inis import Inis, IniState
from emperor.intake.listing import occupy
from emperor.intake.namebook import NameBook
from emperor.intake.ordering import SILENT, Ordering
from emperor.intake.reading import Reader, Reading, Study
from emperor.journal import Journal
from emperor.model import Address, Problem, VassalSpec
from emperor.supervision.events import Configured, Misconfigured, Order
from emperor.supervision.outcome import REMOVED
from emperor.supervision.quiet import Signature
from emperor.system.eventloop import Loop, Timer
from emperor.system.folderlock import FolderLocks
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts
from emperor.tending.register import Register

MOST_TOLD = 20
"""Problems of one reading that are kept, and told in the log: whoever writes inis could fill memory and disk."""

MOST_SETTLED = 16
"""Inis that are judged again in one turn of the loop."""


class Intake:
    """``paths``: name → where its ini lies; ``readings``: what it said when it was read last."""

    def __init__(
        self, reader: Reader, register: Register, estate: Estate, journal: Journal, scouts: Scouts, control: str = ""
    ) -> None:
        self._scouts, self._apart = (
            scouts,
            Apart(reader, scouts, self._arrived, lambda name: journal.warning(name, SILENT)),
        )
        self._reader, self._register, self._estate, self._journal = reader, register, estate, journal
        self.claims = Claims(reader.settings.runtime_folder, self._holder, control)
        self.paths: dict[str, str] = {}
        self.readings: dict[str, Reading] = {}
        self.inis: Inis | None = None
        self.closed = False
        self._loop: Loop | None = None
        self._settling = False
        self._again: Timer | None = None
        self._arriving: list[tuple[str, Reading]] | None = None
        self._resumed: set[str] = set()
        self.orders = Ordering(self, register, journal, scouts.loop)
        self._gathering: Gathering | None = None

    def watch(
        self, places: Sequence[str], loop: Loop, folders: FolderLocks, names: NameBook, begun: bool = False
    ) -> None:
        """EmperorError: another emperor serves one of them. Nothing is read yet.

        ``begun``: we have served them before, and such a folder's vassals stay as they are.
        """
        self._loop = loop
        if not begun:
            occupy(places, folders)
        self.inis = Inis(places, loop, self._journal, self._changed, self._removed, folders, self._scouts, names)

    def close(self) -> None:
        """Nobody begins any more, whatever is written now."""
        self.closed = True
        self.orders.hurry()
        if self.inis is not None:
            self.inis.close()

    def forget(self, name: str) -> None:
        self.paths.pop(name, None)

    def owner(self, name: str) -> int | None:
        """Whose vassal it is, for the control socket's permissions."""
        spec, reading = self._register.vassals[name].spec, self.readings.get(name)
        if reading is not None and reading.authority is not None and reading.authority.uid is not None:
            return reading.authority.uid
        return spec.identity.uid if spec is not None else None

    def first_look(self, over: Callable[[], None]) -> None:
        """Read all, then begin with administrators' inis: of two that name one address theirs is the first.

        ``over``: all has been read, or what has not been may take for ever.
        """
        self._arriving = []
        assert self.inis is not None and self._loop is not None
        self._gathering = Gathering(self._loop, lambda: not (self.closed or self.settled), self._arrived, over)
        self.inis.first_look()
        arrived, self._arriving = self._arriving, None
        for name, reading in sorted(arrived, key=lambda one: precedence(one[0], one[1].checked)):
            try:
                self.take(name, reading, reload=True)
            except Exception as error:
                self._journal.bug(error)
        self._gathering.begin()

    @property
    def settled(self) -> bool:
        """Has everything been read that is there, and can be?"""
        return self.inis is not None and self.inis.settled and not self._apart.unanswered

    @property
    def complete(self) -> bool:
        """Is every place seen, and has each of its inis been read?"""
        unread = self._apart.unanswered - self.readings.keys()
        return self.inis is not None and self.inis.complete and not unread

    def resume(self, name: str, path: str) -> None:
        """An older program of ours has read it: what this version makes of it is no reason to reload."""
        self._resumed.add(name)
        reading = self.read(name, path, False)
        if reading is not None:
            self._go_on(name, reading)

    def _go_on(self, name: str, reading: Reading) -> None:
        """To show another problem than the older program, or none, is a reason to tell it, and no more."""
        if reading.authority is None:
            # Not there at this moment: the next look at the folder knows more.
            return
        self._resumed.discard(name)
        judged, record = self.claims.judge(name, reading.checked), self._register.vassals[name]
        self.readings[name] = replace(reading, checked=judged)
        if self.inis is not None:
            self.inis.drawn.follow(name, reading.drawn)
        if judged.problems != record.problems or judged.spec not in (None, record.spec):
            self.take(name, reading, reload=False)

    def export(self) -> Mapping[str, IniState]:
        """What is known of each ini; one that was written and has not been read since will be news."""
        known = self.inis.export() if self.inis is not None else {}
        unread = self._apart.unanswered - self._resumed
        return {name: replace(one, mark=()) if name in unread else one for name, one in known.items()}

    def _changed(self, name: str, path: str, written: bool) -> None:
        """The ini is new, was written or touched; or (not ``written``) only its owner or mode has changed."""
        self.paths[name] = path
        self._resumed.discard(name)
        before, reading = self.readings.get(name), self.read(name, path, written)
        if reading is None:
            return
        if reading.authority is None and self.inis is not None:
            self.inis.doubt(name)
        if self._arriving is not None:
            self._arriving.append((name, reading))
        else:
            self.take(name, reading, reload=written or before is None or reading != before)

    def read(self, name: str, path: str, written: bool) -> Reading | None:
        """None: whoever answers for it may not answer, and it comes in later."""
        study = self._apart.read(name, path, written)
        return None if study is None else _bounded(study.reading, path)

    def _arrived(self, found: Mapping[str, tuple[str, Study, bool]]) -> None:
        """Scouts have read them: of two that name one address an administrator's is the first."""
        if self._gathering is not None and self._gathering.take(found):
            return
        for name, (path, study, written) in sorted(
            found.items(), key=lambda one: precedence(one[0], one[1][1].reading.checked)
        ):
            if self.paths.get(name) != path or self.closed:
                continue
            try:
                self._heed(name, _bounded(study.reading, path), written)
            except Exception as error:
                self._journal.bug(error)

    def _heed(self, name: str, reading: Reading, written: bool) -> None:
        """A scout has read it. Whoever has ordered something meanwhile goes by this very reading."""
        if reading.authority is None and self.inis is not None and name not in self._resumed:
            self.inis.doubt(name)
        if self.orders.arrived(name, reading):
            return
        if name in self._resumed:
            self._go_on(name, reading)
            return
        before = self.readings.get(name)
        self.take(name, reading, reload=written or before is None or reading != before)

    def last(self, name: str) -> Reading | None:
        """What a scout has read last of one that only a scout can read."""
        study = self._apart.last(name)
        return None if study is None else _bounded(study.reading, self.paths[name])

    def _removed(self, name: str) -> None:
        self.readings.pop(name, None)
        self._resumed.discard(name)
        self._apart.forget(name)
        if self.inis is not None:
            self.inis.drawn.follow(name, {})
        self.claims.withdraw(name)
        if name in self._register.vassals:
            self._say_that_it_leaves(name, True)
            self._register.tell(name, Order("remove"))
        self.orders.arrived(name, None)

    def take(self, name: str, reading: Reading, reload: bool) -> None:
        """An ini was read: a vassal begins, goes on with it, or shows what is wrong with it."""
        if self.closed:
            return
        self._register.enter(name)
        self._resumed.discard(name)
        ousted = self.claims.ousted(name)
        reading = replace(reading, checked=self.claims.judge(name, reading.checked))
        performer, checked = self._register.performers[name], reading.checked
        self._say_that_it_leaves(name, False)
        before = self.readings.get(name)
        if before is not None and before.authority != reading.authority:
            # What an older owner's app has printed is not the new one's to read.
            performer.ring.clear()
        self.readings[name] = reading
        if self.inis is not None:
            self.inis.drawn.follow(name, reading.drawn)
        if before is None or before.checked.problems != checked.problems:
            self._publish(name, checked.problems)
        if checked.spec is None:
            self._register.tell(name, Misconfigured(checked.problems, ousted))
        else:
            self._register.tell(name, Configured(checked.spec, checked.problems, reload))

    def _holder(self, address: Address, spec: VassalSpec) -> str:
        """``claims.Holder``: one that is leaving hands over what another ini of its user names."""
        holdings = self._estate.holders.get(address)
        if holdings is None:
            return ""
        record = self._register.vassals.get(holdings.name)
        theirs = (record.proven or record.spec) if record is not None else None
        given = holdings.leaving and theirs is not None and theirs.identity == spec.identity
        return "" if given else holdings.name

    def _say_that_it_leaves(self, name: str, leaving: bool) -> None:
        """Whoever waits for one of its sockets may take it over now, or may not any more."""
        holdings = self._register.performers[name].holdings
        if holdings.leaving != leaving:
            holdings.leaving = leaving
            self._estate.moved.update(one for one, holder in self._estate.holders.items() if holder is holdings)

    def settle_claims(self) -> None:
        """An address is free, or is another's now: whoever waited for it comes up.

        To be called after everything that happens, what it does itself included: so it takes one after another, and of
        very many only some in one turn of the loop.
        """
        if self._settling or self.closed:
            return
        self._settling = True
        try:
            for _ in range(MOST_SETTLED):
                restless = self._restless()
                if not restless:
                    return
                self._settle(*restless[0])
        finally:
            self._settling = False
        if self._loop is not None and self._again is None:
            self._again = self._loop.call_soon(self._settle_more)

    def _restless(self) -> list[tuple[str, Checked]]:
        if self._estate.moved:
            self.claims.moved(self._estate.moved)
            self._estate.moved.clear()
        return self.claims.unsettled()

    def _settle_more(self) -> None:
        self._again = None
        self.settle_claims()

    def _settle(self, name: str, checked: Checked) -> None:
        try:
            self.take(name, replace(self.readings[name], checked=checked), reload=True)
        except Exception as error:
            # It is not to be tried for ever, and no reason to pass over the others.
            self.claims.withdraw(name)
            self._journal.bug(error)

    def _publish(self, name: str, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            (self._journal.fault if problem.fatal else self._journal.warning)(name, str(problem))

    def most_workers(self, name: str) -> int | None:
        """What an administrator gives behind the ini's own lines; None: nothing."""
        reading, path = self.readings.get(name), self.paths.get(name)
        if reading is None or reading.authority is None or path is None:
            return None
        return self._reader.most_workers(name, path, reading.authority)

    def effective(self, name: str, sight: Sight) -> dict[str, Any]:
        """What its ini says at this moment; nothing becomes of it."""
        record, path = self._register.vassals[name], self.paths.get(name)
        if path is None:
            return telling.nothing(record, "", REMOVED)
        sockets = self._register.performers[name].holdings.shown()
        try:
            study = self._reader.study(name, path, near=True)
        except Elsewhere:
            known = self._apart.last(name)
            if known is None:
                return telling.nothing(record, path, SILENT)
            study = known
        return telling.told(study, self._reader.settings, record, sockets, path, sight)

    def sound(self) -> dict[str, Signature]:
        """The inis that are valid as they were read, and what they are now."""
        valid = [name for name, one in self.readings.items() if one.checked.spec and name in self.paths]
        unread = self._apart.unanswered
        names = [name for name in valid if name not in unread]
        return {self.paths[name]: self.inis.mark(name) for name in names} if self.inis is not None else {}


def bounded(problems: tuple[Problem, ...], path: str) -> tuple[Problem, ...]:
    """Those that matter most, and how many more there are."""
    if len(problems) <= MOST_TOLD:
        return problems
    chosen = sorted(problems, key=lambda one: not one.fatal)[:MOST_TOLD]
    left = f"and {len(problems) - MOST_TOLD} more problems -- emperorctl check {path}"
    return (*(one for one in problems if one in chosen), Problem(path, 0, "", left, fatal=False))


def _bounded(reading: Reading, path: str) -> Reading:
    return replace(reading, checked=replace(reading.checked, problems=bounded(reading.checked.problems, path)))
