"""When an app has been idle for long enough: looked at now and then, from counts alone."""

from __future__ import annotations

from emperor.supervision.idleness import Idleness, look

PATIENCE = 60.0


def after(*looks: tuple[float, int, bool]) -> list[bool]:
    """What each look says: (when, requests ever, is one running?)."""
    state, said = Idleness(), []
    for now, requests, busy in looks:
        state, over = look(state, requests, busy, PATIENCE, now)
        said.append(over)
    return said


def test_nobody_is_idle_at_the_first_look_whatever_the_clock_says() -> None:
    assert after((1e9, 0, False)) == [False]


def test_it_is_said_once_the_whole_time_has_passed() -> None:
    assert after((100, 5, False), (159.9, 5, False), (160, 5, False)) == [False, False, True]


def test_a_request_begins_the_time_anew() -> None:
    assert after((100, 5, False), (150, 6, False), (170, 6, False), (210, 6, False)) == [False, False, False, True]


def test_a_request_that_runs_on_begins_it_anew_at_every_look() -> None:
    assert after((100, 5, False), (150, 5, True), (200, 5, True), (259, 5, False), (260, 5, False)) == [
        *(False, False, False, False),
        True,
    ]


def test_fewer_requests_than_before_are_a_change_too() -> None:
    """A worker that was replaced takes its count along."""
    assert after((100, 5, False), (150, 0, False), (160, 0, False), (210, 0, False)) == [False, False, False, True]


def test_whoever_passes_over_it_is_told_again_as_long_as_it_lasts() -> None:
    assert after((0, 1, False), (60, 1, False), (61, 1, False), (62, 2, False), (63, 2, False)) == [
        *(False, True, True),
        *(False, False),
    ]
