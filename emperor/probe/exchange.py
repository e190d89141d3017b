"""Asks a socket one thing, as who we are, and says what came of it.

It promises: it ends within the question's patience, and a few seconds where it finds out what the other end speaks
instead; whatever comes is bounded; every way in which it can fail is a ``Failure``.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from emperor.errors import ProtocolError
from emperor.model import ABSTRACT, UNIX, Address
from emperor.probe.question import ANSWER, CONNECT, SEND, Answer, Failure, Question
from emperor.probe.recognising import NAMES, by_bytes, spoken
from emperor.probe.told import variables
from emperor.protocol.speeches import SPEECHES, AnswerError, Decode, split_head
from emperor.system.conversation import CHUNK, BrokenOff, converse, dial

MOST_STDERR = 64 * 1024
_SAMPLE = 16
"""Bytes of an answer from which its protocol is told."""

_MISUNDERSTOOD = frozenset({400, 505})
"""What a server of HTTP, or ours, says to what it cannot read."""


@dataclass
class _Watch:
    """What was seen of one conversation, in seconds since it began."""

    began: float
    connected: float = 0.0
    first: float = 0.0
    sample: bytes = b""
    sent: bool = False
    stderr: bytearray = field(default_factory=bytearray)

    def now(self) -> float:
        return time.monotonic() - self.began

    def sending(self, outgoing: Iterator[bytes]) -> Iterator[bytes]:
        yield from outgoing
        self.sent = True

    def receiving(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if not self.sample:
                self.first, self.sample = self.now(), chunk[:_SAMPLE]
            yield chunk

    def report(self, text: str) -> None:
        self.stderr += text.encode()[: MOST_STDERR - len(self.stderr)]

    def failure(self, stage: str, reason: str, number: int = 0) -> Failure:
        return Failure(stage, reason, number, round(self.now(), 6), "", bytes(self.stderr))


def ask(question: Question) -> Answer | Failure:
    """Raises nothing. A server of another protocol is a ``Failure`` that names it, even if it has answered 400."""
    found, sample = _asked(question)
    if sample is None or not question.recognise or not _doubtful(question, found):
        return found
    speaks = by_bytes(sample) or spoken(question, lambda one: _asked(one)[0])
    if not speaks or speaks == question.protocol:
        return found
    asked, seconds = NAMES[question.protocol], found.seconds if isinstance(found, Failure) else found.total
    stderr = found.stderr
    return Failure(ANSWER, f"it speaks {NAMES[speaks]}, not {asked}", 0, seconds, speaks, stderr)


def _doubtful(question: Question, found: Answer | Failure) -> bool:
    if isinstance(found, Failure):
        return True
    return found.status in _MISUNDERSTOOD and question.protocol != "fastcgi"


def _asked(question: Question) -> tuple[Answer | Failure, bytes | None]:
    """And the first bytes that came; None: nobody was asked."""
    watch = _Watch(time.monotonic())
    if question.protocol not in SPEECHES:
        return watch.failure(SEND, f"{question.protocol} is not spoken here"), None
    try:
        request, decode = SPEECHES[question.protocol](variables(question), _pieces(question.body))
    except ProtocolError as error:
        return watch.failure(SEND, str(error)), None
    try:
        connection = dial(_target(question.address), question.patience)
    except BlockingIOError as error:
        return watch.failure(CONNECT, _silence(error, question.patience), error.errno or errno.EAGAIN), None
    except (OSError, ValueError) as error:
        number = error.errno or 0 if isinstance(error, OSError) else 0
        return watch.failure(CONNECT, getattr(error, "strerror", None) or str(error), number), None
    watch.connected = watch.now()

    def give_up(idle: float) -> AnswerError | None:
        late = watch.now() >= question.patience
        return AnswerError(f"no answer within {question.patience:g} s", 504) if late else None

    with closing(connection):
        chunks = watch.receiving(converse(connection, watch.sending(request), give_up))
        return _answered(question, watch, chunks, decode), watch.sample


def _answered(question: Question, watch: _Watch, chunks: Iterator[bytes], decode: Decode) -> Answer | Failure:
    parts = decode(chunks, watch.report)
    try:
        head, first = split_head(parts)
    except AnswerError as error:
        stage = ANSWER if watch.sent or watch.sample or error.status == 504 else SEND
        return watch.failure(stage, str(error))
    except BrokenOff as error:
        stage = ANSWER if watch.sent or watch.sample else SEND
        return watch.failure(stage, f"its answer broke off: {error.strerror}", error.errno or 0)
    body, cut, flaw = _body(first, parts, question.keep)
    if not cut:
        flaw = _short(question, head.status, head.headers, len(body))
    return Answer(
        head.status,
        head.reason,
        head.headers,
        body,
        bytes(watch.stderr),
        round(watch.connected, 6),
        round(watch.first, 6),
        round(watch.now(), 6),
        cut or bool(flaw),
        flaw,
    )


def _body(first: bytes, parts: Iterator[bytes], keep: int) -> tuple[bytes, bool, str]:
    """The body, whether more was to come, and what kept it from coming."""
    body = bytearray(first)
    try:
        if len(body) > keep:
            return bytes(body[:keep]), True, ""
        for part in parts:
            body += part
            if len(body) > keep:
                return bytes(body[:keep]), True, ""
    except AnswerError as error:
        late = error.status == 504
        return bytes(body), True, f"its answer has no end: {error}" if late else str(error)
    except BrokenOff as error:
        return bytes(body), True, f"its answer broke off: {error.strerror}"
    return bytes(body), False, ""


def _short(question: Question, status: int, headers: tuple[tuple[str, str], ...], size: int) -> str:
    """What Content-Length says against it."""
    told = next((value for name, value in headers if name.lower() == "content-length"), "")
    if question.method == "HEAD" or status in (204, 304) or not (told.isascii() and told.isdigit()):
        return ""
    return f"its answer ended after {size} of {told} bytes" if size < int(told[:18]) else ""


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))


def _target(address: Address) -> str | tuple[str, int]:
    if address.family == UNIX:
        return address.path
    if address.family == ABSTRACT:
        return "\0" + address.path
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return host, address.port


def _silence(error: BlockingIOError, patience: float) -> str:
    if error.errno == errno.EAGAIN:
        return f"its queue of connections stayed full for {patience:g} s"
    return f"the connection did not come about within {patience:g} s"
