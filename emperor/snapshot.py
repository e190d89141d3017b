"""What ``status`` shows of one vassal: CONTRACT's fields, derived afresh each time."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from emperor.config import options
from emperor.supervision.record import Vassal, state
from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import BOUNDS
from emperor.supervision.trouble import Trouble, since, trouble, wait
from emperor.tending.performer import Performer


def snapshot(
    vassal: Vassal, performer: Performer, config: str, now: float, lines: int = 0, numbers: bool = False
) -> dict[str, Any]:
    """``lines`` > 0: with the last log lines, the traceback and every problem. ``now``: monotonic seconds.

    ``numbers``: with all that was counted since the emperor has it, over its generations.
    """
    shown = vassal.serving or vassal.incoming
    spec = vassal.proven if vassal.serving is not None else vassal.spec
    workers = performer.workers(shown.number) if shown is not None else ()
    if vassal.roll is not None and vassal.outgoing is not None:
        # Both serve.
        workers = (*workers, *performer.workers(vassal.outgoing.number))
    born = performer.born(shown.number) if shown is not None else None
    ill = trouble(workers, now)
    facts: dict[str, Any] = {
        "name": vassal.name,
        "state": state(vassal),
        "wanted": vassal.wanted.value,
        "pid": (performer.pid(shown.number) or None) if shown is not None else None,
        "generation": shown.number if shown is not None else vassal.last_number,
        "restarts": vassal.restarts,
        "reloads": vassal.reloads,
        "scaled": vassal.scaled,
        "rolling": vassal.roll is not None,
        "uptime": round(now - born, 3) if born is not None else None,
        "error": vassal.error or None,
        "config": config,
        "uid": spec.identity.uid if spec is not None else None,
        "gid": spec.identity.gid if spec is not None else None,
        "python": (spec.python or sys.executable) if spec is not None else None,
        "folder": (spec.chdir or spec.folder) if spec is not None else None,
        "sockets": performer.holdings.shown(),
        "workers": [_worker(one, now) for one in workers],
        "worker_exits": sum(one.exits for one in workers),
        "serves": vassal.serving is not None and ill.serves,
        "warnings": _warnings(vassal, ill, performer.log.warning, performer.log.stats_warning),
        "last_exit": asdict(vassal.last_exit) if vassal.last_exit is not None else None,
        "next_retry_in": round(max(0.0, vassal.retry_at - now), 3) if vassal.retry_at is not None else None,
        "requests": sum(one.requests + one.earlier for one in workers),
    }
    if lines:
        facts |= _block(vassal, performer, lines)
    if numbers:
        total = asdict(performer.totals())
        facts["totals"] = {**total, "latency": {"bounds": BOUNDS, "counts": total["latency"]}}
    return facts


def _block(vassal: Vassal, performer: Performer, lines: int) -> dict[str, Any]:
    """What is too long for a list of vassals."""
    return {
        "lines": performer.ring.last(lines),
        "traceback": vassal.traceback or None,
        "problems": [asdict(one) for one in vassal.problems],
    }


def _worker(report: WorkerReport, now: float) -> dict[str, Any]:
    """Moments become spans: nobody outside knows our clock."""
    raw = asdict(report)
    del raw["died_at"], raw["retry_at"], raw["earlier"], raw["since"], raw["born"]
    raw["uptime"] = round(max(0.0, now - report.born), 3) if report.born is not None else None
    raw["doing"] = report.doing or None
    raw["doing_for"] = round(max(0.0, now - report.since), 3) if report.since is not None else None
    ago, left = since(report, now), wait(report, now)
    raw["last_exit"] = report.last_exit or None
    raw["last_exit_ago"] = round(ago, 3) if ago is not None else None
    raw["retry_in"] = round(left, 3) if left is not None else None
    return raw


def _warnings(vassal: Vassal, ill: Trouble, *words: str) -> list[str]:
    """What does not keep the app from serving, the most urgent first; what is merely ignored is a problem alone."""
    first = [text for text in (ill.text, *words) if text]
    return first + [str(one) for one in vassal.problems if not one.fatal and not options.has_no_effect(one.option)]
