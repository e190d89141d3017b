"""A vassal's workers: replaced when they die or are worn, more and fewer. The mechanism around ``supervision.seating``.

It promises: a worker that dies is replaced at once as long as its crew answers requests and nobody else is there to do
it; what dies again and again without an answer, after a growing pause. One that is worn serves until its replacement
does. Whoever is told to go has ``reload_mercy`` for it; with a request in flight, all the time that takes, unless the
whole crew is to end. Each worker's output is read line by line under its seat's number.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Optional

from emperor.crew.census import Census
from emperor.crew.company import Company, Living, Parting, Serve
from emperor.crew.ears import Ears
from emperor.crew.hand import Hand, Hearers, confession
from emperor.crew.pacing import Pacing
from emperor.crew.retries import Retries
from emperor.crew.rows import rows
from emperor.model import VassalSpec
from emperor.supervision import seating
from emperor.supervision.generation import Event
from emperor.supervision.reports import MAX_WORKERS, WorkerReport
from emperor.supervision.seat import Death, Fellows, died, misfortune, refused
from emperor.supervision.seating import Role
from emperor.supervision.totals import EMPTY, Totals
from emperor.system import forks
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Scoreboard
from emperor.worker import READY

if TYPE_CHECKING:
    from emperor.crew.renewals import Renewals


class Crew:
    """The workers of one vassal. ``close_ours``: called in each fork, closes what only the vassal may hold.

    ``workers``: how many at most, 0: as the ini says.
    """

    def __init__(
        self,
        spec: VassalSpec,
        loop: Loop,
        board: Scoreboard,
        serve: Serve,
        ears: Ears,
        close_ours: Callable[[], None],
        workers: int = 0,
    ) -> None:
        self._spec, self._loop, self._board, self._ears = spec, loop, board, ears
        hearers = Hearers(ears.lines, self._word, self._overdue)
        self._company = Company(spec, loop, board, serve, hearers, close_ours)
        self._census = Census(loop, self._company.headcount, ears.crewed)
        self._pacing = Pacing(spec, loop, self._company.load, self._paced, workers)
        self._renewals = _renewals(spec, board)
        self._retries = Retries(loop, self._fork)
        self._answered_before = self._barren = 0
        self._draining = False
        self.drain_deadline: Optional[float] = None

    def start(self) -> None:
        self._fit()

    def resize(self, workers: int) -> None:
        """From now on there are so many; with ``cheaper``, at most. 0: all go, and the crew waits for an order."""
        if self._draining:
            return
        self._pacing.order(min(workers, MAX_WORKERS))
        self._fit()
        self._census.ordered()

    def drain(self, seconds: float, how: Event = Event.DRAIN) -> None:
        """Nobody new; everybody finishes within ``seconds``. Asked again with less, less it is.

        ``how``: DRAIN, or RETIRE, which keeps idle connections open for a last request each.
        """
        self._draining = True
        self._pacing.stop()
        self._retries.forget_all()
        self._company.tell_all(how)
        deadline = self._loop.now() + seconds
        if self.drain_deadline is None or deadline < self.drain_deadline:
            self.drain_deadline = deadline
            self._loop.call_at(deadline, lambda: self._company.tell_all(Event.KILL))
        self._perhaps_empty()

    def condemn(self, pid: int, how: str, kill: bool = True) -> None:
        """Kill one of the living; ``how`` is what its death is called. Nothing happens if it is gone already.

        ``kill`` False: somebody else will, and what it printed until now is heard before that; from now on they are its
        last words, as long as its death has a name.
        """
        self._company.condemn(pid, how, kill)

    def living(self) -> Iterator[Living]:
        return self._company.living()

    @property
    def answered(self) -> int:
        """Requests, by all who are and were here."""
        return self._company.answered

    @property
    def totals(self) -> Totals:
        """All that those who are and were here have done."""
        return self._company.totals

    def gone(self, seat: int) -> Totals:
        """What those who were in this seat before have done."""
        return self._company.gone.get(seat, EMPTY)

    @property
    def most(self) -> int:
        """How many there may be, as long as nobody orders another number."""
        return self._pacing.most

    def reap(self) -> None:
        """SIGCHLD: take what has died. Only our own: the app's children are the app's."""
        for hand in list(self._company.hands.values()):
            pid, status = forks.wait(hand.pid)
            if pid:
                self._gone(hand, status)
        self._census.perhaps_changed()

    def reports(self) -> tuple[WorkerReport, ...]:
        """Those in their seats come first, then those who are to take their places, and those who leave."""
        company = self._company
        retries, now = self._retries.timers, self._loop.now()
        return rows(company.seats, company.hands, self._board, retries, company.gone_requests, now)

    def look(self) -> None:
        """About once a second: is anybody worn, are there too many or too few?"""
        if not self._draining:
            self._renew()
            self._pacing.look()
        self._census.perhaps_changed()

    # --- more, fewer, others ---

    def _fit(self) -> None:
        """As many seats as are wanted."""
        now, wanted, company = self._loop.now(), self._pacing.wanted, self._company
        for index in seating.to_open(company.seats, wanted):
            seat = company.open(index)
            if seat.not_before > now:
                self._later(index, seat.not_before - now)
            else:
                self._fork(index)
        for index in seating.to_close(company.seats, wanted, company.busy):
            self._retries.forget(index)
            company.close(index)

    def _paced(self, why: str) -> None:
        self._ears.lines(0, [why])
        self._fit()

    def _renew(self) -> None:
        if self._renewals is None:
            return
        now, company = self._loop.now(), self._company
        for seat, reason in self._renewals.due(company.seats, company.hands, now):
            # While its predecessor still waits for idle connections there would be three of them; and to close those
            # connections could cost a request that is just coming.
            if not seat.outgoing:
                self._say(seat.index, f"{reason} -- starting its replacement")
                self._fork(seat.index)
                return

    def _not_renewed(self, index: int, why: str) -> None:
        assert self._renewals is not None
        pause = self._renewals.failed(self._loop.now())
        self._say(index, f"its replacement: {why} -- the worn one serves on, the next try in {pause:.1f} s")

    def _fork(self, index: int) -> None:
        self._retries.forget(index)
        try:
            self._company.fork(index)
        except OSError as error:
            self._cannot_fork(index, f"fork: {error.strerror}")

    def _cannot_fork(self, index: int, reason: str) -> None:
        seat = self._company.seats[index]
        past, pause = refused(seat.past, reason, self._loop.now(), random.random())
        self._company.remember(index, past)
        if seat.sitting is not None:
            self._not_renewed(index, reason)
        else:
            self._say(index, f"{reason} -- trying again in {pause:.1f} s")
            self._later(index, pause)

    # --- words ---

    def _word(self, hand: Hand, data: bytes) -> None:
        """Its report: ready, or why not."""
        if data == READY:
            if hand.number in self._company.hands:
                self._ready(hand)
            self._ears.serving()
            self._census.perhaps_changed()
        elif data:
            reason, text = confession(data)
            # What it printed explains it, and the vassal may not live much longer.
            hand.hear()
            self._ears.failed(reason, text)

    def _ready(self, hand: Hand) -> None:
        incoming = self._company.seats[hand.seat].incoming
        self._company.tell(hand, Event.READY)
        if self._renewals is not None and (futile := self._renewals.weigh(hand)):
            self._ears.lines(hand.seat, futile)
        if self._renewals is not None and incoming is not None and incoming.number == hand.number:
            self._renewals.succeeded()
            if not self._draining:
                # The next one need not wait for the next look.
                self._renew()

    def _overdue(self, hand: Hand) -> None:
        if any(one.number == hand.number for one in self._company.seats[hand.seat].outgoing):
            before = hand.spared
            if self._company.spare(hand, self._draining):
                if hand.spared and not before:
                    mercy = f"{self._spec.reload_mercy:g} s (reload-mercy)"
                    self._say(hand.seat, f"still has a request after {mercy} -- it ends when that is answered")
                return
            self._say(hand.seat, f"still there after {self._spec.reload_mercy:g} s (reload-mercy) -- killed")
        self._company.tell(hand, Event.DEADLINE)

    # --- deaths ---

    def _gone(self, hand: Hand, status: Optional[int]) -> None:
        """``status`` None: nobody knows how it ended."""
        parting = self._company.part(hand, status)
        if self._draining or parting.role is Role.OUTGOING:
            # It was told to go: its end is none of its seat's misfortunes, unless it was condemned on its way.
            if hand.how:
                self._misfortune(hand.seat, hand.how)
                self._say(hand.seat, hand.how)
            self._perhaps_empty()
        elif parting.role is Role.INCOMING:
            self._misfortune(hand.seat, parting.how)
            self._not_renewed(hand.seat, parting.how)
        else:
            self._replace(hand.seat, parting)

    def _replace(self, index: int, parting: Parting) -> None:
        worker, how, done, seat = parting.worker, parting.how, parting.done, self._company.seats[index]
        # A lazy app may be why it died before it served; another one was imported long ago.
        proven = worker.had_served or not self._spec.lazy_apps
        death = Death(worker, how, done.requests > 0, proven, done.busy > 0)
        past, pause = died(seat.past, death, self._fellows(), self._loop.now(), random.random())
        self._company.remember(index, past)
        if seat.sitting is not None:
            self._say(index, f"{how} -- its replacement starts already")
            return
        # "in 0.0 s" reads as if nobody knew when.
        when = f" in {pause:.1f} s" if pause >= 0.05 else ""
        self._say(index, f"{how} -- starting another{when}")
        if pause:
            self._later(index, pause)
        else:
            self._fork(index)

    def _misfortune(self, index: int, how: str) -> None:
        self._company.remember(index, misfortune(self._company.seats[index].past, how, self._loop.now()))

    def _fellows(self) -> Fellows:
        """After a death, once for each."""
        answered = self.answered
        self._barren = 1 if answered > self._answered_before else self._barren + 1
        self._answered_before = answered
        return Fellows(self._barren, bool(self._company.hands))

    def _perhaps_empty(self) -> None:
        if self._draining and not self._company.hands:
            self._ears.empty()

    def _say(self, index: int, text: str) -> None:
        self._ears.lines(index, [f"worker {index + 1}: {text}"])

    def _later(self, index: int, pause: float) -> None:
        when = self._loop.now() + pause
        self._company.put_off(index, when)
        self._retries.at(when, index)


def _renewals(spec: VassalSpec, board: Scoreboard) -> Optional[Renewals]:
    """None: nobody is ever renewed."""
    if not (spec.max_requests or spec.max_worker_lifetime or spec.reload_on_rss or spec.reload_on_as):
        return None
    # Whoever does without it does not load it.
    from emperor.crew.renewals import Renewals

    return Renewals(spec, board)
