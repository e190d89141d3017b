"""One seat of a crew over the lives of those who sat in it: who died how, and how long the next one waits.

Frozen values alone; the forks are ``crew``'s.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from emperor.supervision import backoff
from emperor.supervision.generation import Generation, Phase

AT_ONCE = 4
"""So many deaths in a row, of workers that answered nothing, are made good at once: whoever kills them, their clients
wait. What dies of itself each time has used these up within milliseconds, and then waits."""

FIRST = 0.03
GROWTH = 4
"""The pauses after that: short enough at first for a client, and 20 forks in ten minutes at most."""

FELLOWS_CAP = 5.0
"""Seconds that a seat stays empty at most while others of its crew answer: one that the kernel has no memory for each
time must not be forked without an end, and one that was only unlucky is soon wanted."""

ASKED_CAP = 2.0
"""The same for a worker that died of a request, whoever else is there: no client, no death, and the clients of other
pages wait for each of them. A fork of an imported app every other second costs next to nothing."""

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


@dataclass(frozen=True)
class Fellows:
    """The rest of a crew. ``barren``: deaths in a row, of anybody, since anybody answered; ``alive``: is one there?"""

    barren: int
    alive: bool


@dataclass(frozen=True)
class Death:
    """``answered``: had it ended a request? ``proven``: was its app imported when it died?

    ``asked``: had it a request in flight?
    """

    worker: Generation
    how: str
    answered: bool
    proven: bool
    asked: bool = False


def died(past: Past, death: Death, fellows: Fellows, now: float, luck: float) -> tuple[Past, float]:
    """What is remembered, and the seconds until the next one."""
    stable = death.worker.had_served and now - death.worker.born >= backoff.STABLE
    failures = 1 if death.answered or stable else past.failures + 1
    after = replace(past, failures=failures, exits=past.exits + 1, last_exit=death.how, died_at=now)
    if not death.proven:
        return after, backoff.delay(failures, False, luck)
    pause = _pause(failures, fellows, luck)
    return after, min(ASKED_CAP, pause) if death.asked else pause


def refused(past: Past, reason: str, now: float, luck: float) -> tuple[Past, float]:
    """The kernel would not fork. Nobody has died, what is short may be there in a moment, and clients wait."""
    after = replace(past, refused=past.refused + 1, last_exit=reason, died_at=now)
    return after, min(REFUSED_CAP, backoff.delay(after.refused, False, luck))


def misfortune(past: Past, how: str, now: float) -> Past:
    """A death that leaves no seat empty: of one that was to come, or to go."""
    return replace(past, exits=past.exits + 1, last_exit=how, died_at=now)


def forked(past: Past) -> Past:
    return replace(past, refused=0)


def word(worker: Optional[Generation], busy: int) -> str:
    """The state that people see."""
    if worker is None:
        return "backoff"
    if worker.phase is Phase.READY:
        return "busy" if busy else "idle"
    return str(worker.phase.value)


def _pause(failures: int, fellows: Fellows, luck: float) -> float:
    steps = min(failures - AT_ONCE - 1, 16)
    own = min(backoff.CAP, FIRST * GROWTH**steps) * (1 + backoff.JITTER * luck) if steps >= 0 else 0.0
    if fellows.barren > AT_ONCE:
        return float(own)
    # The crew as a whole does its work: nobody waits for the last of it.
    return float(min(own, FELLOWS_CAP)) if fellows.alive else 0.0
