"""What a vassal may say to its emperor: one datagram, one JSON object, at most 32 KiB.

The emperor believes nothing of it: it shows the words and counts, and acts only on READY (for that very generation) and
on a listener that it checked itself. Whatever does not follow the table below is a ``ChannelError``.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable, Optional, Union

from emperor.errors import ChannelError
from emperor.text import clip, printable

MAX_DATAGRAM = 32768
MAX_TEXT = 16384
MAX_LINE = 4096
MAX_LINES = 256
MAX_WORKERS = 1024
MAX_EXIT = 256
MAX_DOING = 128
MAX_REASON = 1024
MAX_NUMBER = 2**63


@dataclass(frozen=True)
class Listening:
    """Comes with one descriptor: the ``index``-th socket of the spec, bound by the vassal.

    The rest is what the vassal sees of its file: shown, and given back to it when the file is to be removed.
    """

    index: int
    device: int = 0
    inode: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Lost:
    """The file of the ``index``-th socket, which the vassal bound, is gone: nobody can come to it any more."""

    index: int


@dataclass(frozen=True)
class Serving:
    """The app is imported and the first worker accepts."""


@dataclass(frozen=True)
class Idle:
    """Nobody has asked for anything for as long as the ini's ``idle`` says."""


@dataclass(frozen=True)
class Stale:
    """What the app was made of has changed (py-autoreload, touch-reload): a reload is wanted. ``reason``: what."""

    reason: str


@dataclass(frozen=True)
class Crewed:
    """Answers ``orders.Resize``, as often as one of them changes: how many serve, how many are on their way out."""

    workers: int
    leaving: int


@dataclass(frozen=True)
class Failed:
    """The app cannot be served; the vassal is about to exit."""

    reason: str
    traceback: str


@dataclass(frozen=True)
class Lines:
    """Log lines, already bounded and escaped; ``dropped``: how many were lost before them."""

    lines: tuple[str, ...]
    dropped: int = 0


@dataclass(frozen=True)
class WorkerReport:
    """``rss`` in bytes; ``state``: starting, idle, busy, retiring, draining or backoff.

    ``exits``: how many have died in this seat, in this generation, without being told to. ``last_exit``: how the last
    of them ended, ``died_at``: when. ``retry_at``: when the next one starts, if it waits. Both in monotonic seconds,
    which are the same for every process: a report that only the clock had changed would be sent each time.
    ``renewals``: how many in this seat were replaced because they were worn. ``earlier``: the requests of all workers
    who are gone; the first row has it for the whole crew. ``doing``: method and path of its oldest request, if that
    takes long; ``since``: when it began, in monotonic seconds.
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


@dataclass(frozen=True)
class Workers:
    """As many as a datagram holds: ``encode`` leaves out those who have least to tell."""

    workers: tuple[WorkerReport, ...]


Message = Union[Listening, Lost, Serving, Idle, Stale, Crewed, Failed, Lines, Workers]

_KINDS: dict[str, type] = {
    "listening": Listening,
    "lost": Lost,
    "serving": Serving,
    "idle": Idle,
    "stale": Stale,
    "crewed": Crewed,
    "failed": Failed,
    "lines": Lines,
    "workers": Workers,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: Message) -> bytes:
    """One datagram. Long texts lose their middle rather than their end: the end is where the reason stands.

    No character takes more than six bytes.
    """
    if isinstance(message, Failed):
        message = Failed(clip(message.reason, MAX_LINE), clip(message.traceback, MAX_TEXT))
    elif isinstance(message, Stale):
        message = Stale(clip(message.reason, MAX_REASON))
    elif isinstance(message, Lines):
        message = Lines(tuple(clip(line, MAX_LINE) for line in message.lines), message.dropped)
    raw = {"workers": _fitting(message.workers)} if isinstance(message, Workers) else asdict(message)
    data = _json([_NAMES[type(message)], raw])
    if len(data) > MAX_DATAGRAM:
        if isinstance(message, Failed):
            return encode(Failed(clip(message.reason, 512), clip(message.traceback, MAX_TEXT // 4)))
        raise ChannelError(f"channel: message of {len(data)} bytes: over {MAX_DATAGRAM}")
    return data


def _json(raw: Any) -> bytes:
    # ASCII would spend twelve bytes on each character beyond U+FFFF.
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


_OPTIONAL = {
    **{"exits": 0, "last_exit": "", "died_at": None, "retry_at": None},
    **{"renewals": 0, "earlier": 0, "doing": "", "since": None},
}
"""What is not said of a worker is so."""


def _fitting(workers: Sequence[WorkerReport]) -> list[dict[str, Any]]:
    """In their order; those who died come before those who did not, when not all of them fit."""
    rows = {index: _row(one) for index, one in enumerate(workers)}
    if sum(len(_json(row)) + 1 for row in rows.values()) > MAX_DATAGRAM - 64:
        # All that hang at once, and at what, is too much: who there is comes first.
        rows = {index: _row(replace(one, doing="", since=None)) for index, one in enumerate(workers)}
    room, kept = MAX_DATAGRAM - 64, []
    for index in sorted(rows, key=lambda index: (not workers[index].exits, index))[:MAX_WORKERS]:
        room -= len(_json(rows[index])) + 1
        if room < 0:
            break
        kept.append(index)
    return [rows[index] for index in sorted(kept)]


def _row(worker: WorkerReport) -> dict[str, Any]:
    raw = {**asdict(worker), "last_exit": clip(worker.last_exit, MAX_EXIT), "doing": clip(worker.doing, MAX_DOING)}
    return {key: value for key, value in raw.items() if key not in _OPTIONAL or value != _OPTIONAL[key]}


def decode(data: bytes) -> Message:
    """The inverse, for bytes from somebody who may lie."""
    try:
        name, raw = _list(json.loads(data))
        return _BUILD[name](raw)
    except ChannelError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ChannelError(f"channel: not a message of ours: {type(error).__name__}") from None


def _list(raw: Any) -> list[Any]:
    if type(raw) is not list:
        raise ChannelError("channel: a list is something else")
    return raw


def _number(raw: Any) -> int:
    if type(raw) is not int or not 0 <= raw < MAX_NUMBER:
        raise ChannelError("channel: a number is out of its range")
    return raw


def _text(raw: Any, limit: int) -> str:
    if type(raw) is not str or len(raw) > limit:
        raise ChannelError("channel: a text is too long")
    return printable(raw, keep_newlines=True)


def _word(raw: Any, limit: int) -> str:
    """One line; an escape that would make it longer is cut."""
    return printable(_text(raw, limit))[:limit]


def _moment(raw: Any) -> Optional[float]:
    # Not a number (NaN) is not between any two.
    if raw is not None and (type(raw) not in (int, float) or not 0 <= raw < MAX_NUMBER):
        raise ChannelError("channel: a moment is out of its range")
    return None if raw is None else float(raw)


def _listening(raw: Any) -> Message:
    return Listening(*(_number(raw[name]) for name in ("index", "device", "inode", "mode", "uid", "gid")))


def _crewed(raw: Any) -> Message:
    return Crewed(_number(raw["workers"]), _number(raw["leaving"]))


def _failed(raw: Any) -> Message:
    return Failed(_text(raw["reason"], MAX_LINE), _text(raw["traceback"], MAX_TEXT))


def _lines(raw: Any) -> Message:
    lines = _list(raw["lines"])
    if len(lines) > MAX_LINES:
        raise ChannelError("channel: too many lines")
    return Lines(tuple(printable(_text(one, 2 * MAX_LINE)) for one in lines), _number(raw["dropped"]))


def _workers(raw: Any) -> Message:
    workers = _list(raw["workers"])
    if len(workers) > MAX_WORKERS:
        raise ChannelError("channel: too many workers")
    return Workers(tuple(_worker(one) for one in workers))


def _worker(raw: Any) -> WorkerReport:
    return WorkerReport(
        _number(raw["id"]),
        _number(raw["pid"]),
        _word(raw["state"], 16),
        _number(raw["requests"]),
        _number(raw["exceptions"]),
        _number(raw["rss"]),
        # A vassal that an older emperor started says nothing of these.
        _number(raw.get("exits", 0)),
        _word(raw.get("last_exit", ""), MAX_EXIT),
        _moment(raw.get("died_at")),
        _moment(raw.get("retry_at")),
        _number(raw.get("renewals", 0)),
        _number(raw.get("earlier", 0)),
        _word(raw.get("doing", ""), MAX_DOING),
        _moment(raw.get("since")),
    )


_BUILD: dict[str, Callable[[Any], Message]] = {
    "listening": _listening,
    "lost": lambda raw: Lost(_number(raw["index"])),
    "serving": lambda raw: Serving(),
    "idle": lambda raw: Idle(),
    "stale": lambda raw: Stale(_word(raw["reason"], MAX_REASON)),
    "crewed": _crewed,
    "failed": _failed,
    "lines": _lines,
    "workers": _workers,
}
