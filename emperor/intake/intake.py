"""From inis to vassals: what is read, whose the addresses are that it names, and what becomes of its vassal.

It promises: of two inis that name one address only one is valid at a time; one that cannot be used changes nothing of
what runs; once closed, nothing begins any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from emperor.config.claims import Claims, precedence
from emperor.config.context import Checked
from emperor.config.effective import Sight
from emperor.holding.estate import Estate
from emperor.intake import telling
from emperor.intake.apart import Apart
from emperor.intake.inis import Inis
from emperor.intake.listing import occupy
from emperor.intake.reading import Reader, Reading, Study
from emperor.journal import Journal
from emperor.model import Address, Problem, VassalSpec
from emperor.supervision.events import Configured, Misconfigured, Order
from emperor.supervision.outcome import REMOVED
from emperor.supervision.quiet import Signature
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop, Timer
from emperor.system.folderlock import FolderLocks
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts
from emperor.tending.register import Register

MOST_TOLD = 20
"""Problems of one reading that are kept, and told in the log: whoever writes inis could fill memory and disk."""

SILENT = "its ini, or who its user is: there is no answer yet -- it is read once there is one"

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

    def watch(self, places: Sequence[str], loop: Loop, folders: FolderLocks, begun: bool = False) -> None:
        """EmperorError: another emperor serves one of them. Nothing is read yet.

        ``begun``: we have served them before, and such a folder's vassals stay as they are.
        """
        self._loop = loop
        if not begun:
            occupy(places, folders)
        self.inis = Inis(places, loop, self._journal, self._changed, self._removed, folders, self._scouts)

    def close(self) -> None:
        """Nobody begins any more, whatever is written now."""
        self.closed = True
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

    def first_look(self) -> None:
        """Read all, then begin with administrators' inis: of two that name one address theirs is the first."""
        self._arriving = []
        assert self.inis is not None
        self.inis.first_look()
        arrived, self._arriving = self._arriving, None
        for name, reading in sorted(arrived, key=lambda one: precedence(one[0], one[1].checked)):
            try:
                self.take(name, reading, reload=True)
            except Exception as error:
                self._journal.bug(error)

    def _changed(self, name: str, path: str, written: bool) -> None:
        """The ini is new, was written or touched; or (not ``written``) only its owner or mode has changed."""
        self.paths[name] = path
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

    def _read_last(self, name: str) -> Reading | None:
        study = self._apart.last(name)
        return None if study is None else _bounded(study.reading, self.paths[name])

    def _arrived(self, found: Mapping[str, tuple[str, Study, bool]]) -> None:
        """Scouts have read them: of two that name one address an administrator's is the first."""
        for name, (path, study, written) in sorted(
            found.items(), key=lambda one: precedence(one[0], one[1][1].reading.checked)
        ):
            if self.paths.get(name) != path or self.closed:
                continue
            before, reading = self.readings.get(name), _bounded(study.reading, path)
            if reading.authority is None and self.inis is not None:
                self.inis.doubt(name)
            try:
                self.take(name, reading, reload=written or before is None or reading != before)
            except Exception as error:
                self._journal.bug(error)

    def _removed(self, name: str) -> None:
        self.readings.pop(name, None)
        self._apart.forget(name)
        if self.inis is not None:
            self.inis.drawn.follow(name, {})
        self.claims.withdraw(name)
        if name in self._register.vassals:
            self._say_that_it_leaves(name, True)
            self._register.tell(name, Order("remove"))

    def take(self, name: str, reading: Reading, reload: bool) -> None:
        """An ini was read: a vassal begins, goes on with it, or shows what is wrong with it."""
        if self.closed:
            return
        self._register.enter(name)
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

    def order(self, name: str, verb: str) -> str:
        """start, stop, restart, reload; "" or the reason why not. All but stop read the ini again."""
        refusal = self._refusal(name, verb)
        if refusal:
            return refusal
        if verb != "stop":
            if self.inis is not None:
                self.inis.acknowledge(name)
            reading = self.read(name, self.paths[name], False) or self._read_last(name)
            if reading is None:
                return SILENT
            if reading.authority is None:
                # Not there at this moment: the next look at the folder knows more.
                return "\n".join(map(str, reading.checked.problems))
            self.take(name, reading, reload=verb == "reload")
            checked = self.readings[name].checked
            if checked.spec is None and (verb != "start" or self._register.vassals[name].spec is None):
                return "\n".join(str(one) for one in checked.problems if one.fatal)
        if verb != "reload":
            self._register.tell(name, Order(verb))
        return ""

    def scale(self, name: str, workers: int) -> str:
        """So many workers, until its ini says another number; "" or the reason why not."""
        record = self._register.vassals[name]
        if record.wanted is Wanted.UP and record.spec is None:
            return "\n".join(str(one) for one in record.problems if one.fatal)
        refusal = self._refusal(name, "reload")
        if not refusal:
            self._journal.info(name, f"scaled to {workers} worker{'' if workers == 1 else 's'} by an order")
            self._register.tell(name, Order("scale", workers))
        return refusal

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

    def _refusal(self, name: str, verb: str) -> str:
        if self.closed:
            return "the emperor is stopping"
        if verb == "reload" and self._register.vassals[name].wanted is Wanted.DOWN:
            return f"stopped on purpose -- emperorctl start {name}"
        # Without a path it is older than this program, and its ini was gone before: it only ends.
        return REMOVED if verb != "stop" and name not in self.paths else ""

    def sound(self) -> dict[str, Signature]:
        """The inis that are valid as they were read, and what they are now."""
        valid = [name for name, one in self.readings.items() if one.checked.spec and name in self.paths]
        names = [name for name in valid if name not in self._apart.studies and not self._apart.awaited(name)]
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
