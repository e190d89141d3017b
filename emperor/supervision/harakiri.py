"""Whose request has taken too long, when to look again, and in which words it is said. Pure.

A request's time runs from its head, as soon as that is read, until the last byte of its response is with the kernel:
what the app waits for (a database, the rest of an upload, a slow reader of a stream) is part of it, as in uWSGI. A
connection that is kept and idle has no request.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emperor.supervision.doings import bounded, path_only
from emperor.text import printable

LOGGED = 2000
"""Characters of method and URI at most in the log; an escape takes four."""
KILLED = "killed by harakiri"


@dataclass(frozen=True)
class Doing:
    """What one thread of one worker (0 is the first) does: since when, in monotonic seconds, and its method and URI.

    Two that are equal are one request: a thread that has ended it and begun another has another ``since``.
    """

    worker: int
    thread: int
    since: float
    request: str


def overdue(doings: Iterable[Doing], limit: float, now: float) -> list[Doing]:
    """Of each worker that has such requests the longest one. ``limit``: seconds."""
    worst: dict[int, Doing] = {}
    for one in doings:
        if now - one.since >= limit and (one.worker not in worst or one.since < worst[one.worker].since):
            worst[one.worker] = one
    return [worst[worker] for worker in sorted(worst)]


def next_look(doings: Iterable[Doing], limit: float, now: float) -> float:
    """When the first of them can be overdue. Whoever begins from now on cannot be before ``now + limit``."""
    return min((one.since for one in doings), default=now) + limit


def charge(doings: Sequence[Doing], limit: float) -> str:
    """The log's line before the stacks; ``doings``: of one worker, the overdue one first, then what goes with it."""
    others = len(doings) - 1
    along = f" (and {others} other request{'s' if others > 1 else ''})" if others else ""
    what = bounded(printable(doings[0].request), LOGGED)
    return f"harakiri: {what} has taken more than {limit:g} s -- killed{along}, with these stacks:"


def cause(doing: Doing) -> str:
    """How it ended, for ``status``: whatever a query says is nobody's business there."""
    return f"{KILLED} in {path_only(doing.request)}"
