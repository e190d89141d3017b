"""Asks a socket as somebody else: root itself never connects to what a user has made.

It promises: the question is asked by a fork that has become that user for good; what it tells is bounded, and checked
before it is believed, for a process is its user's. Call it before any thread is started.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

from emperor.model import Identity
from emperor.probe.exchange import ask
from emperor.probe.question import ANSWER, CONNECT, MOST_BODY, SEND, Answer, Failure, Question
from emperor.probe.recognising import TRIAL
from emperor.system import deputy

_GRACE = 2 * TRIAL + 3.0
"""Seconds beyond the question's patience: it may be asked in two other protocols."""

_LIMIT = 2 * MOST_BODY
"""Bytes of what is told: base64, and the rest."""


def ask_as(question: Question, identity: Identity | None) -> Answer | Failure:
    """``ask`` as ``identity``; None: as who we are, in this process. Only root can be somebody else. Raises nothing."""
    if identity is None:
        return ask(question)
    try:
        told = deputy.answers([partial(_told, question)], identity, question.patience + _GRACE, _LIMIT)[0]
    except OSError as error:
        return Failure(CONNECT, f"fork: {error.strerror}", error.errno or 0)
    return _heard(told) or Failure(ANSWER, f"nothing came back from the process that asked as {identity.user}")


def _told(question: Question) -> list[Any]:
    found = ask(question)
    return [type(found).__name__, [_text(one) for one in found]]


def _text(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _heard(told: Any) -> Answer | Failure | None:
    try:
        kind, values = told
        return _answer(*values) if kind == Answer.__name__ else _failure(*values)
    except (TypeError, ValueError, AttributeError):
        return None


def _answer(
    status: Any, reason: Any, headers: Any, body: Any, stderr: Any, connected: Any, first: Any, total: Any, *rest: Any
) -> Answer:
    pairs = tuple((str(name), str(value)) for name, value in headers)
    times = float(connected), float(first), float(total)
    cut, flaw = rest
    return Answer(int(status), str(reason), pairs, _bytes(body), _bytes(stderr), *times, bool(cut), str(flaw))


def _failure(stage: Any, reason: Any, number: Any, seconds: Any, speaks: Any, stderr: Any) -> Failure:
    where = stage if stage in (CONNECT, SEND) else ANSWER
    return Failure(where, str(reason), int(number), float(seconds), str(speaks), _bytes(stderr))


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
