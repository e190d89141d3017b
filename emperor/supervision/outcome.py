"""Has an order come to its result? Pure: a function of the record when it was given, and of the record now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional

from emperor.supervision.record import Vassal, Wanted, state


@dataclass(frozen=True)
class Ticket:
    """``before``: the record as the order came in."""

    verb: str
    before: Vassal


Outcome = tuple[bool, str]
"""Did it work, and the words for it."""


class Given(NamedTuple):
    """An order as it was carried out. ``refusal``: "" or why it was not; ``note``: is told with its result."""

    refusal: str = ""
    note: str = ""


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


ASLEEP = "asleep: the next connection starts it"


def _scale(before: Vassal, now: Vassal) -> Optional[Outcome]:
    if now.scaled is None:
        return False, "its ini says another number by now, or it was stopped"
    word = f"{now.scaled} worker{'' if now.scaled == 1 else 's'}"
    if now.serving is None or not now.running:
        return True, f"{word} from its next start on"
    cheap = now.proven is not None and now.proven.cheaper > 0
    if now.crew is not None and (now.crew == now.scaled or (cheap and now.crew <= now.scaled)):
        rest = f", {now.leaving} more finish what they have" if now.leaving else ""
        return True, f"at most {word}{rest}" if cheap else f"{word}{rest}"
    if now.scaled_by is not None:
        return None
    serve = "nobody knows how many serve" if now.crew is None else f"{now.crew} serve"
    return False, f"{word}: {serve} by now -- emperorctl logs {now.name} may say why"


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
        return (True, word) if now.roll is None else None
    if now.asleep and now.heeds is not None:
        return (False, f"{now.error}\nthe older ini's sockets are open") if now.rejected else (True, ASLEEP)
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


_RULES = {"stop": _stop, "start": _start, "restart": _restart, "reload": _reload, "scale": _scale}
