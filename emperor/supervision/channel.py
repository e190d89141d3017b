"""What a vassal may say to its emperor: one datagram, one JSON object, at most 32 KiB.

The emperor believes nothing of it: it shows the words and counts, and acts only on READY (for that very generation) and
on a listener that it checked itself. Whatever does not follow the table below is a ``ChannelError``.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Callable, Union

from emperor.errors import ChannelError
from emperor.supervision import reports
from emperor.supervision.hearsay import list_of, number_of, text_of, word_of
from emperor.supervision.reports import Workers, as_json
from emperor.text import clip, printable

MAX_DATAGRAM = 32768
MAX_TEXT = 16384
MAX_LINE = 4096
MAX_LINES = 256
MAX_REASON = 1024


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
    raw = reports.lower(message, MAX_DATAGRAM) if isinstance(message, Workers) else asdict(message)
    data = as_json([_NAMES[type(message)], raw])
    if len(data) > MAX_DATAGRAM:
        if isinstance(message, Failed):
            return encode(Failed(clip(message.reason, 512), clip(message.traceback, MAX_TEXT // 4)))
        raise ChannelError(f"channel: message of {len(data)} bytes: over {MAX_DATAGRAM}")
    return data


def decode(data: bytes) -> Message:
    """The inverse, for bytes from somebody who may lie."""
    try:
        name, raw = list_of(json.loads(data))
        return _BUILD[name](raw)
    except ChannelError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ChannelError(f"channel: not a message of ours: {type(error).__name__}") from None


def _listening(raw: Any) -> Message:
    return Listening(*(number_of(raw[name]) for name in ("index", "device", "inode", "mode", "uid", "gid")))


def _crewed(raw: Any) -> Message:
    return Crewed(number_of(raw["workers"]), number_of(raw["leaving"]))


def _failed(raw: Any) -> Message:
    return Failed(text_of(raw["reason"], MAX_LINE), text_of(raw["traceback"], MAX_TEXT))


def _lines(raw: Any) -> Message:
    lines = list_of(raw["lines"])
    if len(lines) > MAX_LINES:
        raise ChannelError("channel: too many lines")
    return Lines(tuple(printable(text_of(one, 2 * MAX_LINE)) for one in lines), number_of(raw["dropped"]))


_BUILD: dict[str, Callable[[Any], Message]] = {
    "listening": _listening,
    "lost": lambda raw: Lost(number_of(raw["index"])),
    "serving": lambda raw: Serving(),
    "idle": lambda raw: Idle(),
    "stale": lambda raw: Stale(word_of(raw["reason"], MAX_REASON)),
    "crewed": _crewed,
    "failed": _failed,
    "lines": _lines,
    "workers": reports.build,
}
