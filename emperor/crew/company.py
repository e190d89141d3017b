"""The seats of a crew and the processes that belong to them: forked, told, counted, let go.

It promises: what ``supervision.seating`` says of a seat is what its processes are told; each of them has a cell of the
scoreboard to itself from before its fork until it is reaped. Who is forked, and when, is ``crew``'s to decide.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import heapq
import os
import random
import signal
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Callable, NamedTuple, NoReturn, Optional

from emperor.crew.hand import DRAINING, Hand, Hearers
from emperor.model import VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision import seating
from emperor.supervision.doings import died_in
from emperor.supervision.generation import Event, Generation, Patience, Phase
from emperor.supervision.seat import Past, forked
from emperor.supervision.seating import Role, Seat, Signals
from emperor.supervision.totals import EMPTY, Totals, together
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Count, Scoreboard
from emperor.worker import ending, finish

Serve = Callable[[int, int, int], int]
"""What a worker does: (its cell of the scoreboard, its number, the descriptor to report on) → exit code."""

LOOK_AGAIN = 0.5
"""Seconds between two looks at one that is spared."""

UNKNOWN = "ended, and was reaped by the app"


class Living(NamedTuple):
    """A worker that has not been reaped. ``cell``: where its threads stand on the scoreboard."""

    seat: int
    cell: int
    pid: int
    worker: Generation


class Parting(NamedTuple):
    """What a worker was, and had done, when it ended, and how it did."""

    worker: Generation
    role: Role
    done: Count
    how: str


class Company:
    """``close_ours``: called in each fork, closes what only the vassal may hold."""

    def __init__(
        self,
        spec: VassalSpec,
        loop: Loop,
        board: Scoreboard,
        serve: Serve,
        hearers: Hearers,
        close_ours: Callable[[], None],
    ) -> None:
        self._spec, self._loop, self._board = spec, loop, board
        self._serve, self._hearers, self._close_ours = serve, hearers, close_ours
        self.seats: list[Seat] = []
        self.hands: dict[int, Hand] = {}
        """By their generations' numbers."""
        self._cells: list[int] = []
        self._spawned = 0
        self.gone: dict[int, Totals] = {}
        """What those who are gone have done, by their seats."""

    def open(self, index: int) -> Seat:
        if index == len(self.seats):
            self.seats.append(Seat(index))
        self.seats[index] = replace(self.seats[index], open=True)
        return self.seats[index]

    def close(self, index: int) -> None:
        self.become(*seating.closed(self.seats[index], self._loop.now()))

    def remember(self, index: int, past: Past) -> None:
        self.seats[index] = replace(self.seats[index], past=past)

    def put_off(self, index: int, when: float) -> None:
        """Nobody is forked into it before then."""
        self.seats[index] = replace(self.seats[index], not_before=when)

    def fork(self, index: int) -> None:
        """One more for this seat. Raises OSError: there can be none."""
        self._spawned += 1
        cell = heapq.heappop(self._cells) if self._cells else len(self.hands)
        hand = Hand(self._loop, self._hearers, self._spawned, index, cell, random.random())
        # It may have a request before we are told its number.
        now = self._loop.now()
        try:
            self._board.clear(cell)
            hand.fork(lambda output, report: self._become_worker(hand, output, report))
        except OSError:
            heapq.heappush(self._cells, cell)
            raise
        self.hands[hand.number] = hand
        patience = Patience(self._spec.start_timeout, self._spec.reload_mercy)
        seat = self.seats[index]
        worker = gen.born(hand.number, patience, now)
        self.become(seating.seated(replace(seat, past=forked(seat.past)), worker))

    def _become_worker(self, hand: Hand, output: int, report: int) -> NoReturn:
        """In the fork. Never returns into the vassal's code, whatever happens."""
        code = 70
        try:
            self._loop.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAINING)
            self._close_ours()
            for other in self.hands.values():
                other.close_inherited()
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            code = self._serve(hand.cell, hand.seat + 1, report)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            finish(code)

    def condemn(self, pid: int, how: str, kill: bool) -> None:
        """As ``Crew.condemn``."""
        for hand in self.hands.values():
            if hand.pid == pid:
                hand.how = how
                hand.judged = bool(how)
                if kill:
                    self.tell(hand, Event.KILL)
                else:
                    hand.expect_stacks(bool(how))

    def tell(self, hand: Hand, event: Event) -> None:
        self.become(*seating.told(self.seats[hand.seat], hand.number, event, self._loop.now()))

    def tell_all(self, event: Event) -> None:
        """An order: whoever retires by it, or has been retiring in his own time, is bounded by ``reload_mercy``."""
        for seat in self.seats:
            self.become(*seating.all_told(seat, event, self._loop.now()))
        if event is Event.RETIRE:
            for one in self.living():
                if one.worker.phase is Phase.RETIRING:
                    self.hands[one.worker.number].hurry()

    def spare(self, hand: Hand, ordered: bool) -> bool:
        """It was to be gone by now. False: so it is to be killed.

        Nobody waits for the end of one that the crew itself lets go: it is spared while it has a request (what bounds
        those is ``harakiri``), and has ``reload_mercy`` after that. ``ordered``: all are to end, which has its own end.
        """
        busy = self._board.read(hand.cell).busy > 0
        if not (busy or hand.spared):
            return False
        if not ordered:
            hand.spared = busy
            until = self._loop.now() + (LOOK_AGAIN if busy else self._spec.reload_mercy)
            self.become(seating.spared(self.seats[hand.seat], hand.number, until))
        return True

    def become(self, seat: Seat, signals: Signals = ()) -> None:
        self.seats[seat.index] = seat
        for worker in seat.everybody:
            self.hands[worker.number].expect(worker.deadline)
        for number, action in signals:
            self.hands[number].send(action)

    def part(self, hand: Hand, status: Optional[int]) -> Parting:
        """It was reaped. Its last words are heard. ``status`` None: nobody knows how it ended."""
        before = self.seats[hand.seat]
        (worker,) = (one for one in before.everybody if one.number == hand.number)
        self.seats[hand.seat], role = seating.left(before, hand.number)
        del self.hands[hand.number]
        hand.ended()
        count = self._board.read(hand.cell)
        asked = [one.request for one in self._board.in_flight(hand.cell)] if count.busy else []
        how = hand.how or (UNKNOWN if status is None else died_in(ending(status), asked))
        self.gone[hand.seat] = self.gone.get(hand.seat, EMPTY).plus(_done(count, harakiris=int(hand.judged)))
        heapq.heappush(self._cells, hand.cell)
        return Parting(worker, role, count, how)

    def living(self) -> Iterator[Living]:
        for seat in self.seats:
            for worker in seat.everybody:
                hand = self.hands[worker.number]
                yield Living(seat.index, hand.cell, hand.pid, worker)

    @property
    def gone_requests(self) -> int:
        return sum(one.requests for one in self.gone.values())

    @property
    def answered(self) -> int:
        """Requests, by all who are and were here."""
        return self.gone_requests + sum(self._board.read(hand.cell).requests for hand in self.hands.values())

    @property
    def totals(self) -> Totals:
        """By all who are and were here."""
        return together([*self.gone.values(), *(_done(self._board.read(hand.cell)) for hand in self.hands.values())])

    @property
    def busy(self) -> set[int]:
        """The numbers of those who have a request."""
        return {number for number, hand in self.hands.items() if self._board.read(hand.cell).busy}

    def load(self) -> tuple[int, int]:
        """How many serve in their seats, and how many of their threads are busy."""
        serving = [seat.sitting.number for seat in self.seats if seat.sitting is not None and seat.serves]
        return len(serving), sum(self._board.read(self.hands[number].cell).busy for number in serving)

    def headcount(self) -> tuple[int, int]:
        """How many serve, how many are on their way out."""
        phases = [worker.phase for seat in self.seats for worker in seat.everybody]
        return phases.count(Phase.READY), sum(phase in gen.LEAVING for phase in phases)


def _done(count: Count, harakiris: int = 0) -> Totals:
    return Totals(count.requests, count.exceptions, harakiris, count.seconds, count.sent, count.latency)
