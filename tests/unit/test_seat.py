"""How long a seat stays empty, over tables of deaths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision import backoff
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.seat import REFUSED_CAP, Past, died, forked, refused, word

STARTING = gen.born(1, Patience(60.0, 30.0), 0.0)
READY = gen.step(STARTING, gen.Event.READY, 0.003)[0]

ANSWERED, SERVED, NEVER = (READY, True), (READY, False), (STARTING, False)
YOUNG, OLD = 1.0, backoff.STABLE


def pauses(*deaths: tuple[tuple[gen.Generation, bool], float]) -> list[float]:
    past, found = Past(), []
    for (worker, answered), age in deaths:
        past, pause = died(past, worker, "killed by SIGKILL", answered, age, 0.0)
        found.append(pause)
    return found


@pytest.mark.parametrize(
    ("deaths", "expected"),
    [
        ([(ANSWERED, YOUNG)] * 1000, [0.0] * 1000),
        ([(SERVED, YOUNG)] * 6, [0.0, 0.0, 0.0, 0.5, 1.0, 2.0]),
        ([(SERVED, OLD)] * 6, [0.0] * 6),
        ([(NEVER, YOUNG)] * 4, [0.25, 0.5, 1.0, 2.0]),
        ([(NEVER, OLD)] * 3, [0.25, 0.5, 1.0]),
        ([*[(SERVED, YOUNG)] * 5, (ANSWERED, YOUNG), *[(SERVED, YOUNG)] * 3], [0, 0, 0, 0.5, 1, 0, 0, 0, 0.5]),
        ([(NEVER, YOUNG), (NEVER, YOUNG), (SERVED, YOUNG), (SERVED, YOUNG)], [0.25, 0.5, 0.0, 0.5]),
    ],
    ids=["answered", "served", "served long", "never served", "never served long", "one answer", "mixed"],
)
def test_a_seat_stays_empty_the_longer_the_less_its_workers_did(deaths: list[object], expected: list[float]) -> None:
    assert pauses(*deaths) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("worker", [STARTING, READY])
def test_whoever_keeps_dying_is_forked_at_most_20_times_in_ten_minutes(worker: gen.Generation) -> None:
    past, now, count = Past(), 0.0, 0
    while now < 600:
        count += 1
        past, pause = died(past, replace(worker, born=now), "exited with code 1", False, now, 0.0)
        now += pause
    assert 10 <= count <= 20


def test_every_death_is_remembered_whoever_answered() -> None:
    past = Past()
    for number in range(1, 4):
        past, _ = died(past, READY, f"exited with code {number}", True, float(number), 0.0)
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
