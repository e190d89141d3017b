"""``emperorctl metrics``: what a Prometheus client reads in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emperor.control.messages import DENIED, OK, Request, answer, refusal
from emperor.ctl import metrics
from emperor.ctl.console import Console
from emperor.ctl.metrics import Found, Nobody, Vassals, exposition
from emperor.errors import EmperorError
from emperor.system.sockdiag import Queue

WORKER = {"id": 1, "state": "busy", "busy": 2, "rss": 1000, "vsz": 5000, "cpu": 1.5}
BLOG: dict[str, Any] = {
    "name": "blog",
    "state": "RUNNING",
    "serves": True,
    "generation": 3,
    "uptime": 8.5,
    "restarts": 2,
    "reloads": 4,
    "sockets": [{"protocol": "uwsgi", "address": "/run/blog.sock", "inode": 77}, {"address": "/gone", "inode": 78}],
    "workers": [
        {**WORKER, "id": 1, "state": "retiring", "cpu": 9.0},
        WORKER,
        {**WORKER, "id": 2, "state": "idle", "busy": 0},
    ],
    "totals": {
        "requests": 6,
        "exceptions": 1,
        "harakiris": 1,
        "seconds": 2.5,
        "sent": 4096,
        "latency": {"bounds": [0.1, 1.0], "counts": [3, 2, 1]},
    },
}
Samples = dict[str, dict[tuple[str, ...], float]]


def read(*snapshots: dict[str, Any], version: str = "1.2") -> Samples:
    """As a client of Prometheus' reads it: sample → what tells it apart → value."""
    found: Samples = {}
    text = exposition(Vassals(Found(snapshots, version, {77: Queue(3, 128)})))
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(value for _, value in sorted(one.labels.items()))] = one.value
    return found


def test_what_counts_is_a_total() -> None:
    found = read(BLOG)
    counted = {name: found[f"emperor_vassal_{name}_total"]["blog",] for name in ("requests", "exceptions", "harakiris")}
    assert counted == {"requests": 6, "exceptions": 1, "harakiris": 1}
    assert found["emperor_vassal_sent_bytes_total"] == {("blog",): 4096}
    assert found["emperor_vassal_restarts_total"] == {("blog",): 2}
    assert found["emperor_vassal_reloads_total"] == {("blog",): 4}


def test_durations_are_a_histogram_with_all_below_each_bound() -> None:
    found = read(BLOG)
    assert found["emperor_vassal_request_duration_seconds_bucket"] == {
        ("0.1", "blog"): 3,
        ("1.0", "blog"): 5,
        ("+Inf", "blog"): 6,
    }
    assert found["emperor_vassal_request_duration_seconds_count"] == {("blog",): 6}
    assert found["emperor_vassal_request_duration_seconds_sum"] == {("blog",): 2.5}


def test_workers_that_leave_are_none_of_the_crew_and_still_busy() -> None:
    found = read(BLOG)
    assert found["emperor_vassal_workers"] == {("blog",): 2}
    assert found["emperor_vassal_workers_busy"] == {("blog",): 2}
    assert found["emperor_vassal_threads_busy"] == {("blog",): 4}
    assert found["emperor_vassal_resident_memory_bytes"] == {("blog",): 3000}
    assert found["emperor_worker_cpu_seconds_total"] == {("blog", "1"): 1.5, ("blog", "2"): 1.5}


def test_a_queue_is_that_of_its_own_socket() -> None:
    found = read(BLOG)
    assert found["emperor_socket_listen_queue"] == {("uwsgi", "/run/blog.sock", "blog"): 3}
    assert found["emperor_socket_listen_queue_max"] == {("uwsgi", "/run/blog.sock", "blog"): 128}


@pytest.mark.parametrize(
    ("state", "serves", "up"),
    [("RUNNING", True, 1), ("RUNNING", False, 0), ("IDLE", False, 1), ("RELOADING", True, 1), ("BACKOFF", False, 0)],
)
def test_up_is_who_would_answer(state: str, serves: bool, up: int) -> None:
    found = read({**BLOG, "state": state, "serves": serves})
    assert found["emperor_vassal_up"] == {("blog",): up}
    assert found["emperor_vassal_state"] == {(state, "blog"): 1}
    assert found["emperor_vassals"][state,] == 1 and sum(found["emperor_vassals"].values()) == 1


def test_the_emperor_tells_its_version_if_one_may_know() -> None:
    assert read()["emperor_build_info"] == {("1.2",): 1}
    assert "emperor_build_info" not in read(version="")
    assert read()["emperor_up"] == {(): 1}
    assert "emperor_up 0.0\n" in exposition(Nobody())


def test_what_an_older_emperor_does_not_tell_is_not_made_up() -> None:
    found = read({"name": "blog", "state": "RUNNING", "workers": [], "sockets": []})
    assert "emperor_vassal_requests_total" not in found
    assert "emperor_vassal_request_duration_seconds_count" not in found


def test_names_and_paths_cannot_break_a_line() -> None:
    evil = 'a"b\n# TYPE x counter\\'
    found = read({**BLOG, "sockets": [{"protocol": "uwsgi", "address": evil, "inode": 77}]})
    assert found["emperor_socket_listen_queue"] == {("uwsgi", evil, "blog"): 3}


# The verb --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emperor.system.sockdiag.queues", dict)


def ran(status: Sequence[dict[str, Any]], as_json: bool = False) -> tuple[int, str]:
    written: list[str] = []

    def ask(request: Request, timeout: object) -> Any:
        return iter(status if request.verb == "status" else [refusal("version: not permitted", DENIED)])

    console = Console(written.append, pytest.fail, ask, lambda seconds: None, json=as_json)
    return metrics.run(argparse.Namespace(textfile=""), console), "".join(written)


def test_each_family_is_one_object_of_json() -> None:
    code, text = ran([answer([BLOG])], as_json=True)
    families = {one["name"]: one for one in map(json.loads, text.splitlines())}
    assert code == OK and families["emperor_up"]["samples"] == [{"name": "emperor_up", "labels": {}, "value": 1}]
    requests = families["emperor_vassal_requests"]
    assert (requests["type"], bool(requests["help"])) == ("counter", True)
    assert requests["samples"] == [{"name": "emperor_vassal_requests_total", "labels": {"vassal": "blog"}, "value": 6}]


def test_an_answer_in_several_pieces_is_read_whole() -> None:
    code, text = ran([answer([BLOG]), answer([{**BLOG, "name": "shop"}]), answer(None)])
    assert code == OK and 'requests_total{vassal="blog"} 6' in text and 'requests_total{vassal="shop"} 6' in text


@pytest.mark.parametrize(
    "status",
    [[refusal("status: no", DENIED)], [answer([BLOG]), refusal("answer: too slow", 1)], [answer({"of": "another"})]],
    ids=["refused", "cut off", "another version's"],
)
def test_half_an_answer_is_none(status: list[dict[str, Any]]) -> None:
    with pytest.raises(EmperorError, match=r"^metrics: "):
        ran(status)
