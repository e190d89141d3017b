"""What ``status --json`` says of one vassal, from its record and what its vassal reported."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from emperor.model import Problem
from emperor.snapshot import snapshot
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.record import Vassal
from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import Totals

NOW = 1000.0
RUNNING = Vassal(
    "blog",
    serving=gen.step(gen.born(4, Patience(60.0, 30.0), 900.0), gen.Event.READY, 901.0)[0],
    problems=(Problem("/e/blog.ini", 3, "socet", "unknown option; did you mean socket?", fatal=False),),
)
CONTRACT = frozenset(
    (
        *("name", "state", "wanted", "pid", "generation", "restarts", "uptime", "error", "config", "uid", "gid"),
        *("sockets", "workers", "last_exit", "next_retry_in", "requests"),
    )
)


def shown(
    vassal: Vassal, *workers: WorkerReport, warning: str = "", stats: str = "", lines: int = 0, numbers: bool = False
) -> dict[str, Any]:
    performer: Any = SimpleNamespace(
        workers=lambda number: workers,
        born=lambda number: 900.0,
        pid=lambda number: 7,
        holdings=SimpleNamespace(shown=lambda: []),
        log=SimpleNamespace(warning=warning, stats_warning=stats),
        ring=SimpleNamespace(last=lambda number: []),
        totals=lambda: Totals(7, 2, 1, 0.5, 900, (0, 7, *[0] * 13)),
    )
    return snapshot(vassal, performer, "/e/blog.ini", NOW, lines, numbers)


def test_it_has_the_contracts_fields() -> None:
    one = shown(RUNNING, WorkerReport(1, 8, "idle", 5, 1, 3))
    assert set(one) >= CONTRACT
    assert set(one["workers"][0]) >= {"id", "pid", "state", "requests", "exceptions", "rss"}


def test_moments_are_told_as_spans() -> None:
    one = shown(
        RUNNING,
        WorkerReport(1, 8, "idle", 5, 1, 3, cpu=1.5, born=950.0, seconds=2.5),
        WorkerReport(2, 0, "backoff", 2, 0, 0, 3, "killed by SIGSEGV", 990.0, 1004.5),
    )
    first, second = one["workers"]
    assert first == {
        **{"id": 1, "pid": 8, "state": "idle", "requests": 5, "exceptions": 1, "rss": 3},
        **{"exits": 0, "last_exit": None, "last_exit_ago": None, "retry_in": None, "renewals": 0},
        **{"doing": None, "doing_for": None, "uptime": 50.0},
        **{"vsz": 0, "cpu": 1.5, "busy": 0, "seconds": 2.5, "sent": 0},
    }
    assert (second["exits"], second["last_exit"], second["last_exit_ago"], second["retry_in"]) == (
        3,
        "killed by SIGSEGV",
        10.0,
        4.5,
    )
    assert (one["worker_exits"], one["requests"], one["restarts"]) == (3, 7, 0)


def test_what_was_counted_over_all_generations_is_told_to_who_asks() -> None:
    assert "totals" not in shown(RUNNING)
    totals = shown(RUNNING, numbers=True)["totals"]
    assert (totals["requests"], totals["harakiris"], totals["sent"]) == (7, 1, 900)
    assert len(totals["latency"]["counts"]) == len(totals["latency"]["bounds"]) + 1
    assert totals["latency"]["bounds"][1] == 0.0025 and totals["latency"]["counts"][1] == 7


def test_what_a_worker_is_at_is_told_with_its_span() -> None:
    rows = [WorkerReport(1, 8, "busy", 5, 1, 3, doing="GET /slow", since=since) for since in (960.0, 9e18)]
    told = [(one["doing"], one["doing_for"], "since" in one) for one in shown(RUNNING, *rows)["workers"]]
    assert told == [("GET /slow", 40.0, False), ("GET /slow", 0.0, False)]


def test_warnings_begin_with_the_most_urgent() -> None:
    one = shown(
        RUNNING,
        WorkerReport(1, 0, "backoff", 0, 0, 0, 3, "killed by SIGSEGV", 990.0, 1004.5),
        warning="logto",
        stats="stats @a",
    )
    assert one["warnings"] == [
        "no worker serves: killed by SIGSEGV, 3 deaths, next start in 5 s",
        "logto",
        "stats @a",
        "/e/blog.ini:3: socet: unknown option; did you mean socket?",
    ]
    assert one["serves"] is False


def test_what_is_merely_ignored_is_a_problem_and_no_warning() -> None:
    ignored = Problem("/e/default.ini", 7, "pidfile", "has no effect here: …", fatal=False)
    absent = Problem("/e/blog.ini", 8, "route", "uWSGI option, not supported: …", fatal=False)
    one = shown(replace(RUNNING, problems=(ignored, absent)), lines=9)
    assert one["warnings"] == ["/e/blog.ini:8: route: uWSGI option, not supported: …"]
    assert [problem["option"] for problem in one["problems"]] == ["pidfile", "route"]


def test_what_serves_and_what_does_not() -> None:
    assert shown(RUNNING)["serves"] is True
    assert shown(RUNNING, WorkerReport(1, 8, "idle", 5, 1, 3))["serves"] is True
    assert shown(Vassal("blog"))["serves"] is False


def test_requests_of_workers_that_are_gone_count_too() -> None:
    one = shown(
        RUNNING, WorkerReport(1, 8, "idle", 5, 1, 3, renewals=2, earlier=40), WorkerReport(2, 9, "idle", 6, 1, 3)
    )
    assert one["requests"] == 51 and one["workers"][0]["requests"] == 5
