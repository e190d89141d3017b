"""Has an order come to its result? Pure: a function of the record when it was given, and of the record now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from emperor.supervision.record import Vassal, Wanted, state


@dataclass(frozen=True)
class Ticket:
    """``before``: the record as the order came in."""

    verb: str
    before: Vassal


Outcome = tuple[bool, str]
"""Did it work, and the words for it."""

REMOVED = "its ini was removed"


def outcome(ticket: Ticket, now: Optional[Vassal]) -> Optional[Outcome]:
    """None: not yet. ``now`` None: the vassal is gone."""
    if now is None:
        return (True, "stopped") if ticket.verb == "stop" else (False, REMOVED)
    return _RULES[ticket.verb](ticket.before, now)


def _stop(before: Vassal, now: Vassal) -> Optional[Outcome]:
    if now.wanted is Wanted.UP:
        return False, "started again by another order"
    if now.alive:
        return None
    return True, "stopped" if before.alive or before.wanted is Wanted.UP else "already stopped"


def _start(before: Vassal, now: Vassal) -> Optional[Outcome]:
    if now.running:
        return True, "already running" if before.running and now.serving == before.serving else "started"
    return _up(before, now, "started")


def _restart(before: Vassal, now: Vassal) -> Optional[Outcome]:
    if now.restart_wanted:
        return None
    return _up(before, now, "restarted")


def _up(before: Vassal, now: Vassal, word: str) -> Optional[Outcome]:
    """A generation younger than the order serves, or one has failed."""
    if now.wanted is not Wanted.UP:
        return False, REMOVED if now.wanted is Wanted.GONE else "stopped by another order"
    if _replaced(before, now):
        return True, word
    if state(now) in ("BACKOFF", "FATAL", "INVALID"):
        return False, _trouble(now)
    return None


def _replaced(before: Vassal, now: Vassal) -> bool:
    return now.serving is not None and now.running and now.serving.number > before.last_number


def _reload(before: Vassal, now: Vassal) -> Optional[Outcome]:
    at_rest = now.running and now.incoming is None and not now.reload_wanted
    if at_rest and not _replaced(before, now):
        # The new generation failed, or a newer ini has called it off and is bad.
        return False, f"{_trouble(now)}\nthe old generation serves on"
    return _up(before, now, "started" if before.serving is None or now.serving is None else "reloaded")


def _trouble(now: Vassal) -> str:
    return f"{now.error}\n{now.traceback}".rstrip() if now.traceback else now.error


_RULES = {"stop": _stop, "start": _start, "restart": _restart, "reload": _reload}
