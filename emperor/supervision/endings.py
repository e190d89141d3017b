"""A generation of a vassal has ended: was that wanted, what is shown of it, and when does the next one start?

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from emperor.model import VassalSpec
from emperor.supervision import backoff, rolling
from emperor.supervision import generation as gen
from emperor.supervision.draft import SLOTS, Draft
from emperor.supervision.events import Doze, Exit, Exited, Keep
from emperor.supervision.generation import Generation, Phase
from emperor.supervision.record import Vassal, first_fatal


def on_exited(draft: Draft, event: Exited) -> None:
    slot = next((s for s in SLOTS if getattr(draft.vassal, s) and getattr(draft.vassal, s).number == event.number), "")
    if not slot:
        return
    one: Generation = getattr(draft.vassal, slot)
    if slot == "incoming" and draft.vassal.binds and one.phase is Phase.STARTING and event.exit.code == 0:
        _bound(draft)
        return
    draft.put(**{slot: None}, last_exit=event.exit)
    _ENDED[slot](draft, one, event)


def _serving_ended(draft: Draft, one: Generation, event: Exited) -> None:
    if one.phase in gen.LEAVING:
        return
    if draft.vassal.roll is not None:
        rolling.take_back(draft, draft.vassal.roll, event.exit.reason)
        return
    if not draft.vassal.last_word:
        draft.put(traceback="")
    _count_failure(draft, one, event, _why(draft.vassal, one, event.exit))


def _incoming_ended(draft: Draft, one: Generation, event: Exited) -> None:
    called_off = one.phase in gen.LEAVING and not one.late
    tried, bound = draft.vassal.incoming_spec, draft.vassal.binds
    # A start that failed of itself has had its end.
    draft.put(incoming_spec=None, binds=False, few=0, cut_short=draft.vassal.cut_short if called_off else 0)
    if called_off or draft.vassal.reload_wanted:
        # A newer one is about to start, and its result counts.
        return
    reason = _why(draft.vassal, one, event.exit)
    if not draft.vassal.last_word:
        draft.put(traceback="")
    if draft.vassal.serving is not None:
        draft.put(error=reason, rejected=reason)
        if draft.vassal.proven is not None:
            draft.doings.append(Keep(draft.vassal.proven))
        return
    _fall_back(draft, tried, bound, reason)
    _count_failure(draft, one, event, reason)


def _fall_back(draft: Draft, tried: Optional[VassalSpec], bound: bool, reason: str) -> None:
    """Nobody serves, and what was tried did not come up."""
    vassal = draft.vassal
    older = vassal.proven or (vassal.opened if bound else None)
    if tried is not None and older not in (None, tried):
        # What served is better than what has never served, and what could be heeded than what could not.
        draft.put(rejected=reason)
    elif vassal.proven is None and not bound and tried == vassal.opened != vassal.spec:
        draft.put(opened=None, rejected="")


def _outgoing_ended(draft: Draft, one: Generation, event: Exited) -> None:
    """Its successor serves: nobody misses it."""
    rolling.finish(draft)


_ENDED = {"serving": _serving_ended, "incoming": _incoming_ended, "outgoing": _outgoing_ended}


def _bound(draft: Draft) -> None:
    """All sockets are open, and nobody serves yet."""
    spec, again = draft.vassal.incoming_spec, draft.vassal.reload_wanted
    assert spec is not None
    draft.put(incoming=None, incoming_spec=None, binds=False, failures=0, traceback="")
    draft.put(error=first_fatal(draft.vassal.problems) or draft.vassal.rejected)
    draft.put(opened=spec)
    if draft.vassal.asleep:
        draft.doings.extend((Keep(spec), Doze()))
        draft.put(heeds=None if again else spec)


def _why(vassal: Vassal, one: Generation, exit: Exit) -> str:
    """The vassal's own last word is better than the kernel's."""
    if one.late:
        overdue = f"start-timeout: not ready after {one.patience.start:g} s"
        return f"{overdue}: {vassal.last_word}" if vassal.last_word else overdue
    if not one.had_served and vassal.last_word:
        return vassal.last_word
    return exit.reason


def _count_failure(draft: Draft, one: Generation, event: Exited, reason: str) -> None:
    vassal = draft.vassal
    served = draft.now - one.ready_at if one.ready_at is not None else None
    failures = 1 if backoff.stable(draft.now - one.born, served) else vassal.failures + 1
    limit = vassal.spec.max_restarts if vassal.spec is not None else 0
    exhausted = bool(limit) and failures > limit
    pause = 0.0 if exhausted else backoff.delay(failures, one.had_served, event.luck)
    draft.put(
        error=reason,
        failures=failures,
        restarts=vassal.restarts + 1,
        exhausted=exhausted,
        # Who starts already waits for nothing.
        retry_at=draft.now + pause if pause and vassal.incoming is None else None,
        # The next start is of the newest, whenever it is.
        reload_wanted=vassal.reload_wanted and vassal.incoming is not None,
    )
