"""Is a crew in trouble? What ``status`` says of workers that die, from what their vassal reports. Pure.

The reports may be lies: they make words, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emperor.supervision.reports import WorkerReport

RECENT = 60.0
"""Seconds for which a death is worth a word; one that was long ago is only counted."""

LONGEST_WAIT = 3600.0
"""Seconds: more than any pause of ours, and a time that can be read."""

ANSWERING = ("idle", "busy")
LEAVING = ("retiring", "draining")


@dataclass(frozen=True)
class Trouble:
    """``text``: "" for none. ``serves``: may anybody hope for an answer?"""

    text: str = ""
    serves: bool = True


def trouble(workers: Sequence[WorkerReport], now: float) -> Trouble:
    """``now``: monotonic seconds. Somebody waits to be started again, or died within the last minute."""
    # Who leaves is replaced already, and serves nobody who comes.
    workers = [one for one in workers if one.state not in LEAVING]
    ill = [one for one in workers if one.retry_at is not None or one.state == "backoff" or _died_lately(one, now)]
    if not ill:
        return Trouble()
    serves = not all(_down(one, now) for one in workers)
    crew = len({one.id for one in workers})
    return Trouble(f"{_who(ill, crew, serves)}: {_what(ill, now)}", serves)


def wait(worker: WorkerReport, now: float) -> float | None:
    """Seconds until somebody sits in its seat again."""
    return None if worker.retry_at is None else _bounded(worker.retry_at - now)


def since(worker: WorkerReport, now: float) -> float | None:
    """Seconds since its last misfortune."""
    return None if worker.died_at is None else max(0.0, now - worker.died_at)


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_WAIT)


def _died_lately(worker: WorkerReport, now: float) -> bool:
    ago = since(worker, now)
    return ago is not None and ago < RECENT


def _down(worker: WorkerReport, now: float) -> bool:
    """One isolated death is made good before anybody notices; a start after several is one more try."""
    if worker.state == "backoff":
        return True
    return worker.state not in ANSWERING and worker.exits > 1 and _died_lately(worker, now)


def _who(ill: Sequence[WorkerReport], crew: int, serves: bool) -> str:
    if not serves:
        return "no worker serves"
    return f"worker {ill[0].id}" if len(ill) == 1 else f"{len(ill)} of {crew} workers"


def _what(ill: Sequence[WorkerReport], now: float) -> str:
    last = max(ill, key=lambda one: one.died_at or 0.0)
    times = sum(one.exits for one in ill)
    parts = [last.last_exit or "not running"]
    if times > 1:
        parts.append(f"{times} deaths")
    waits = [seconds for seconds in (wait(one, now) for one in ill) if seconds is not None]
    ago = since(last, now)
    if waits:
        # Rounded up: "in 0 s" reads as if it did not happen.
        parts.append(f"next start in {max(1, -int(-min(waits) // 1))} s")
    elif ago is not None:
        parts.append(f"{int(ago)} s ago")
    return ", ".join(parts)
