"""How many workers a crew is to have, over loads that come and go."""

from __future__ import annotations

import random

import pytest

from emperor.supervision.cheaper import LOOK_EVERY, QUIET, Bounds, Pace, fitted, look

BOUNDS = Bounds(least=1, first=1, most=8, step=1, overload=1.0, threads=1)


def play(pace: Pace, bounds: Bounds, load: list[float], every: float = LOOK_EVERY, now: float = 0.0) -> list[int]:
    """Everybody who is wanted is there at the next look. ``load``: how many threads' worth of requests are there."""
    found = []
    for one in load:
        busy = min(int(one), pace.wanted * bounds.threads)
        pace = look(pace, bounds, pace.wanted, busy, now)
        found.append(pace.wanted)
        now += every
    return found


def test_it_grows_when_all_were_busy_at_each_look_for_so_long() -> None:
    wanted = play(Pace(1), BOUNDS, [9.0] * 100)
    first = wanted.index(2)
    assert first * LOOK_EVERY == pytest.approx(1.0, abs=LOOK_EVERY)
    assert wanted[-1] == 8 and max(b - a for a, b in zip(wanted, wanted[1:], strict=False)) == 1


def test_one_look_that_finds_somebody_free_begins_the_time_anew() -> None:
    assert set(play(Pace(2), BOUNDS, [2.0, 2.0, 2.0, 2.0, 1.0] * 20)) == {2}


def test_it_grows_by_the_step_and_never_beyond_the_most() -> None:
    bounds = Bounds(1, 1, 8, 5, 1.0, 1)
    assert sorted(set(play(Pace(1), bounds, [9.0] * 100))) == [1, 6, 8]


def test_a_worker_with_a_free_thread_is_not_busy() -> None:
    bounds = Bounds(1, 1, 8, 1, 1.0, 4)
    assert set(play(Pace(2), bounds, [7.0] * 100)) == {2}
    assert play(Pace(2), bounds, [8.0] * 100)[-1] == 3


def test_it_shrinks_one_by_one_after_a_quiet_while_and_never_below_the_least() -> None:
    wanted = play(Pace(8), Bounds(2, 2, 8, 4, 1.0, 1), [0.0] * 600, every=1.0)
    assert wanted[-1] == 2
    assert [wanted.index(number) for number in (7, 6, 5)] == [QUIET, 2 * QUIET + 1, 3 * QUIET + 2]


def test_one_look_that_finds_them_needed_begins_the_quiet_anew() -> None:
    assert set(play(Pace(4), BOUNDS, [0.0] * 9 + [3.0] + [0.0] * 9 + [3.0], every=1.0)) == {4}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("load", range(12))
def test_a_load_that_stays_the_same_moves_nothing_in_the_end(load: int, threads: int) -> None:
    bounds = Bounds(1, 1, 8, 3, 1.0, threads)
    for start in range(1, 9):
        wanted = play(Pace(start), bounds, [float(load)] * 4000)
        settled = wanted[2000:]
        assert len(set(settled)) == 1, f"from {start}"
        assert settled[0] * threads > load or settled[0] == 8


def test_while_one_is_missing_nothing_is_decided() -> None:
    pace = Pace(3)
    for now in range(100):
        pace = look(pace, BOUNDS, 2, 2, float(now))
        assert pace == Pace(3)
    for now in range(100, 200):
        assert look(pace, BOUNDS, 2, 0, float(now)) == Pace(3)


def test_without_cheaper_nothing_ever_moves() -> None:
    bounds = Bounds(4, 4, 4, 1, 1.0, 1)
    assert set(play(Pace(4), bounds, [9.0] * 50 + [0.0] * 500)) == {4}


def test_new_bounds_hold_at_once() -> None:
    assert fitted(Pace(5, full_since=1.0), Bounds(1, 1, 3, 1, 1.0, 1)) == Pace(3)
    assert fitted(Pace(0), Bounds(2, 2, 4, 1, 1.0, 1)) == Pace(2)
    assert fitted(Pace(3), Bounds(0, 0, 0, 1, 1.0, 1)) == Pace(0)


@pytest.mark.parametrize("seed", range(20))
def test_no_load_brings_it_out_of_its_bounds(seed: int) -> None:
    luck = random.Random(seed)
    bounds = Bounds(luck.randint(1, 3), 3, luck.randint(4, 9), luck.randint(1, 4), luck.choice([0.2, 1.0]), 2)
    load = [float(luck.randint(0, 20)) for _ in range(300) for _ in range(luck.randint(1, 20))]
    assert all(bounds.least <= wanted <= bounds.most for wanted in play(Pace(3), bounds, load))
