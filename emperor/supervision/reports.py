"""What a vassal says of its workers, and how that travels: in one datagram, however many they are. Pure.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from emperor.errors import ChannelError
from emperor.supervision.hearsay import list_of, moment_of, number_of, span_of, word_of
from emperor.supervision.totals import EMPTY, Totals
from emperor.text import clip

MAX_WORKERS = 1024
MAX_EXIT = 256
MAX_DOING = 128


@dataclass(frozen=True)
class WorkerReport:
    """``rss`` in bytes; ``state``: starting, idle, busy, retiring, draining or backoff.

    ``exits``: how many have died in this seat, in this generation, without being told to. ``last_exit``: how the last
    of them ended, ``died_at``: when. ``retry_at``: when the next one starts, if it waits. Both in monotonic seconds,
    which are the same for every process: a report that only the clock had changed would be sent each time.
    ``renewals``: how many in this seat were replaced because they were worn. ``earlier``: the requests of all workers
    who are gone; the first row has it for the whole crew. ``doing``: method and path of its oldest request, if that
    takes long; ``since``: when it began, in monotonic seconds. ``vsz`` in bytes, ``cpu`` in seconds of processor time;
    ``busy``: how many of its threads have a request; ``born``: when it was forked, in monotonic seconds; ``seconds``:
    spent within requests, ``sent``: bytes of answers, where they are counted.
    """

    id: int
    pid: int
    state: str
    requests: int
    exceptions: int
    rss: int
    exits: int = 0
    last_exit: str = ""
    died_at: Optional[float] = None
    retry_at: Optional[float] = None
    renewals: int = 0
    earlier: int = 0
    doing: str = ""
    since: Optional[float] = None
    vsz: int = 0
    cpu: float = 0.0
    busy: int = 0
    born: Optional[float] = None
    seconds: float = 0.0
    sent: int = 0


@dataclass(frozen=True)
class Workers:
    """As many as a datagram holds: ``encode`` leaves out those who have least to tell.

    ``totals``: of all of this generation, those who are gone among them.
    """

    workers: tuple[WorkerReport, ...]
    totals: Totals = EMPTY


def of_rows(workers: Sequence[WorkerReport]) -> Totals:
    """As far as the rows of a vassal tell it that does not add up itself: one of an older program does not."""
    return Totals(
        requests=sum(one.requests + one.earlier for one in workers), exceptions=sum(one.exceptions for one in workers)
    )


_OPTIONAL = {
    **{"exits": 0, "last_exit": "", "died_at": None, "retry_at": None},
    **{"renewals": 0, "earlier": 0, "doing": "", "since": None},
    **{"vsz": 0, "cpu": 0.0, "busy": 0, "born": None, "seconds": 0.0, "sent": 0},
}
"""What is not said of a worker is so."""

_TOTALS_ROOM = 1024


def lower(message: Workers, room: int) -> dict[str, Any]:
    """In its plain form, of at most ``room`` bytes."""
    return {"workers": _fitting(message.workers, room - _TOTALS_ROOM), "totals": asdict(message.totals)}


def as_json(raw: Any) -> bytes:
    # ASCII would spend twelve bytes on each character beyond U+FFFF.
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _fitting(workers: Sequence[WorkerReport], room: int) -> list[dict[str, Any]]:
    """In their order; those who died come before those who did not, when not all of them fit."""
    rows = {index: _row(one) for index, one in enumerate(workers)}
    if sum(len(as_json(row)) + 1 for row in rows.values()) > room:
        # All that hang at once, and at what, is too much: who there is comes first.
        rows = {index: _row(_brief(one)) for index, one in enumerate(workers)}
    kept = []
    for index in sorted(rows, key=lambda index: (not workers[index].exits, index))[:MAX_WORKERS]:
        room -= len(as_json(rows[index])) + 1
        if room < 0:
            break
        kept.append(index)
    return [rows[index] for index in sorted(kept)]


def _brief(worker: WorkerReport) -> WorkerReport:
    return replace(worker, doing="", since=None, vsz=0, cpu=0.0, born=None, seconds=0.0, sent=0)


def _row(worker: WorkerReport) -> dict[str, Any]:
    raw = {**asdict(worker), "last_exit": clip(worker.last_exit, MAX_EXIT), "doing": clip(worker.doing, MAX_DOING)}
    return {key: value for key, value in raw.items() if key not in _OPTIONAL or value != _OPTIONAL[key]}


def _seat_of(raw: Any) -> int:
    # Programs keep a row for each that they have ever seen.
    if number_of(raw) > MAX_WORKERS:
        raise ChannelError("channel: a worker's number is out of its range")
    return number_of(raw)


def build(raw: Any) -> Workers:
    """The inverse. Raises ``ChannelError``, ValueError, TypeError or KeyError."""
    workers = list_of(raw["workers"])
    if len(workers) > MAX_WORKERS:
        raise ChannelError("channel: too many workers")
    return Workers(tuple(_worker(one) for one in workers), _totals(raw.get("totals", {})))


def _totals(raw: Any) -> Totals:
    """A vassal that an older emperor started says nothing of them."""
    if type(raw) is not dict:
        raise ChannelError("channel: totals are something else")
    counts = list_of(raw.get("latency", list(EMPTY.latency)))
    if len(counts) != len(EMPTY.latency):
        raise ChannelError("channel: as many counts as there are bounds, and one more")
    return Totals(
        number_of(raw.get("requests", 0)),
        number_of(raw.get("exceptions", 0)),
        number_of(raw.get("harakiris", 0)),
        span_of(raw.get("seconds", 0.0)),
        number_of(raw.get("sent", 0)),
        tuple(number_of(count) for count in counts),
    )


def _worker(raw: Any) -> WorkerReport:
    return WorkerReport(
        _seat_of(raw["id"]),
        number_of(raw["pid"]),
        word_of(raw["state"], 16),
        number_of(raw["requests"]),
        number_of(raw["exceptions"]),
        number_of(raw["rss"]),
        # A vassal that an older emperor started says nothing of these.
        number_of(raw.get("exits", 0)),
        word_of(raw.get("last_exit", ""), MAX_EXIT),
        moment_of(raw.get("died_at")),
        moment_of(raw.get("retry_at")),
        number_of(raw.get("renewals", 0)),
        number_of(raw.get("earlier", 0)),
        word_of(raw.get("doing", ""), MAX_DOING),
        moment_of(raw.get("since")),
        number_of(raw.get("vsz", 0)),
        span_of(raw.get("cpu", 0.0)),
        number_of(raw.get("busy", 0)),
        moment_of(raw.get("born")),
        span_of(raw.get("seconds", 0.0)),
        number_of(raw.get("sent", 0)),
    )
