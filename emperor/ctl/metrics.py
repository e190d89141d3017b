"""``emperorctl metrics``: the vassals' numbers in Prometheus' exposition format, also as a file for the node exporter.

It promises: what counts never goes down while the emperor runs, over reloads, restarts and upgrades; a file is there
whole, or as it was. Names follow prometheus.io/docs/practices/naming: base units, ``_total`` for what counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from emperor.control.client import NoDaemon, Unanswered
from emperor.control.messages import DENIED, OK, Request
from emperor.ctl.console import Console
from emperor.ctl.overview import LEAVING, UP
from emperor.errors import EmperorError
from emperor.system import sockdiag
from emperor.system.sockdiag import Queue

_SECONDS = 10.0
_MODE = 0o644

STATES = ("STOPPED", "STARTING", "RUNNING", "RELOADING", "STOPPING", "BACKOFF", "FATAL", "IDLE", "INVALID")

Snapshot = Mapping[str, Any]

_EPILOG = """\
Of the vassals that you may see. For the node exporter, every minute and as root:
  emperorctl metrics --textfile /var/lib/prometheus/node-exporter/emperor.prom
Where no emperor answers, that file says emperor_up 0, and nothing older stays in it.

exit: 0; 1 the file cannot be written; 2 usage; 4 not permitted; 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--textfile", metavar="FILE", default="", help="replace this file by them, in one step")


def run(args: argparse.Namespace, console: Console) -> int:
    try:
        text = _text(_asked(console), console)
    except (NoDaemon, Unanswered):
        if args.textfile:
            _replace(args.textfile, exposition(Nobody()))
        raise
    if args.textfile:
        _replace(args.textfile, text)
    else:
        console.write(text)
    return OK


class Found(NamedTuple):
    """``version``: of the emperor, "" where the caller may not know."""

    snapshots: Sequence[Snapshot]
    version: str
    queues: Mapping[int, Queue]


def _asked(console: Console) -> Found:
    data: list[Snapshot] = []
    for number, reply in enumerate(console.answers(Request("status", (), {"numbers": True}), _SECONDS)):
        found = reply.get("data")
        # The last of several has nothing more.
        if not isinstance(found, list) and (number == 0 or not reply.get("ok")):
            raise EmperorError(f"metrics: {reply.get('error') or 'the emperor is another version of this program'}")
        data += found or ()
    version = list(console.answers(Request("version"), _SECONDS))[-1]
    known = "" if version.get("exit") == DENIED else str(version.get("data") or "")
    return Found(data, known, sockdiag.queues())


def _text(found: Found, console: Console) -> str:
    collector = Vassals(found)
    if not console.json:
        return exposition(collector)
    return "".join(f"{line}\n" for line in _as_json(collector))


def _as_json(collector: Collector) -> Iterator[str]:
    for family in collector.collect():
        samples = [{"name": one.name, "labels": one.labels, "value": one.value} for one in family.samples]
        yield json.dumps({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})


def exposition(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode("utf-8")


def _replace(path: str, text: str) -> None:
    """EmperorError: it cannot be written, and is as it was.

    All of it happens in the folder that was opened, whatever its path leads to meanwhile: it may be the exporter's.
    """
    where, name = os.path.split(os.path.abspath(path))
    fresh = f".{name}.{os.urandom(4).hex()}"
    try:
        folder = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        words = f"its folder is not there -- mkdir -p {shlex.quote(where)}"
        raise EmperorError(f"metrics: {path}: {words}") from None
    except OSError as error:
        raise EmperorError(f"metrics: {path}: {error.strerror}") from None
    try:
        _write(folder, fresh, text)
        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
        if not isinstance(error, OSError):
            raise
        raise EmperorError(f"metrics: {path}: {error.strerror} -- it is as it was") from None
    finally:
        os.close(folder)


def _write(folder: int, name: str, text: str) -> None:
    """A new file, which nobody reads before it is whole."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(fd, _MODE)


class Nobody(Collector):
    """There is no emperor."""

    def collect(self) -> Iterable[Metric]:
        yield _up(0)


class Vassals(Collector):
    """What status tells, as metrics."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        snapshots = self._found.snapshots
        yield _up(1)
        if self._found.version:
            yield InfoMetricFamily("emperor_build", "The running emperor", value={"version": self._found.version})
        states = Counter(str(one.get("state")) for one in snapshots)
        count = GaugeMetricFamily("emperor_vassals", "Vassals by state", labels=["state"])
        for state in dict.fromkeys((*STATES, *states)):
            count.add_metric([state], states[state])
        yield count
        for counts in _COUNTERS:
            yield _family(CounterMetricFamily, counts, snapshots)
        for shows in _GAUGES:
            yield _family(GaugeMetricFamily, shows, snapshots)
        yield _states(snapshots)
        yield _durations(snapshots)
        yield _cpu(snapshots)
        yield from _listen_queues(snapshots, self._found.queues)


class _Number(NamedTuple):
    """``value`` None: not known of this one."""

    name: str
    text: str
    value: Callable[[Snapshot], float | None]


def _total(key: str) -> Callable[[Snapshot], float | None]:
    return lambda one: _number((one.get("totals") or {}).get(key))


def _plain(key: str) -> Callable[[Snapshot], float | None]:
    return lambda one: _number(one.get(key))


def _sum(key: str) -> Callable[[Snapshot], float | None]:
    return lambda one: sum(_number(worker.get(key)) or 0 for worker in _workers(one))


def _number(raw: Any) -> float | None:
    return raw if isinstance(raw, (int, float)) else None


def _workers(one: Snapshot) -> list[Mapping[str, Any]]:
    return [worker for worker in one.get("workers") or () if isinstance(worker, Mapping)]


def _staying(one: Snapshot) -> list[Mapping[str, Any]]:
    return [worker for worker in _workers(one) if worker.get("state") not in LEAVING]


def _serves(one: Snapshot) -> float:
    """Does a request get an answer? One that sleeps is woken by it."""
    return float(one.get("state") in UP and (one.get("state") == "IDLE" or one.get("serves") is not False))


_COUNTERS = (
    _Number("requests", "Requests answered, whatever the answer", _total("requests")),
    _Number(
        "exceptions",
        "Requests whose exception reached the server; what a framework turns into a 500 page is none",
        _total("exceptions"),
    ),
    _Number("harakiris", "Workers killed because a request took longer than harakiri", _total("harakiris")),
    _Number("sent_bytes", "Bytes of answers; 0 unless stats or a request log has them counted", _total("sent")),
    _Number(
        "worker_deaths",
        "Workers that ended without being told to, in the generation that is shown",
        _plain("worker_exits"),
    ),
    _Number("restarts", "Starts after a generation that ended by itself", _plain("restarts")),
    _Number("reloads", "Generations that have taken over from a running one", _plain("reloads")),
)
_GAUGES = (
    _Number("up", "Does it serve, or sleep until it is asked?", _serves),
    _Number("generation", "Number of the generation that is shown", _plain("generation")),
    _Number("uptime_seconds", "How long its generation has run", _plain("uptime")),
    _Number("workers", "Workers that are there to stay", lambda one: len(_staying(one))),
    _Number("workers_busy", "Workers with a request", lambda one: sum(1 for w in _workers(one) if w.get("busy"))),
    _Number("threads_busy", "Threads with a request", _sum("busy")),
    _Number("resident_memory_bytes", "Of all workers; what they share counts in each", _sum("rss")),
    _Number("virtual_memory_bytes", "Address space of all workers", _sum("vsz")),
)


def _up(value: int) -> Metric:
    return GaugeMetricFamily("emperor_up", "Has an emperor answered?", value=value)


def _family(kind: type[CounterMetricFamily | GaugeMetricFamily], row: _Number, snapshots: Sequence[Snapshot]) -> Metric:
    family = kind(f"emperor_vassal_{row.name}", row.text, labels=["vassal"])
    for one in snapshots:
        value = row.value(one)
        if value is not None:
            family.add_metric([str(one.get("name"))], value)
    return family


def _states(snapshots: Sequence[Snapshot]) -> Metric:
    family = GaugeMetricFamily("emperor_vassal_state", "1: the state that it has", labels=["vassal", "state"])
    for one in snapshots:
        family.add_metric([str(one.get("name")), str(one.get("state"))], 1)
    return family


def _durations(snapshots: Sequence[Snapshot]) -> Metric:
    text = "How long requests took, from the head that was read to the last byte that was written"
    family = HistogramMetricFamily("emperor_vassal_request_duration_seconds", text, labels=["vassal"])
    for one in snapshots:
        totals = one.get("totals") or {}
        latency = totals.get("latency") or {}
        bounds, counts = latency.get("bounds") or (), latency.get("counts") or ()
        if len(counts) != len(bounds) + 1:
            continue
        edges = [*(str(float(bound)) for bound in bounds), "+Inf"]
        buckets = list(zip(edges, accumulate(counts), strict=True))
        family.add_metric([str(one.get("name"))], buckets, totals.get("seconds") or 0.0)
    return family


def _cpu(snapshots: Sequence[Snapshot]) -> Metric:
    """By worker: one that is renewed begins anew, which Prometheus takes for the reset that it is."""
    text = "Processor time of the worker in this seat, user and system"
    family = CounterMetricFamily("emperor_worker_cpu_seconds", text, labels=["vassal", "worker"])
    for one in snapshots:
        seats = {worker.get("id"): _number(worker.get("cpu")) for worker in _staying(one)}
        for seat, cpu in seats.items():
            if cpu is not None:
                family.add_metric([str(one.get("name")), str(seat)], cpu)
    return family


def _listen_queues(snapshots: Sequence[Snapshot], queues: Mapping[int, Queue]) -> Iterator[Metric]:
    labels = ["vassal", "socket", "protocol"]
    waiting = GaugeMetricFamily("emperor_socket_listen_queue", "Connections that wait to be accepted", labels=labels)
    most = GaugeMetricFamily("emperor_socket_listen_queue_max", "More than so many are refused", labels=labels)
    for one in snapshots:
        for socket in one.get("sockets") or ():
            queue = queues.get(socket.get("inode"))
            if queue is not None:
                names = [str(one.get("name")), str(socket.get("address")), str(socket.get("protocol"))]
                waiting.add_metric(names, queue.waiting)
                most.add_metric(names, queue.most)
    yield from (waiting, most)
