"""The pauses between a death and the next start."""

from __future__ import annotations

import pytest

from emperor.supervision import backoff


def starts(seconds: float, had_served: bool) -> int:
    """How often is a child started in so many seconds that dies as soon as it can, when the dice show 0?"""
    now, count = 0.0, 0
    while now < seconds:
        count += 1
        now += backoff.delay(count, had_served, 0.0)
    return count


def test_the_first_death_of_a_child_that_had_served_is_answered_at_once() -> None:
    assert backoff.delay(1, had_served=True, luck=0.99) == 0.0


def test_a_child_that_never_served_waits_even_the_first_time() -> None:
    assert backoff.delay(1, had_served=False, luck=0.0) == backoff.FIRST


@pytest.mark.parametrize("had_served", [True, False])
def test_the_pause_doubles_until_the_cap(had_served: bool) -> None:
    pauses = [backoff.delay(failures, had_served, 0.0) for failures in range(2, 12)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("failures", [9, 17, 18, 1000, 10**9])
def test_the_attempts_never_end_and_the_pause_stays_at_the_cap(failures: int) -> None:
    assert backoff.delay(failures, had_served=False, luck=0.0) == backoff.CAP


@pytest.mark.parametrize("failures", [2, 5, 100])
def test_luck_adds_at_most_its_share(failures: int) -> None:
    least = backoff.delay(failures, had_served=True, luck=0.0)
    assert backoff.delay(failures, had_served=True, luck=0.5) == pytest.approx(least * (1 + backoff.JITTER / 2))
    assert least < backoff.delay(failures, had_served=True, luck=0.999) < least * (1 + backoff.JITTER)


@pytest.mark.parametrize("had_served", [True, False])
def test_a_child_that_keeps_dying_is_started_at_most_20_times_in_ten_minutes(had_served: bool) -> None:
    assert 10 <= starts(600.0, had_served) <= 20
