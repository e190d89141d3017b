"""Orders to a vassal: what they read of its ini, and what becomes of them.

It promises: whoever gives an order goes by what the ini says at that moment; where only a scout can read it, by the
scout's answer, and by what it said last only if there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emperor.intake.awaiting import Awaiting
from emperor.intake.reading import Reading
from emperor.journal import Journal
from emperor.supervision.events import Order
from emperor.supervision.outcome import REMOVED, Given
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop
from emperor.tending.register import Register

if TYPE_CHECKING:
    from emperor.intake.intake import Intake

SILENT = "its ini, or who its user is: there is no answer yet -- it is read once there is one"

STALE = "there is no answer from where its ini lies, or who its user is -- what it said last counts"

When = Callable[[Callable[[], Given]], None]
"""Takes what carries an order out."""


class Ordering:
    def __init__(self, intake: Intake, register: Register, journal: Journal, loop: Loop) -> None:
        self._intake, self._register, self._journal = intake, register, journal
        self._awaiting = Awaiting(loop)
        self.arrived, self.hurry = self._awaiting.arrived, self._awaiting.hurry

    def give(self, name: str, verb: str, when: When) -> None:
        """start, stop, restart, reload. ``when`` takes what carries it out: at once, or once a scout is back.

        All but stop read the ini again.
        """
        if verb == "stop" or self._refusal(name, verb):
            when(lambda: self._carry_out(name, verb, None))
            return
        if self._intake.inis is not None:
            self._intake.inis.acknowledge(name)
        reading = self._intake.read(name, self._intake.paths[name], False)
        if reading is None:
            self._awaiting.add(name, lambda late: when(lambda: self._carry_out(name, verb, late)))
        else:
            when(lambda: self._carry_out(name, verb, reading))

    def _carry_out(self, name: str, verb: str, reading: Reading | None) -> Given:
        refusal, note = self._refusal(name, verb), ""
        if refusal:
            return Given(refusal)
        if verb != "stop":
            if reading is None:
                reading, note = self._intake.last(name), STALE
            refusal = self._take_for(name, verb, reading)
        if not refusal and verb != "reload":
            self._register.tell(name, Order(verb))
        return Given(refusal, note if not refusal else "")

    def _take_for(self, name: str, verb: str, reading: Reading | None) -> str:
        """Empty, or why the order cannot be carried out with this reading."""
        if reading is None:
            return REMOVED if self._register.vassals[name].wanted is Wanted.GONE else SILENT
        if reading.authority is None:
            # Not there at this moment: the next look at the folder knows more.
            return "\n".join(map(str, reading.checked.problems))
        self._intake.take(name, reading, reload=verb == "reload")
        checked = self._intake.readings[name].checked
        if checked.spec is None and (verb != "start" or self._register.vassals[name].spec is None):
            return "\n".join(str(one) for one in checked.problems if one.fatal)
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

    def _refusal(self, name: str, verb: str) -> str:
        if self._intake.closed:
            return "the emperor is stopping"
        if name not in self._register.vassals:
            return REMOVED
        if verb == "reload" and self._register.vassals[name].wanted is Wanted.DOWN:
            return f"stopped on purpose -- emperorctl start {name}"
        # Without a path it is older than this program, and its ini was gone before: it only ends.
        return REMOVED if verb != "stop" and name not in self._intake.paths else ""
