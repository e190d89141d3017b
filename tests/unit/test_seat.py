"""How long a seat stays empty, over tables of deaths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision import backoff
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.seat import ASKED_CAP, AT_ONCE, REFUSED_CAP, Death, Fellows, Past, died, forked, refused, word

STARTING = gen.born(1, Patience(60.0, 30.0), 0.0)
READY = gen.step(STARTING, gen.Event.READY, 0.003)[0]

ALONE, BARREN = Fellows(1, False), Fellows(AT_ONCE + 1, False)
AMONG, AMONG_BARREN = Fellows(1, True), Fellows(AT_ONCE + 1, True)
ANSWERED, SERVED, FORKED = Death(READY, "", True, True), Death(READY, "", False, True), Death(STARTING, "", False, True)
LAZY = Death(STARTING, "", False, False)
ASKED = Death(READY, "", False, True, asked=True)
YOUNG, OLD = 1.0, backoff.STABLE
GROWING = [0.0, 0.0, 0.0, 0.0, 0.03, 0.12, 0.48, 1.92]


@pytest.mark.parametrize(
    ("deaths", "fellows", "age", "expected"),
    [
        ([ANSWERED] * 1000, ALONE, YOUNG, [0.0] * 1000),
        ([ANSWERED] * 1000, AMONG, YOUNG, [0.0] * 1000),
        ([SERVED] * 8, BARREN, YOUNG, GROWING),
        ([FORKED] * 8, BARREN, YOUNG, GROWING),
        ([SERVED] * 8, AMONG_BARREN, YOUNG, GROWING),
        ([SERVED] * 8, BARREN, OLD, [0.0] * 8),
        ([FORKED] * 8, BARREN, OLD, GROWING),
        # Others answer meanwhile, or this one did a moment ago: the crew does its work.
        ([SERVED] * 8, ALONE, YOUNG, [0.0] * 8),
        ([SERVED] * 11, AMONG, YOUNG, [*GROWING, 5.0, 5.0, 5.0]),
        # Each of these had a client, and those who wait are clients too.
        ([ASKED] * 11, BARREN, YOUNG, [*GROWING, 2.0, 2.0, 2.0]),
        ([ASKED] * 11, AMONG, YOUNG, [*GROWING, 2.0, 2.0, 2.0]),
        ([ASKED] * 8, ALONE, YOUNG, [0.0] * 8),
        ([*[ASKED] * 20, SERVED], BARREN, YOUNG, [*GROWING, *[2.0] * 12, 60.0]),
        ([LAZY] * 4, BARREN, YOUNG, [0.25, 0.5, 1.0, 2.0]),
        ([LAZY] * 3, ALONE, OLD, [0.25, 0.5, 1.0]),
        ([*[SERVED] * 6, ANSWERED, *[SERVED] * 4], BARREN, YOUNG, [0, 0, 0, 0, 0.03, 0.12, 0, 0, 0, 0, 0.03]),
    ],
)
def test_a_seat_stays_empty_the_longer_the_less_its_workers_did(
    deaths: list[Death], fellows: Fellows, age: float, expected: list[float]
) -> None:
    past, pauses = Past(), []
    for death in deaths:
        past, pause = died(past, death, fellows, age, 0.0)
        pauses.append(pause)
    assert pauses == pytest.approx(expected)


@pytest.mark.parametrize("death", [SERVED, FORKED, LAZY])
def test_whoever_keeps_dying_is_forked_at_most_20_times_in_ten_minutes(death: Death) -> None:
    past, now, count = Past(), 0.0, 0
    while now < 600:
        count += 1
        young = replace(death, worker=replace(death.worker, born=now))
        past, pause = died(past, young, Fellows(count, False), now, 0.0)
        now += pause
    assert 10 <= count <= 20


def test_whoever_dies_of_a_request_each_time_is_not_forked_more_often_than_every_other_second() -> None:
    past, now, count = Past(), 0.0, 0
    while now < 600:
        count += 1
        past, pause = died(past, replace(ASKED, worker=replace(READY, born=now)), Fellows(count, False), now, 0.0)
        now += pause
    assert 200 < count <= 600 / ASKED_CAP + len(GROWING)


def test_luck_adds_a_quarter_at_most() -> None:
    past = Past(failures=AT_ONCE)
    assert died(past, SERVED, BARREN, YOUNG, 0.999)[1] == pytest.approx(0.03 * 1.25, rel=0.01)


def test_every_death_is_remembered_whoever_answered() -> None:
    past = Past()
    for number in range(1, 4):
        death = replace(ANSWERED, how=f"exited with code {number}")
        past, _ = died(past, death, ALONE, float(number), 0.0)
    assert (past.exits, past.last_exit, past.died_at) == (3, "exited with code 3", 3.0)


def test_a_fork_that_the_kernel_refuses_is_tried_again_soon_and_is_no_death() -> None:
    past, waits = Past(failures=2, exits=7), []
    for _ in range(8):
        past, pause = refused(past, "fork: Cannot allocate memory", 1.0, 0.99)
        waits.append(pause)
    assert (past.exits, past.failures, past.last_exit) == (7, 2, "fork: Cannot allocate memory")
    assert waits == sorted(waits) and waits[-1] == REFUSED_CAP
    assert refused(forked(past), "fork", 2.0, 0.0)[1] == backoff.FIRST


@pytest.mark.parametrize(
    ("worker", "busy", "expected"),
    [
        (None, 0, "backoff"),
        (STARTING, 1, "starting"),
        (READY, 0, "idle"),
        (READY, 2, "busy"),
        (gen.step(READY, gen.Event.RETIRE, 2.0)[0], 1, "retiring"),
        (gen.step(READY, gen.Event.DRAIN, 2.0)[0], 1, "draining"),
    ],
)
def test_the_word_for_a_seat(worker: gen.Generation | None, busy: int, expected: str) -> None:
    assert word(worker, busy) == expected
