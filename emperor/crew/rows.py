"""What a vassal tells its emperor of its workers: a row each.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional

from emperor.crew.hand import Hand
from emperor.supervision.doings import longest
from emperor.supervision.generation import Generation
from emperor.supervision.reports import WorkerReport
from emperor.supervision.seat import word
from emperor.supervision.seating import Seat
from emperor.system import forks
from emperor.system.eventloop import Timer
from emperor.system.scoreboard import NOTHING, Scoreboard


def rows(
    seats: Sequence[Seat],
    hands: Mapping[int, Hand],
    board: Scoreboard,
    retries: Mapping[int, Timer],
    earlier: int,
    now: float,
) -> tuple[WorkerReport, ...]:
    """Those in their seats come first, then those who are to take their places, and those who leave.

    ``retries``: when somebody is forked into an empty seat. ``earlier``: the requests of those who are gone.
    """

    def row(seat: Seat, worker: Optional[Generation]) -> WorkerReport:
        hand = None if worker is None else hands[worker.number]
        count = NOTHING if hand is None else board.read(hand.cell)
        pid = 0 if hand is None else hand.pid
        state = word(worker, count.busy)
        used = forks.usage(pid)
        told = WorkerReport(
            seat.index + 1,
            pid,
            state,
            count.requests,
            count.exceptions,
            used.rss,
            vsz=used.vsz,
            cpu=used.cpu,
            busy=count.busy,
            born=None if worker is None else worker.born,
            seconds=round(count.seconds, 6),
            sent=count.sent,
        )
        if worker is None or hand is None or not count.busy:
            return told
        at = ((one.since, one.request) for one in board.in_flight(hand.cell))
        doing, since = longest(at, worker.born, now)
        return replace(told, doing=doing, since=since)

    def whole(seat: Seat) -> WorkerReport:
        past, retry = seat.past, retries.get(seat.index)
        return replace(
            row(seat, seat.sitting),
            exits=past.exits,
            last_exit=past.last_exit,
            died_at=past.died_at,
            retry_at=None if retry is None else retry.when,
            renewals=seat.renewals,
        )

    inside = [whole(seat) for seat in seats if seat.open]
    coming = [row(seat, seat.incoming) for seat in seats if seat.incoming is not None]
    leaving = [row(seat, one) for seat in seats for one in seat.outgoing]
    found = [*inside, *coming, *leaving]
    return (replace(found[0], earlier=earlier), *found[1:]) if found else ()
