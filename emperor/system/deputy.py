"""Questions that somebody else answers: a fork of this process becomes a user, looks, and tells what it saw as JSON.

It promises: the asker touches nothing that the question is about, waits a bounded time, and takes a bounded answer. The
deputy never comes back as root, runs no code but the questions, and ends when the asker does not wait any longer.
Whose identity it is can end it: an answer may be missing. Call it before any thread is started.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from emperor.model import Identity
from emperor.system import privilege

PATIENCE = 3.0
"""Seconds for one question: a folder may lie on a disk that does not answer."""

MOST_UNANSWERED = 3
"""Whose questions go unanswered so often is not asked any more."""

LIMIT = 256 * 1024
"""Bytes of one answer, where nothing else is said."""

Question = Callable[[], Any]
"""Its answer is JSON's."""


def answers(
    questions: Sequence[Question], identity: Identity | None, patience: float = PATIENCE, limit: int = LIMIT
) -> list[Any]:
    """One for each question, in their order; None: there is none. ``identity`` None: as who we are. ``limit``: bytes of
    one answer. Raises OSError.
    """
    found: list[Any] = []
    unanswered = 0
    while len(found) < len(questions) and unanswered < MOST_UNANSWERED:
        found += _some(questions[len(found) :], identity, patience, limit)
        if len(found) < len(questions):
            found.append(None)
            unanswered += 1
    return found + [None] * (len(questions) - len(found))


def _some(questions: Sequence[Question], identity: Identity | None, patience: float, limit: int) -> list[Any]:
    """The answers of one deputy, up to the first that does not come."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        _answer(questions, identity, writing, limit)
    os.close(writing)
    try:
        return [json.loads(line) for line in _lines(reading, len(questions), patience, limit)]
    finally:
        os.close(reading)
        _end(pid)


def _answer(questions: Sequence[Question], identity: Identity | None, writing: int, limit: int) -> NoReturn:
    """Whatever happens, this process is never again what its parent was."""
    try:
        if identity is not None:
            privilege.become(identity)
        _let_go()
        with open(writing, "wb") as answer:
            for question in questions:
                line = json.dumps(question()).encode()
                answer.write((line if len(line) < limit else b"null") + b"\n")
                answer.flush()
    finally:
        os._exit(0)


def _let_go() -> None:
    """One who hangs for ever shall not keep open what the asker's reader waits to see closed."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)


def _lines(reading: int, wanted: int, patience: float, limit: int) -> list[bytes]:
    lines: list[bytes] = []
    rest, deadline = bytearray(), time.monotonic() + patience
    while len(lines) < wanted and len(rest) <= limit:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(reading, 65536) if ready else b""
        if not more:
            break
        first, *later = more.split(b"\n")
        rest += first
        for one in later:
            lines.append(bytes(rest))
            rest, deadline = bytearray(one), time.monotonic() + patience
    return lines


def _end(pid: int) -> None:
    """What waits for a disk may not hear even this; it is left behind then."""
    with contextlib.suppress(OSError):
        watch = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
            select.select([watch], [], [], 1.0)
        finally:
            os.close(watch)
        os.waitpid(pid, os.WNOHANG)
