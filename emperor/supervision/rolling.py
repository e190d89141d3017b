"""A rolling reload: the workers of a new generation take the places of the old one's, one after another.

At most one worker more than usual is there at any time. The old generation lets go of one, and says when it has ended;
the new one gains one, and says when it serves; until the old one has none. If the new generation dies meanwhile the old
one, which still serves, gets all its workers back.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from emperor.model import ROLLING, VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision.draft import Draft
from emperor.supervision.events import Keep, Resize, Resized
from emperor.supervision.record import Roll

LONGEST_START = 60.0
"""Seconds that a step waits at most for a worker that is being started, whatever its ini says."""


def suits(old: Optional[VassalSpec], new: VassalSpec, crew: int) -> bool:
    """May they share their clients for a while? Not if one of them cannot accept the other's."""
    if old is None or new.reload_mode != ROLLING or crew < 2:
        return False
    return (old.sockets, old.identity) == (new.sockets, new.identity)


def begin(draft: Draft, before: VassalSpec, size: int) -> None:
    """The young one serves with one worker; the old one, in ``outgoing``, has ``size`` and has not been told yet."""
    vassal = draft.vassal
    assert vassal.outgoing is not None and vassal.proven is not None
    old = size - 1
    draft.put(roll=Roll(1, old, vassal.crew_of(vassal.proven), before, _due(draft)))
    if old:
        draft.doings.append(Resize(vassal.outgoing.number, old))
    else:
        finish(draft)


def hear(draft: Draft, event: Resized) -> None:
    """One of the two has done what it was told: it is the other's turn."""
    vassal, roll = draft.vassal, draft.vassal.roll
    if roll is None or vassal.serving is None or vassal.outgoing is None:
        return
    if roll.yields and event.number == vassal.outgoing.number and event.workers <= roll.old and not event.leaving:
        young = min(roll.young + 1, roll.goal)
        draft.put(roll=replace(roll, young=young, yields=False, due=_due(draft)))
        draft.doings.append(Resize(vassal.serving.number, young))
    elif not roll.yields and event.number == vassal.serving.number and _grown(draft, event, roll):
        _yield(draft, roll)


def finish(draft: Draft) -> None:
    """The young one has all workers at once, and the old one goes."""
    vassal, roll = draft.vassal, draft.vassal.roll
    if roll is None:
        return
    draft.put(roll=None)
    if vassal.serving is not None and roll.young < roll.goal:
        draft.doings.append(Resize(vassal.serving.number, roll.goal))
    draft.drive("outgoing", gen.Event.RETIRE)


def take_back(draft: Draft, roll: Roll, reason: str) -> None:
    """The young one has died: the old one serves on."""
    old = draft.vassal.outgoing
    draft.put(serving=old, outgoing=None, roll=None, proven=roll.before, rejected=reason, error=reason)
    draft.put(restarts=draft.vassal.restarts + 1, size=draft.vassal.crew_of(roll.before))
    draft.doings.append(Keep(roll.before))
    if old is not None:
        draft.doings.append(Resize(old.number, draft.vassal.crew_of(roll.before)))


def _yield(draft: Draft, roll: Roll) -> None:
    assert draft.vassal.outgoing is not None
    if roll.young >= roll.goal or roll.old <= 1:
        finish(draft)
        return
    draft.put(roll=replace(roll, old=roll.old - 1, yields=True, due=_due(draft)))
    draft.doings.append(Resize(draft.vassal.outgoing.number, roll.old - 1))


def _grown(draft: Draft, event: Resized, roll: Roll) -> bool:
    # With cheaper it has as many as it needs.
    spec = draft.vassal.proven
    return event.workers >= roll.young or (spec is not None and spec.cheaper > 0)


def _due(draft: Draft) -> float:
    """A worker may take that long to finish what it has, and another to import its app."""
    young, old = draft.vassal.serving, draft.vassal.outgoing
    mercy = old.patience.drain if old is not None else 0.0
    return draft.now + mercy + (min(young.patience.start, LONGEST_START) if young is not None else 0.0)
