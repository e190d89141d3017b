"""One seat of a crew over the lives of those who sat in it: who died how, and how long the next one waits.

Frozen values alone; the forks are ``crew``'s.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from emperor.supervision import backoff
from emperor.supervision.generation import Generation, Phase

AT_ONCE = 3
"""So many deaths in a row, of workers that served and answered nothing, are made good at once: whoever kills them,
their clients wait. What dies of itself each time has used these up within milliseconds, and then waits like others."""

REFUSED_CAP = 5.0
"""Seconds between two tries to fork at most, while the kernel refuses: EAGAIN, ENOMEM, EMFILE."""


@dataclass(frozen=True)
class Past:
    """``failures``: deaths in a row that had answered nothing. ``refused``: forks in a row that the kernel refused.

    ``exits``: all deaths that nobody had ordered. ``last_exit``: the last misfortune; ``died_at``: when that was, in
    monotonic seconds.
    """

    failures: int = 0
    refused: int = 0
    exits: int = 0
    last_exit: str = ""
    died_at: Optional[float] = None


def died(past: Past, worker: Generation, how: str, answered: bool, now: float, luck: float) -> tuple[Past, float]:
    """What is remembered, and the seconds until the next one. ``answered``: had it ended a request?"""
    proven = answered or (worker.had_served and now - worker.born >= backoff.STABLE)
    failures = 1 if proven else past.failures + 1
    after = replace(past, failures=failures, exits=past.exits + 1, last_exit=how, died_at=now)
    return after, _pause(failures, worker.had_served, luck)


def refused(past: Past, reason: str, now: float, luck: float) -> tuple[Past, float]:
    """The kernel would not fork. Nobody has died, what is short may be there in a moment, and clients wait."""
    after = replace(past, refused=past.refused + 1, last_exit=reason, died_at=now)
    return after, min(REFUSED_CAP, backoff.delay(after.refused, False, luck))


def forked(past: Past) -> Past:
    return replace(past, refused=0)


def word(worker: Optional[Generation], busy: int) -> str:
    """The state that people see."""
    if worker is None:
        return "backoff"
    if worker.phase is Phase.READY:
        return "busy" if busy else "idle"
    return str(worker.phase.value)


def _pause(failures: int, had_served: bool, luck: float) -> float:
    if not had_served:
        return backoff.delay(failures, False, luck)
    return 0.0 if failures <= AT_ONCE else backoff.delay(failures - AT_ONCE + 1, True, luck)
