"""Who sits in one seat, over its events."""

from __future__ import annotations

import pytest

from emperor.supervision import generation as gen
from emperor.supervision.generation import Action, Event, Generation, Patience, Phase
from emperor.supervision.seating import Role, Seat, all_told, closed, left, seated, spared, to_close, to_open, told


def born(number: int) -> Generation:
    return gen.born(number, Patience(60.0, 30.0), 0.0)


def ready(number: int) -> Generation:
    return gen.step(born(number), Event.READY, 1.0)[0]


RENEWING = seated(seated(Seat(0), ready(1)), born(2))
RENEWED, RETIRES = told(RENEWING, 2, Event.READY, 5.0)


def numbers(seat: Seat) -> tuple[int | None, int | None, tuple[int, ...]]:
    inside = [one.number if one is not None else None for one in (seat.sitting, seat.incoming)]
    return inside[0], inside[1], tuple(one.number for one in seat.outgoing)


def test_whoever_comes_into_an_empty_seat_sits_there() -> None:
    assert numbers(seated(Seat(0), born(1))) == (1, None, ())


def test_whoever_comes_beside_another_one_waits_for_its_own_word() -> None:
    assert numbers(RENEWING) == (1, 2, ())
    assert RENEWING.serves


def test_the_word_of_the_new_one_is_the_order_to_the_old_one() -> None:
    assert numbers(RENEWED) == (2, None, (1,))
    assert RETIRES == ((1, Action.RETIRE),)
    assert (RENEWED.outgoing[0].phase, RENEWED.outgoing[0].deadline) == (Phase.RETIRING, 35.0)
    assert RENEWED.serves and RENEWED.renewals == 1


def test_when_the_old_one_dies_the_new_one_is_its_heir() -> None:
    seat, role = left(RENEWING, 1)
    assert numbers(seat) == (2, None, ()) and role is Role.SITTING
    seat, signals = told(seat, 2, Event.READY, 5.0)
    assert numbers(seat) == (2, None, ()) and signals == () and seat.renewals == 0


def test_when_the_new_one_dies_the_old_one_serves_on() -> None:
    seat, role = left(RENEWING, 2)
    assert numbers(seat) == (1, None, ()) and role is Role.INCOMING and seat.serves


def test_when_the_old_one_has_gone_nothing_changes_for_the_new_one() -> None:
    assert left(RENEWED, 1) == (Seat(0, sitting=RENEWED.sitting, renewals=1), Role.OUTGOING)


def test_one_that_is_spared_is_overdue_later_and_nobody_else_is() -> None:
    seat = spared(RENEWED, 1, 50.0)
    assert seat.outgoing[0].deadline == 50.0 and seat.outgoing[0].phase is Phase.RETIRING
    assert spared(seat, 1, 35.0) == RENEWED
    assert spared(RENEWED, 2, 50.0) == RENEWED
    seat, signals = told(seat, 1, Event.DEADLINE, 50.0)
    assert signals == ((1, Action.KILL),)


def test_one_that_was_condemned_while_its_replacement_started_is_not_told_twice() -> None:
    seat, signals = told(RENEWING, 1, Event.KILL, 4.0)
    assert signals == ((1, Action.KILL),) and not seat.serves
    seat, signals = told(seat, 2, Event.READY, 5.0)
    assert numbers(seat) == (2, None, (1,)) and signals == ()


def test_a_closed_seat_tells_everybody_to_go_and_keeps_them_until_they_have() -> None:
    seat, signals = closed(RENEWING, 5.0)
    assert numbers(seat) == (None, None, (1, 2)) and not seat.open
    assert signals == ((1, Action.RETIRE), (2, Action.TERM))
    assert closed(seat, 6.0) == (seat, ())
    assert numbers(seated(seat, born(3))) == (3, None, (1, 2))


def test_whoever_is_late_is_killed_wherever_it_is() -> None:
    assert told(RENEWED, 1, Event.DEADLINE, 35.0)[1] == ((1, Action.KILL),)
    assert told(RENEWING, 2, Event.DEADLINE, 60.0)[1] == ((2, Action.KILL),)
    assert told(RENEWING, 9, Event.DEADLINE, 60.0) == (RENEWING, ())


def test_a_drain_is_for_everybody() -> None:
    seat, signals = all_told(RENEWING, Event.DRAIN, 5.0)
    assert sorted(signals) == [(1, Action.TERM), (2, Action.TERM)]
    # It was on its way to say so; nobody takes anybody's place any more.
    assert numbers(told(seat, 2, Event.READY, 5.1)[0]) == (1, 2, ())


SEATS = [Seat(0, sitting=ready(1)), Seat(1), Seat(2, sitting=born(3)), Seat(3, sitting=ready(4)), Seat(4, open=False)]


@pytest.mark.parametrize(
    ("wanted", "opened", "gone"),
    [(0, [], [1, 2, 3, 0]), (1, [], [1, 2, 3]), (3, [], [1]), (4, [], []), (5, [4], []), (7, [4, 5, 6], [])],
)
def test_empty_seats_go_before_those_that_start_and_these_before_the_idle_and_the_busy(
    wanted: int, opened: list[int], gone: list[int]
) -> None:
    assert to_open(SEATS, wanted) == opened
    assert to_close(SEATS, wanted, {1}) == gone
