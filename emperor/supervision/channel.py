"""What a vassal may say to its emperor: one datagram, one JSON object, at most 32 KiB.

The emperor believes nothing of it: it shows the words and counts, and acts only on READY (for that very generation) and
on a listener that it checked itself. Whatever does not follow the table below is a ``ChannelError``.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Union

from emperor.errors import ChannelError
from emperor.text import clip, printable

MAX_DATAGRAM = 32768
MAX_TEXT = 16384
MAX_LINE = 4096
MAX_LINES = 256
MAX_WORKERS = 256
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
class Serving:
    """The app is imported and the first worker accepts."""


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
    """``rss`` in bytes; ``state``: starting, idle, busy, draining or backoff."""

    id: int
    pid: int
    state: str
    requests: int
    exceptions: int
    rss: int


@dataclass(frozen=True)
class Workers:
    workers: tuple[WorkerReport, ...]


Message = Union[Listening, Serving, Failed, Lines, Workers]

_KINDS: dict[str, type] = {
    "listening": Listening,
    "serving": Serving,
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
    elif isinstance(message, Lines):
        message = Lines(tuple(clip(line, MAX_LINE) for line in message.lines), message.dropped)
    # ASCII would spend twelve bytes on each character beyond U+FFFF.
    text = json.dumps([_NAMES[type(message)], asdict(message)], ensure_ascii=False)
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_DATAGRAM:
        if isinstance(message, Failed):
            return encode(Failed(clip(message.reason, 512), clip(message.traceback, MAX_TEXT // 4)))
        raise ChannelError(f"channel: message of {len(data)} bytes: over {MAX_DATAGRAM}")
    return data


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


def _listening(raw: Any) -> Message:
    return Listening(*(_number(raw[name]) for name in ("index", "device", "inode", "mode", "uid", "gid")))


def _serving(raw: Any) -> Message:
    return Serving()


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
        printable(_text(raw["state"], 16)),
        _number(raw["requests"]),
        _number(raw["exceptions"]),
        _number(raw["rss"]),
    )


_BUILD = {
    "listening": _listening,
    "serving": _serving,
    "failed": _failed,
    "lines": _lines,
    "workers": _workers,
}
