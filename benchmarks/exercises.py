"""What one round is, for each kind of row: a target, and the figures that come out of it."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from benchmarks import load, measure
from benchmarks.rows import Row
from benchmarks.running import Server
from benchmarks.servers import SERVERS, Failure

Figures = Mapping[str, float]
"""Keys are of ``rows.METRICS``."""

WARM_MIB = 1
"""Bodies before the first round; they are not worth measuring."""

_WARM_TIMES = 3
_MEMORY_REQUESTS = 1000
_STATUS_TIMES = 4
"""Commands for each round that others have: one is over in no time."""

_ALL_RUNNING = 120.0
_EXPECTED = {"bare": b"Hello, world!\n", "sleeper": b"Hello, world!\n", "flask_hello": b"Hello, 7!\n"}


@dataclass(frozen=True)
class Extent:
    """How much is done: rounds for each server, seconds for each, MiB of each body."""

    rounds: int = 5
    seconds: float = 5.0
    download: int = 100
    upload: int = 1024


@dataclass(frozen=True)
class Target:
    """A server that runs behind nginx's ``port``; 0 where the exercise needs no nginx."""

    server: Server
    port: int


def _hello(row: Row, target: Target, extent: Extent) -> Figures:
    pids, before = _clock(target)
    done = load.wrk(target.port, row.connections, extent.seconds)
    return {"cpu": _spent(target, pids, before) / done.requests * 1e6, "rate": done.rate}


def _download(row: Row, target: Target, extent: Extent) -> Figures:
    pids, before = _clock(target)
    growth = measure.Growth(target.server.workers())
    begin, times = time.monotonic(), 0
    while not times or time.monotonic() - begin < extent.seconds:
        came = load.discard(target.port, f"{row.path}?{extent.download}")
        if came != extent.download << 20:
            raise Failure(f"{came} bytes came of {extent.download << 20}")
        times += 1
    mebibytes = times * extent.download
    speed = mebibytes / (time.monotonic() - begin)
    spent = _spent(target, pids, before)
    return {"speed": speed, "growth": growth.mib(), "cpu-gib": spent * 1000 / (mebibytes / 1024)}


def _upload(row: Row, target: Target, extent: Extent) -> Figures:
    size = extent.upload << 20
    expected = _digest(extent.upload) if row.path == "/hash" else str(size)
    pids, before = _clock(target)
    growth = measure.Growth(target.server.workers())
    begin = time.monotonic()
    answer = load.put(target.port, row.path, size, load.pieces(extent.upload)).decode()
    speed = extent.upload / (time.monotonic() - begin)
    spent = _spent(target, pids, before)
    if answer != expected:
        raise Failure(f"the app read something else than was sent: {answer} instead of {expected}")
    return {"speed": speed, "growth": growth.mib(), "cpu-gib": spent * 1000 / (extent.upload / 1024)}


def _memory(row: Row, target: Target, extent: Extent) -> Figures:
    load.get(target.port, row.path, _MEMORY_REQUESTS)
    pids = target.server.pids()
    daemon = (target.server.root,) if target.server.has_daemon else ()
    serving = tuple(pid for pid in pids if pid not in daemon)
    return {
        "pss": measure.pss(serving),
        "pss-anon": measure.pss(serving, "Pss_Anon"),
        "pss-daemon": measure.pss(daemon),
    }


def _status(row: Row, target: Target, extent: Extent) -> Figures:
    """A pipe reads it, as a shell loop would; CPU is the command's alone, not its daemon's."""
    before, begin = _children_seconds(), time.monotonic()
    running = _running(target)
    wall, cpu = time.monotonic() - begin, _children_seconds() - before
    if running != target.server.plan.contender.processes:
        raise Failure(f"{running} of {target.server.plan.contender.processes} are told to be running")
    return {"command": wall * 1000, "command-least": wall * 1000, "command-cpu": cpu * 1000}


def _running(target: Target) -> int:
    plan = target.server.plan
    command = SERVERS[plan.contender.server].status(plan)
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_ALL_RUNNING)
    return sum(line.split()[1:2] == ["RUNNING"] for line in done.stdout.splitlines())


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _clock(target: Target) -> tuple[tuple[int, ...], float]:
    pids = target.server.pids()
    return pids, measure.cpu_seconds(pids)


def _spent(target: Target, pids: tuple[int, ...], before: float) -> float:
    """CPU seconds since. A process that came or went would take its time with it."""
    if target.server.pids() != pids:
        raise Failure("its processes changed during the round")
    return measure.cpu_seconds(pids) - before


@cache
def _digest(mebibytes: int) -> str:
    state = hashlib.sha256()
    for piece in load.pieces(mebibytes):
        state.update(piece)
    return state.hexdigest()


def _warm_hello(row: Row, target: Target, extent: Extent) -> None:
    body = load.get(target.port, row.path)
    expected = _EXPECTED[row.ours.app]
    if body != expected:
        raise Failure(f"{row.path}: answered {body[:100]!r} instead of {expected!r}")
    load.wrk(target.port, row.connections, row.warmup)


def _warm_download(row: Row, target: Target, extent: Extent) -> None:
    expected = b"".join(load.pieces(WARM_MIB)) if row.path == "/file" else None
    for _ in range(_WARM_TIMES):
        body = load.get(target.port, f"{row.path}?{WARM_MIB}")
        if len(body) != WARM_MIB << 20 or body != (expected or body):
            raise Failure(f"{row.path}: the body that came is not the one that was handed over")


def _warm_upload(row: Row, target: Target, extent: Extent) -> None:
    for _ in range(_WARM_TIMES):
        load.put(target.port, row.path, WARM_MIB << 20, load.pieces(WARM_MIB))


def _warm_memory(row: Row, target: Target, extent: Extent) -> None:
    load.get(target.port, row.path)


def _warm_status(row: Row, target: Target, extent: Extent) -> None:
    deadline = time.monotonic() + _ALL_RUNNING
    while (running := _running(target)) != target.server.plan.contender.processes:
        if time.monotonic() > deadline:
            raise Failure(f"only {running} run after {_ALL_RUNNING:.0f} s")
        time.sleep(0.5)


@dataclass(frozen=True)
class Exercise:
    """``streamed``: nginx passes bodies on as they come. ``cost``: seconds of one round, about. ``fronted``: is it
    done through nginx? ``times``: how many rounds for each of the extent's."""

    warm: Callable[[Row, Target, Extent], None]
    round: Callable[[Row, Target, Extent], Figures]
    cost: Callable[[Extent], float]
    streamed: bool = False
    fronted: bool = True
    times: int = 1


EXERCISES = {
    "hello": Exercise(_warm_hello, _hello, lambda extent: extent.seconds + 0.1),
    "download": Exercise(_warm_download, _download, lambda extent: extent.seconds + 0.2, streamed=True),
    "upload": Exercise(_warm_upload, _upload, lambda extent: extent.upload / 500 + 0.1, streamed=True),
    "memory": Exercise(_warm_memory, _memory, lambda extent: 1.0),
    "status": Exercise(_warm_status, _status, lambda extent: 0.2, fronted=False, times=_STATUS_TIMES),
}
