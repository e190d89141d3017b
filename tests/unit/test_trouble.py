"""What ``status`` says of workers that die, as a table."""

from __future__ import annotations

import pytest

from emperor.supervision.hearsay import MAX_NUMBER
from emperor.supervision.reports import WorkerReport
from emperor.supervision.trouble import LONGEST_WAIT, RECENT, Trouble, since, trouble, wait

NOW = 10_000.0
SEGV = "killed by SIGSEGV"


def seat(
    number: int = 1,
    state: str = "idle",
    exits: int = 0,
    last_exit: str = "",
    ago: float | None = None,
    retry_in: float | None = None,
) -> WorkerReport:
    died_at = None if ago is None else NOW - ago
    retry_at = None if retry_in is None else NOW + retry_in
    return WorkerReport(number, 0, state, 0, 0, 0, exits, last_exit, died_at, retry_at)


WAITS = seat(1, "backoff", 5, SEGV, 2.0, 3.2)
FINE = seat(2)

TABLE: dict[str, tuple[list[WorkerReport], Trouble]] = {
    "no reports yet": ([], Trouble()),
    "all idle": ([seat(1), seat(2, "busy")], Trouble()),
    "all start for the first time": ([seat(1, "starting"), seat(2, "starting")], Trouble()),
    "one waits, one serves": ([WAITS, FINE], Trouble(f"worker 1: {SEGV}, 5 deaths, next start in 4 s")),
    "the only one waits": ([WAITS], Trouble(f"no worker serves: {SEGV}, 5 deaths, next start in 4 s", False)),
    "all wait": (
        [WAITS, seat(2, "backoff", 2, "exited with code 3", 1.0, 0.0)],
        Trouble("no worker serves: exited with code 3, 7 deaths, next start in 1 s", False),
    ),
    "one died just now, and is there again": ([seat(1, "idle", 1, SEGV, 3.9)], Trouble(f"worker 1: {SEGV}, 3 s ago")),
    "one died just now, and starts": ([seat(1, "starting", 1, SEGV, 0.0)], Trouble(f"worker 1: {SEGV}, 0 s ago")),
    "the only one starts once more": (
        [seat(1, "starting", 2, SEGV, 0.5)],
        Trouble(f"no worker serves: {SEGV}, 2 deaths, 0 s ago", False),
    ),
    "it starts for the second time, long after": ([seat(1, "starting", 9, SEGV, RECENT)], Trouble()),
    "one died nearly a minute ago": (
        [seat(1, "busy", 1, SEGV, RECENT - 0.5), FINE],
        Trouble(f"worker 1: {SEGV}, 59 s ago"),
    ),
    "one died long ago": ([seat(1, "idle", 40, SEGV, RECENT), FINE], Trouble()),
    "two of three died": (
        [seat(1, "idle", 3, SEGV, 20.0), seat(2, "idle", 1, "exited with code 1", 10.0), seat(3)],
        Trouble("2 of 3 workers: exited with code 1, 4 deaths, 10 s ago"),
    ),
    "no process can be had": (
        [seat(1, "backoff", 0, "fork: Cannot allocate memory", 0.1, 0.25), FINE],
        Trouble("worker 1: fork: Cannot allocate memory, next start in 1 s"),
    ),
    "a request took too long": (
        [seat(1, "idle", 1, "killed by harakiri in GET /report", 2.0), FINE],
        Trouble("worker 1: killed by harakiri in GET /report, 2 s ago"),
    ),
    "a request took too long again and again": (
        [seat(1, "starting", 3, "killed by harakiri in GET /report", 0.0), FINE],
        Trouble("worker 1: killed by harakiri in GET /report, 3 deaths, 0 s ago"),
    ),
    "one that leaves is no part of the crew": (
        [WAITS, FINE, seat(1, "retiring"), seat(2, "draining")],
        Trouble(f"worker 1: {SEGV}, 5 deaths, next start in 4 s"),
    ),
    "one that leaves serves nobody who comes": (
        [WAITS, seat(1, "retiring")],
        Trouble(f"no worker serves: {SEGV}, 5 deaths, next start in 4 s", False),
    ),
    "one that is to take a place is counted with it": (
        [seat(1, "idle", 1, SEGV, 3.0), seat(2, "idle", 1, SEGV, 2.0), seat(3), seat(1, "starting")],
        Trouble(f"2 of 3 workers: {SEGV}, 2 deaths, 2 s ago"),
    ),
    "it waits and says nothing else": ([seat(1, "backoff")], Trouble("no worker serves: not running", False)),
    "it lies about the time": (
        [WorkerReport(1, 0, "backoff", 0, 0, 0, MAX_NUMBER - 1, SEGV, 9e18, 9e18)],
        Trouble(f"no worker serves: {SEGV}, {MAX_NUMBER - 1} deaths, next start in 3600 s", False),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_said_of_a_crew(name: str) -> None:
    workers, expected = TABLE[name]
    assert trouble(workers, NOW) == expected


def test_times_are_never_negative_and_never_beyond_reading() -> None:
    assert (wait(FINE, NOW), since(FINE, NOW)) == (None, None)
    assert wait(WorkerReport(1, 0, "", 0, 0, 0, retry_at=1.0), NOW) == 0.0
    assert wait(WorkerReport(1, 0, "", 0, 0, 0, retry_at=9e18), NOW) == LONGEST_WAIT
    assert since(WorkerReport(1, 0, "", 0, 0, 0, died_at=9e18), NOW) == 0.0
