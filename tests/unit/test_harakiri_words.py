"""Whose request is overdue, when to look again, and the words for it."""

from __future__ import annotations

import pytest

from emperor.supervision.harakiri import LOGGED, Doing, cause, charge, next_look, overdue
from emperor.supervision.reports import MAX_EXIT

NOW, LIMIT = 10_000.0, 30.0


def doing(worker: int = 0, ago: float = 0.0, request: str = "GET /", thread: int = 0) -> Doing:
    return Doing(worker, thread, NOW - ago, request)


def test_nobody_busy_is_nobody_overdue_and_no_look_before_somebody_could_be() -> None:
    assert overdue([], LIMIT, NOW) == []
    assert next_look([], LIMIT, NOW) == NOW + LIMIT


def test_a_request_is_overdue_from_the_limit_on() -> None:
    assert overdue([doing(ago=29.999)], LIMIT, NOW) == []
    assert overdue([doing(ago=30.0)], LIMIT, NOW) == [doing(ago=30.0)]


def test_of_a_worker_with_several_threads_the_longest_is_named_once() -> None:
    doings = [doing(0, 31, "GET /b", 0), doing(0, 40, "GET /a", 1), doing(0, 5, "GET /c", 2)]
    assert overdue(doings, LIMIT, NOW) == [doings[1]]


def test_each_worker_that_is_overdue_is_named_and_no_other() -> None:
    doings = [doing(2, 31), doing(1, 29), doing(0, 90)]
    assert [one.worker for one in overdue(doings, LIMIT, NOW)] == [0, 2]


@pytest.mark.parametrize(("agos", "left"), [([0.0], 30.0), ([10.0, 29.0], 1.0), ([0.0, 0.0], 30.0)])
def test_the_next_look_is_when_the_oldest_request_is_due(agos: list[float], left: float) -> None:
    assert next_look([doing(ago=ago) for ago in agos], LIMIT, NOW) == pytest.approx(NOW + left)


def test_whoever_begins_after_a_look_is_not_overdue_before_the_next() -> None:
    look = next_look([doing(ago=12.0)], LIMIT, NOW)
    assert overdue([Doing(0, 0, NOW + 0.001, "GET /")], LIMIT, look) == []


def test_the_log_has_the_whole_uri_and_the_limit() -> None:
    assert charge([doing(ago=31, request="GET /report?x=1")], 30.0) == (
        "harakiri: GET /report?x=1 has taken more than 30 s -- killed, with these stacks:"
    )
    assert "more than 0.5 s" in charge([doing()], 0.5)


@pytest.mark.parametrize(("others", "words"), [(1, "(and 1 other request)"), (3, "(and 3 other requests)")])
def test_the_log_counts_the_requests_that_go_with_it(others: int, words: str) -> None:
    assert f"-- killed {words}, with" in charge([doing(ago=31), *[doing(ago=1, thread=3)] * others], LIMIT)


def test_status_is_told_the_path_without_its_query() -> None:
    assert cause(doing(request="GET /report?token=secret")) == "killed by harakiri in GET /report"


@pytest.mark.parametrize("request_line", ["GET /" + "x" * 5000, "GET /" + "\x1b" * 900, "M" * 3000 + " /"])
def test_what_a_client_sends_is_bounded_and_escaped(request_line: str) -> None:
    shown, logged = cause(doing(request=request_line)), charge([doing(request=request_line)], LIMIT)
    assert len(shown) <= MAX_EXIT
    assert len(logged) < LOGGED + 100
    assert "..." in shown
    assert "\x1b" not in shown + logged


def test_no_line_breaks_out_of_the_log() -> None:
    assert "\n" not in charge([doing(request="GET /a\nworker 1: all is well")], LIMIT)
    assert "\n" not in cause(doing(request="GET /a\nworker 1: all is well"))
