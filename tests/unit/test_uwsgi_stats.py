"""A vassal's numbers in uWSGI's words, from values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import EMPTY, Totals
from emperor.supervision.uwsgi_stats import Core, Listener, Site, Worker, numbers

SITE = Site("mini-emperor-1", 100, 33, 34, "/srv/app", processes=2, threads=2, mounts=("", "/shop"))
QUEUE = Listener("/run/a.sock", "uwsgi", 3, 1024)
IDLE = WorkerReport(
    1, 101, "idle", requests=10, exceptions=2, rss=5000, vsz=9000, born=50.0, seconds=0.25, sent=700, exits=1
)
EPOCH = 1_700_000_000.25

WHOLE: dict[str, type] = {
    **{"version": str, "listen_queue": int, "listen_queue_errors": int, "signal_queue": int, "load": int},
    **{"pid": int, "uid": int, "gid": int, "cwd": str, "locks": list, "sockets": list, "workers": list},
}
SOCKET: dict[str, type] = {
    **{"name": str, "proto": str, "queue": int, "max_queue": int, "shared": int, "can_offload": int},
}
WORKER: dict[str, type] = {
    **{"id": int, "pid": int, "accepting": int, "requests": int, "delta_requests": int, "exceptions": int},
    **{"harakiri_count": int, "signals": int, "signal_queue": int, "status": str, "rss": int, "vsz": int},
    **{"running_time": int, "last_spawn": int, "respawn_count": int, "tx": int, "avg_rt": int},
    **{"apps": list, "cores": list},
}
APP: dict[str, type] = {
    **{"id": int, "modifier1": int, "mountpoint": str, "startup_time": int, "requests": int, "exceptions": int},
    "chdir": str,
}
CORE: dict[str, type] = {
    **{"id": int, "requests": int, "static_requests": int, "routed_requests": int, "offloaded_requests": int},
    **{"write_errors": int, "read_errors": int, "in_request": int, "vars": list, "req_info": dict},
}
"""As uWSGI 2.0.31 writes them, in its order; without what it has only if it is asked for (caches, crons, spoolers)."""


def shape(row: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in row.items()}


def told(
    *workers: Worker, listeners: tuple[Listener, ...] = (QUEUE,), gone: dict[int, Totals] | None = None
) -> dict[str, Any]:
    return numbers(SITE, listeners, workers, lambda seat: (gone or {}).get(seat, EMPTY), EPOCH)


def rows(*reports: WorkerReport) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(*(Worker(one) for one in reports))["workers"]
    return found


def test_it_has_the_keys_of_uwsgi_in_its_order_and_with_its_types() -> None:
    document = told(Worker(IDLE, (Core(10), Core(0, EPOCH + 60))))
    worker = document["workers"][0]
    seen = [document, document["sockets"][0], worker, worker["apps"][0], worker["cores"][1]]
    for row, wanted in zip(seen, (WHOLE, SOCKET, WORKER, APP, CORE), strict=True):
        assert list(shape(row).items()) == list(wanted.items())
    assert json.loads(json.dumps(document)) == document


def test_a_worker_is_told_in_uwsgis_units() -> None:
    (worker, _) = rows(IDLE)
    assert (worker["running_time"], worker["avg_rt"]) == (250_000, 25_000)
    assert (worker["last_spawn"], worker["respawn_count"]) == (1_700_000_050, 2)
    assert (worker["rss"], worker["vsz"], worker["tx"]) == (5000, 9000, 700)
    assert (worker["requests"], worker["delta_requests"], worker["exceptions"]) == (10, 10, 2)


def test_what_counts_up_is_that_of_the_seat_and_not_of_the_process() -> None:
    gone = Totals(requests=90, exceptions=1, harakiris=4, seconds=0.75, sent=300)
    leaving = replace(IDLE, pid=99, state="retiring", requests=5, exceptions=0, seconds=0.0, sent=1)
    (worker, cheap) = told(Worker(IDLE), Worker(leaving), gone={0: gone, 1: gone})["workers"]
    assert (worker["pid"], worker["requests"], worker["delta_requests"]) == (101, 105, 10)
    assert (worker["exceptions"], worker["harakiri_count"], worker["tx"]) == (3, 4, 1001)
    assert (worker["running_time"], worker["avg_rt"]) == (1_000_000, round(1_000_000 / 105))
    assert (cheap["status"], cheap["requests"], cheap["delta_requests"]) == ("cheap", 90, 0)


def test_each_seat_has_one_row_and_one_without_a_worker_is_cheap() -> None:
    successor = replace(IDLE, pid=102, state="starting", requests=0)
    found = rows(IDLE, successor)
    assert [(one["id"], one["pid"], one["status"], one["accepting"]) for one in found] == [
        (1, 101, "idle", 1),
        (2, 0, "cheap", 0),
    ]
    assert found[1]["last_spawn"] == found[1]["respawn_count"] == found[1]["avg_rt"] == 0
    assert len(found[1]["cores"]) == 2


def test_more_seats_than_the_ini_says_are_told_too() -> None:
    assert [one["id"] for one in rows(replace(IDLE, id=5), IDLE)] == [1, 2, 5]


def test_states_are_uwsgis_words() -> None:
    wanted = {"idle": "idle", "busy": "busy", "starting": "idle", "backoff": "cheap", "draining": "idle"}
    assert {state: rows(replace(IDLE, state=state))[0]["status"] for state in wanted} == wanted
    assert rows(replace(IDLE, state="retiring", busy=1))[0]["status"] == "busy"
    accepting = {state for state in wanted if rows(replace(IDLE, state=state))[0]["accepting"]}
    assert accepting == {"idle"} | {"busy"}


def test_threads_are_cores_and_no_request_is_shown() -> None:
    worker = told(Worker(IDLE, (Core(7), Core(3, EPOCH + 1.5))))["workers"][0]
    assert [(one["requests"], one["in_request"]) for one in worker["cores"]] == [(7, 0), (3, 1)]
    assert [one["req_info"] for one in worker["cores"]] == [{}, {"request_start": 1_700_000_001}]
    assert [one["vars"] for one in worker["cores"]] == [[], []]


def test_the_fullest_listener_is_the_queue_and_the_load() -> None:
    unknown = Listener("@b", "fastcgi")
    document = told(listeners=(QUEUE, unknown, Listener("127.0.0.1:9000", "http", 5, 100)))
    assert (document["listen_queue"], document["load"]) == (5, 5)
    assert [(one["name"], one["proto"], one["queue"], one["max_queue"]) for one in document["sockets"]] == [
        ("/run/a.sock", "uwsgi", 3, 1024),
        ("@b", "fastcgi", 0, 0),
        ("127.0.0.1:9000", "http", 5, 100),
    ]
    assert told(listeners=())["listen_queue"] == 0


def test_each_mount_is_an_app_and_the_first_has_the_requests() -> None:
    apps = rows(IDLE)[0]["apps"]
    assert [(one["mountpoint"], one["requests"], one["exceptions"]) for one in apps] == [("", 10, 2), ("/shop", 0, 0)]
