"""What has happened to a vassal, for programs: which steps of its record are events, of which kind, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from emperor.supervision import wording
from emperor.supervision.events import Called, Configured, Exit, Exited, Misconfigured, Order, Ready, Tick, VassalEvent
from emperor.supervision.generation import Phase
from emperor.supervision.record import Vassal, first_fatal, state
from emperor.supervision.reports import WorkerReport

STATE = "state"
"""People see another state, and there is no better word for it."""
RELOAD_BEGUN, RELOAD_DONE, RELOAD_FAILED = "reload-begun", "reload-done", "reload-failed"
"""Failed: it was rolled back, for the older generation goes on."""
CRASH, START_FAILED, GIVEN_UP = "crash", "start-failed", "given-up"
INVALID, MENDED = "invalid", "mended"
SCALED, ASLEEP, WOKEN, GONE = "scaled", "asleep", "woken", "gone"
WORKER_DIED, HARAKIRI = "worker-died", "harakiri"
STARTED, UPGRADED, STOPPING = "started", "upgraded", "stopping"
"""The emperor itself."""

_TRANSITIONS = {
    ("RUNNING", "RELOADING"): RELOAD_BEGUN,
    ("RELOADING", "RUNNING"): RELOAD_DONE,
    ("RUNNING", "IDLE"): ASLEEP,
    ("STARTING", "IDLE"): ASLEEP,
    ("BACKOFF", "FATAL"): GIVEN_UP,
    ("STARTING", "FATAL"): GIVEN_UP,
    ("RUNNING", "FATAL"): GIVEN_UP,
}


class Happening(NamedTuple):
    """``before``, ``after``: states, None where there is none. ``number``: of the generation that it is about, 0: none.

    ``exit``: how that one ended. ``workers``: how many were ordered.
    """

    kind: str
    before: Optional[str]
    after: Optional[str]
    number: int
    reason: str
    exit: Optional[Exit] = None
    workers: Optional[int] = None


def happenings(before: Vassal, after: Vassal, event: VassalEvent) -> tuple[Happening, ...]:
    """In their order; (): nothing that anybody waits for."""
    old, new = None if wording.untold(before) else state(before), state(after)
    found = [one for one in (_order(event, old, after), _mended(before, after, event, old)) if one is not None]
    kind = _kind(before, after, event, old, new)
    if kind != STATE or (old != new and not (after.incoming is not None and after.binds)):
        found.append(_happening(kind, old, new, after, event))
    return tuple(found)


def _kind(before: Vassal, after: Vassal, event: VassalEvent, old: Optional[str], new: str) -> str:
    if isinstance(event, Exited):
        ended = _ended(before, event)
        if ended:
            return ended
    if isinstance(event, Misconfigured) and after.error != before.error:
        return INVALID
    if isinstance(event, Ready) and old == new == "RELOADING" and after.roll is None and before.running:
        return RELOAD_DONE
    if isinstance(event, Called) and old == "IDLE" and new != old:
        return WOKEN
    return _TRANSITIONS.get((old or "", new), STATE)


def _ended(before: Vassal, event: Exited) -> str:
    """Of one that was told to go, nothing but the state that follows."""
    if before.serving is not None and before.serving.number == event.number:
        return CRASH if before.running else ""
    one = before.incoming
    if one is None or one.number != event.number or one.phase is not Phase.STARTING:
        return ""
    if before.binds and event.exit.code == 0:
        return ""
    return RELOAD_FAILED if before.running else START_FAILED


def _happening(kind: str, old: Optional[str], new: str, after: Vassal, event: VassalEvent) -> Happening:
    if isinstance(event, Exited):
        why = after.error or event.exit.reason
        return Happening(kind, old, new, event.number, why, event.exit)
    shown = after.incoming if kind == RELOAD_BEGUN else after.serving or after.incoming
    number = shown.number if shown is not None else 0
    return Happening(kind, old, new, number, _reason(kind, old, new, after, event))


def _reason(kind: str, old: Optional[str], new: str, after: Vassal, event: VassalEvent) -> str:
    if kind == INVALID or (new in wording.TROUBLE and after.error):
        return after.error
    if new == "RUNNING":
        return f"serves on {wording.places(after.proven)}"
    # A deadline that passes has many a meaning.
    said = not isinstance(event, Tick) or (old, new) in wording.CAUSED
    why = wording.cause(after, event) if said else ""
    return why or (f"listens on {wording.places(after.heeds)}" if new == "IDLE" else "")


def _order(event: VassalEvent, old: Optional[str], after: Vassal) -> Optional[Happening]:
    if not isinstance(event, Order) or event.verb != "scale":
        return None
    number = after.serving.number if after.serving is not None else 0
    return Happening(SCALED, old, old, number, event.why or "scale was ordered", workers=event.workers)


def _mended(before: Vassal, after: Vassal, event: VassalEvent, old: Optional[str]) -> Optional[Happening]:
    if not isinstance(event, Configured) or not first_fatal(before.problems) or first_fatal(after.problems):
        return None
    return Happening(MENDED, old, old, 0, "its ini is valid again")


MOST_DEATHS = 8
"""Of one report: who makes them up shall not keep us busy."""


def deaths(before: Sequence[WorkerReport], after: Sequence[WorkerReport]) -> list[WorkerReport]:
    """The workers whose predecessors in their seat have died since, without being told to go."""
    known = {one.id: one.exits for one in before}
    died = {one.id: one for one in after if one.exits > known.get(one.id, 0)}
    return list(died.values())[:MOST_DEATHS]
