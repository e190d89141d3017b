"""What comes of a message that a process of one vassal has sent: an event of its record, or what is held and shown.

It promises: one that was told to go binds nothing for us any more; one that only looks why another has ended serves
nobody, whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emperor.holding.holdings import Holdings
from emperor.journal import Journal
from emperor.supervision.channel import Crewed, Failed, Idle, Listening, Lost, Message, Serving, Stale
from emperor.supervision.events import BootFailed, Outdated, Ready, Resized, Tired, VassalEvent
from emperor.supervision.happenings import deaths
from emperor.supervision.reports import WorkerReport, Workers
from emperor.system.eventloop import Loop
from emperor.tending.crib import Crib
from emperor.tending.startgate import StartGate


class Ears:
    """``youngest``: the number of the vassal's youngest generation."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        journal: Journal,
        holdings: Holdings,
        gate: StartGate,
        tell: Callable[[VassalEvent], None],
        youngest: Callable[[], int],
    ) -> None:
        self._name, self._loop, self._journal = name, loop, journal
        self._holdings, self._gate = holdings, gate
        self._tell, self._youngest = tell, youngest
        self.worker_died: Callable[[int, WorkerReport], None] = lambda generation, worker: None

    def hear(self, crib: Crib, message: Message, fd: int | None) -> None:
        """``fd``: what came with it, ours in any case. Raises ``ListenError``: it is not the vassal's to bind."""
        unasked = crib.ended is not None and not isinstance(message, Failed)
        crib.spoke = crib.spoke or not unasked
        if isinstance(message, Listening) and fd is not None:
            if crib.told or unasked:
                self._holdings.refuse(fd)
            else:
                self._holdings.take(crib.spec, message, fd)
            return
        if unasked:
            return
        if isinstance(message, (Serving, Failed)):
            self._gate.leave((self._name, crib.number))
        _HEAR[type(message)](self, crib, message)

    def serving(self, crib: Crib, message: Serving) -> None:
        crib.serving = True
        self._tell(Ready(crib.number))

    def idle(self, crib: Crib, message: Idle) -> None:
        self._tell(Tired(crib.number))

    def stale(self, crib: Crib, message: Stale) -> None:
        """One of ours says it once a second at most; to be said more often costs no more lines."""
        if self._loop.now() >= crib.stale_at + 0.5:
            crib.stale_at = self._loop.now()
            self._journal.info(self._name, message.reason)
        self._tell(Outdated(crib.number))

    def crewed(self, crib: Crib, message: Crewed) -> None:
        self._tell(Resized(crib.number, message.workers, message.leaving))

    def failed(self, crib: Crib, message: Failed) -> None:
        crib.confessed = True
        self._tell(BootFailed(crib.number, message.reason, message.traceback))

    def workers(self, crib: Crib, message: Workers) -> None:
        for one in deaths(crib.workers, message.workers):
            self.worker_died(crib.number, one)
        crib.workers, crib.totals = message.workers, message.totals

    def listening(self, crib: Crib, message: Listening) -> None:
        """Without a descriptor it is a word on what it sees of its file."""
        self._holdings.hear_word(crib.spec, message)

    def lost(self, crib: Crib, message: Lost) -> None:
        if crib.number == self._youngest():
            self._holdings.hear_lost(crib.spec, message)


# Any, for each takes exactly the type that it is filed under.
_HEAR: dict[type, Callable[[Ears, Crib, Any], None]] = {
    Listening: Ears.listening,
    Lost: Ears.lost,
    Serving: Ears.serving,
    Idle: Ears.idle,
    Stale: Ears.stale,
    Crewed: Ears.crewed,
    Failed: Ears.failed,
    Workers: Ears.workers,
}
