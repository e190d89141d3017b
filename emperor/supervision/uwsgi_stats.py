"""A vassal's numbers in the words of uWSGI's stats server, for the tools that read those (uwsgitop). Pure.

It promises: every key that uWSGI 2.0.31 has for what we have too (core/master_utils.c, uwsgi_master_generate_stats),
with the same type and unit. A request's variables are never among them: cookies and passwords stand there.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional

from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import Totals

MICRO = 1_000_000

CHEAP = "cheap"
"""uWSGI's word for a worker that is not there, as there is too little to do."""
_STATUS = {"idle": "idle", "busy": "busy", "starting": "idle", "backoff": CHEAP}
_ACCEPTS = ("idle", "busy")


class Site(NamedTuple):
    """What does not change. ``mounts``: of its apps, "" is the root. ``processes``, ``threads``: as the ini says."""

    version: str
    pid: int
    uid: int
    gid: int
    cwd: str
    processes: int
    threads: int
    mounts: tuple[str, ...]


class Listener(NamedTuple):
    """A listening socket. ``waiting`` of ``most`` have not been accepted yet; None: the kernel does not tell."""

    name: str
    protocol: str
    waiting: Optional[int] = None
    most: int = 0


class Core(NamedTuple):
    """A thread. ``since``: when the request that it is at began, in seconds of the epoch; None: it has none."""

    requests: int = 0
    since: Optional[float] = None


class Worker(NamedTuple):
    """One process. ``cores``: its threads."""

    report: WorkerReport
    cores: tuple[Core, ...] = ()


Before = Callable[[int], Totals]
"""What those who are gone have done in a seat; the first is 0."""


def numbers(
    site: Site, listeners: Sequence[Listener], workers: Sequence[Worker], before: Before, epoch: float
) -> dict[str, Any]:
    """The document. ``epoch``: when the monotonic clock was 0, in seconds of the epoch.

    Workers come as the vassal reports them: of several in one seat, the first sits there.
    """
    queue = max((one.waiting or 0 for one in listeners), default=0)
    return {
        "version": site.version,
        "listen_queue": queue,
        "listen_queue_errors": 0,
        "signal_queue": 0,
        # uWSGI has no other measure of it either (core/master.c, master_check_listen_queue).
        "load": queue,
        "pid": site.pid,
        "uid": site.uid,
        "gid": site.gid,
        "cwd": site.cwd,
        "locks": [],
        "sockets": [_socket(one) for one in listeners],
        "workers": [_worker(site, number, seat, before(number - 1), epoch) for number, seat in _seats(site, workers)],
    }


def _seats(site: Site, workers: Sequence[Worker]) -> list[tuple[int, list[Worker]]]:
    """uwsgitop files workers under their numbers: one row each, also for those that ``cheaper`` does without."""
    seats: dict[int, list[Worker]] = {number: [] for number in range(1, site.processes + 1)}
    for one in workers:
        seats.setdefault(one.report.id, []).append(one)
    return sorted(seats.items())


def _socket(one: Listener) -> dict[str, Any]:
    return {
        "name": one.name,
        "proto": one.protocol,
        "queue": one.waiting or 0,
        "max_queue": one.most,
        "shared": 0,
        "can_offload": 0,
    }


def _worker(site: Site, number: int, seat: Sequence[Worker], before: Totals, epoch: float) -> dict[str, Any]:
    """What counts up never goes down while others come and go in this seat, but for ``delta_requests``."""
    sitting = seat[0] if seat else Worker(WorkerReport(number, 0, "backoff", 0, 0, 0))
    told, done = sitting.report, _done(seat, before)
    return {
        "id": number,
        "pid": told.pid,
        "accepting": int(told.state in _ACCEPTS),
        "requests": done.requests,
        "delta_requests": told.requests,
        "exceptions": done.exceptions,
        "harakiri_count": done.harakiris,
        "signals": 0,
        "signal_queue": 0,
        "status": _STATUS.get(told.state, "busy" if told.busy else "idle"),
        "rss": told.rss,
        "vsz": told.vsz,
        "running_time": round(done.seconds * MICRO),
        "last_spawn": 0 if told.born is None else int(epoch + told.born),
        "respawn_count": told.exits + told.renewals + (told.pid > 0),
        "tx": done.sent,
        "avg_rt": round(done.seconds * MICRO / done.requests) if done.requests else 0,
        "apps": [_app(index, mount, told) for index, mount in enumerate(site.mounts)],
        "cores": [_core(index, one) for index, one in enumerate(_cores(site, sitting))],
    }


def _done(seat: Sequence[Worker], before: Totals) -> Totals:
    """By all who are and were in it."""
    for one in seat:
        told = one.report
        before = before.plus(Totals(told.requests, told.exceptions, 0, told.seconds, told.sent))
    return before


def _app(index: int, mount: str, told: WorkerReport) -> dict[str, Any]:
    """Nobody counts by mounts: the first has them all."""
    return {
        "id": index,
        "modifier1": 0,
        "mountpoint": mount,
        "startup_time": 0,
        "requests": 0 if index else told.requests,
        "exceptions": 0 if index else told.exceptions,
        "chdir": "",
    }


def _cores(site: Site, sitting: Worker) -> Sequence[Core]:
    return sitting.cores or (Core(),) * site.threads


def _core(index: int, one: Core) -> dict[str, Any]:
    return {
        "id": index,
        "requests": one.requests,
        "static_requests": 0,
        "routed_requests": 0,
        "offloaded_requests": 0,
        "write_errors": 0,
        "read_errors": 0,
        "in_request": int(one.since is not None),
        "vars": [],
        "req_info": {} if one.since is None else {"request_start": int(one.since)},
    }
