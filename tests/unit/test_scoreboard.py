"""What threads of workers write down, and what of it the vassal reads."""

from __future__ import annotations

import random
import struct

import pytest

from emperor.supervision.channel import decode, encode
from emperor.supervision.reports import Workers
from emperor.supervision.totals import BOUNDS, EMPTY, Totals, together
from emperor.system import scoreboard
from emperor.system.scoreboard import NOTHING, Scoreboard


class Clock:
    """``scoreboard.time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(scoreboard, "time", clock)
    return clock


def test_a_request_is_seen_from_its_beginning_to_its_end(clock: Clock) -> None:
    board = Scoreboard(2, 2)
    tally = board.tally(1)
    tally.begin(1, "GET /a")
    assert board.read(1).busy == 1 and board.read(0) == NOTHING
    assert [(one.thread, one.since, one.request) for one in board.in_flight(1)] == [(1, 1000.0, "GET /a")]
    tally.end(1, False)
    assert board.in_flight(1) == [] and board.read(1).requests == 1


@pytest.mark.parametrize("took", [0.0, *BOUNDS, 31.0, 1e6])
def test_a_request_falls_into_the_first_bucket_that_is_not_below_it(took: float, clock: Clock) -> None:
    board = Scoreboard(1, 1)
    tally = board.tally(0)
    tally.begin(0)
    # A binary fraction that no rounding moves over a bound.
    clock.now += took
    tally.end(0, False)
    count = board.read(0)
    (bucket,) = (index for index, number in enumerate(count.latency) if number)
    spent = clock.now - 1000.0
    assert count.seconds == spent
    assert bucket == len(BOUNDS) or spent <= BOUNDS[bucket]
    assert bucket == 0 or spent > BOUNDS[bucket - 1]


def test_threads_and_failures_and_bytes_add_up(clock: Clock) -> None:
    board = Scoreboard(1, 3)
    tally = board.tally(0)
    for thread, failed in ((0, False), (1, True), (2, True), (2, False)):
        tally.begin(thread, "GET /")
        clock.now += 0.5
        tally.end(thread, failed)
    tally.sent(700)
    tally.sent(7)
    count = board.read(0)
    assert (count.busy, count.requests, count.exceptions, count.seconds, count.sent) == (0, 4, 2, 2.0, 707)


def test_who_takes_the_same_cell_again_goes_on_counting_and_a_cleared_one_begins_anew() -> None:
    board = Scoreboard(1, 1)
    for expected in (1, 2):
        tally = board.tally(0)
        tally.begin(0, "GET /")
        tally.end(0, True)
        assert (board.read(0).requests, board.read(0).exceptions) == (expected, expected)
    board.clear(0)
    assert board.read(0) == NOTHING


def test_there_is_room_for_more_workers_than_were_foreseen() -> None:
    board = Scoreboard(1, 1)
    board.clear(5)
    board.tally(5).begin(0, "GET /five")
    assert [one.request for one in board.in_flight(5)] == ["GET /five"]


@pytest.mark.parametrize("size", [0, 999, 1000, 1001, 50_000])
def test_of_a_long_request_the_beginning_is_kept_and_a_short_one_is_not_mixed_with_it(size: int) -> None:
    board = Scoreboard(2, 1)
    tally = board.tally(0)
    tally.begin(0, "x" * size)
    assert [one.request for one in board.in_flight(0)] == ["x" * min(size, 1000)]
    tally.begin(0, "GET /\u20ac\xe9")
    assert [one.request for one in board.in_flight(0)] == ["GET /?\xe9"]
    assert board.read(1) == NOTHING


def test_a_process_that_an_app_forked_writes_nothing_down() -> None:
    board = Scoreboard(1, 2)
    tally = board.tally(0)
    tally.begin(1, "GET /")
    tally.disown()
    tally.end(1, True)
    tally.sent(5)
    assert board.read(0).busy == 1 and board.read(0).requests == 0 and board.read(0).sent == 0


def test_rubbish_on_the_board_is_read_as_numbers_that_can_be_told() -> None:
    drawn = random.Random(7)
    for _ in range(300):
        board = Scoreboard(1, 2)
        memory = board._memories[0]
        memory[:] = drawn.randbytes(len(memory))
        if drawn.random() < 0.5:
            memory[: 8 * 20] = struct.pack("=d", float("nan")) * 20
        board.in_flight(0)
        one = board.read(0)
        done = Totals(one.requests, one.exceptions, 0, one.seconds, one.sent, one.latency)
        message = Workers((), together([done] * 1000))
        assert decode(encode(message)) == message


def test_totals_are_sums() -> None:
    one = Totals(1, 2, 3, 4.0, 5, tuple(range(15)))
    assert together([]) == EMPTY
    assert together([one, EMPTY, one]) == Totals(2, 4, 6, 8.0, 10, tuple(range(0, 30, 2)))
