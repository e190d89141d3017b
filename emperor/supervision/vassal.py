"""One vassal's life: what is wanted of it, and at most two generations at a time.

Rule 1: every event changes the record, then ``settle`` compares what is wanted with what is, and asks for the next
step. So an order that arrives at a bad moment is not lost: it is seen again at the next event.
Rule 2: a generation is only ever replaced by one that has said that it serves. What fails to start beside a serving
generation changes nothing but ``error``.
Rule 3: news of a generation that is in no slot is dropped (it is late word of a dead one).

The record itself, its events and what can be asked for are in ``supervision.record``, ``settle`` in
``supervision.settling``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Optional

from emperor.supervision import backoff
from emperor.supervision import generation as gen
from emperor.supervision.generation import Generation, Phase
from emperor.supervision.record import (
    Begun,
    BootFailed,
    Configured,
    Doing,
    Exit,
    Exited,
    Keep,
    Misconfigured,
    Order,
    Queued,
    Ready,
    Tick,
    Vassal,
    VassalEvent,
    Wanted,
    first_fatal,
)
from emperor.supervision.settling import SLOTS, Draft, settle


def step(vassal: Vassal, event: VassalEvent, now: float) -> tuple[Vassal, tuple[Doing, ...]]:
    """The record after the event, and what is to be done, in this order."""
    draft = Draft(vassal, now)
    _ON[type(event)](draft, event)
    settle(draft)
    return draft.vassal, tuple(draft.doings)


def _on_configured(draft: Draft, event: Configured) -> None:
    vassal = draft.vassal
    # The same file seen again proves nothing new about what failed to start beside the generation that serves, or that
    # did and is started again.
    falls_back = vassal.incoming is not None and vassal.incoming_spec == vassal.proven != vassal.spec
    seen = (vassal.running or falls_back) and not event.reload and event.spec == vassal.spec
    rejected = vassal.rejected if seen else ""
    called_off = vassal.incoming is not None and vassal.incoming.phase in gen.LEAVING and not vassal.incoming.late
    coming = None if called_off else vassal.incoming_spec
    newest = coming or (vassal.proven if vassal.serving is not None else event.spec)
    # An order may have read what nobody has told of yet, or what a bad ini before it had called off.
    refused = bool(vassal.rejected) and event.spec == vassal.spec
    reload = event.reload or (event.spec != newest and not refused)
    draft.put(
        spec=event.spec,
        problems=event.problems,
        error=rejected,
        traceback=vassal.traceback if rejected else "",
        failures=0,
        retry_at=None,
        rejected=rejected,
        exhausted=False,
        reload_wanted=vassal.reload_wanted or (reload and bool(vassal.alive)),
    )
    if vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


def _on_misconfigured(draft: Draft, event: Misconfigured) -> None:
    first = next(one for one in event.problems if one.fatal)
    # The file's word replaces a pause that an older file earned, but not a generation that serves.
    draft.put(problems=event.problems, error=str(first), traceback="", reload_wanted=False)
    if event.void and not draft.vassal.running:
        draft.drive("incoming", gen.Event.DRAIN)
        draft.put(spec=None, proven=None, rejected="", retry_at=None, exhausted=False)
    if draft.vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


def _on_order(draft: Draft, event: Order) -> None:
    fresh = {"failures": 0, "retry_at": None, "exhausted": False}
    if event.verb == "start":
        draft.put(wanted=Wanted.UP, **fresh)
    elif event.verb == "stop":
        # Without an ini it is forgotten when it has gone: stopped, it would be there for ever.
        wanted = Wanted.GONE if draft.vassal.wanted is Wanted.GONE else Wanted.DOWN
        draft.put(wanted=wanted, reload_wanted=False, restart_wanted=False, **fresh)
    elif event.verb == "restart":
        draft.put(wanted=Wanted.UP, restart_wanted=True, reload_wanted=False, rejected="", **fresh)
    elif event.verb == "remove":
        draft.put(wanted=Wanted.GONE, reload_wanted=False, restart_wanted=False)
    elif event.verb == "kill":
        for slot in SLOTS:
            draft.drive(slot, gen.Event.KILL)
    else:
        raise AssertionError(event.verb)


def _on_queued(draft: Draft, event: Queued) -> None:
    start = _start(draft, event.number)
    if start is not None:
        draft.put(incoming=replace(start, deadline=None))


def _on_begun(draft: Draft, event: Begun) -> None:
    start = _start(draft, event.number)
    if start is not None:
        draft.put(incoming=replace(start, born=draft.now, deadline=draft.now + start.patience.start))


def _start(draft: Draft, number: int) -> Optional[Generation]:
    """None: it is over. One that was told to go has a deadline of its own."""
    incoming = draft.vassal.incoming
    starts = incoming is not None and incoming.number == number and incoming.phase is Phase.STARTING
    return incoming if starts else None


def _on_ready(draft: Draft, event: Ready) -> None:
    incoming = draft.vassal.incoming
    if incoming is None or incoming.number != event.number:
        return
    draft.drive("incoming", gen.Event.READY)
    if incoming.phase is not Phase.STARTING:
        return
    if draft.vassal.serving is not None:
        draft.drive("serving", gen.Event.RETIRE)
    spec = draft.vassal.incoming_spec
    assert spec is not None
    draft.put(
        outgoing=draft.vassal.serving or draft.vassal.outgoing,
        serving=draft.vassal.incoming,
        incoming=None,
        incoming_spec=None,
        cut_short=0,
        proven=spec,
        retry_at=None,
        traceback="",
        error=first_fatal(draft.vassal.problems) or draft.vassal.rejected,
    )
    draft.doings.append(Keep(spec))


def _on_boot_failed(draft: Draft, event: BootFailed) -> None:
    incoming = draft.vassal.incoming
    if incoming is not None and incoming.number == event.number:
        draft.put(last_word=event.reason, traceback=event.traceback)


def _on_exited(draft: Draft, event: Exited) -> None:
    slot = next((s for s in SLOTS if getattr(draft.vassal, s) and getattr(draft.vassal, s).number == event.number), "")
    if not slot:
        return
    one: Generation = getattr(draft.vassal, slot)
    expected = one.phase in gen.LEAVING and not one.late
    tried = draft.vassal.incoming_spec if slot == "incoming" else None
    draft.put(**{slot: None}, last_exit=event.exit)
    if slot == "incoming":
        # A start that failed of itself has had its end.
        draft.put(incoming_spec=None, cut_short=draft.vassal.cut_short if expected else 0)
    if expected or (slot == "incoming" and draft.vassal.reload_wanted):
        # A newer one is about to start, and its result counts.
        return
    reason = _why(draft.vassal, one, event.exit)
    if not draft.vassal.last_word:
        draft.put(traceback="")
    if slot == "incoming" and draft.vassal.serving is not None:
        draft.put(error=reason, rejected=reason)
        if draft.vassal.proven is not None:
            draft.doings.append(Keep(draft.vassal.proven))
        return
    if tried is not None and draft.vassal.proven not in (None, tried):
        # The old generation has died meanwhile. What served is better than what has never served.
        draft.put(rejected=reason)
    _count_failure(draft, one, event, reason)


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
    )


def _on_tick(draft: Draft, event: Tick) -> None:
    for slot in SLOTS:
        one: Optional[Generation] = getattr(draft.vassal, slot)
        if one is not None and one.deadline is not None and one.deadline <= draft.now:
            draft.drive(slot, gen.Event.DEADLINE)


# Any, for each takes exactly the type that it is filed under.
_ON: dict[type, Callable[[Draft, Any], None]] = {
    Configured: _on_configured,
    Misconfigured: _on_misconfigured,
    Order: _on_order,
    Queued: _on_queued,
    Begun: _on_begun,
    Ready: _on_ready,
    BootFailed: _on_boot_failed,
    Exited: _on_exited,
    Tick: _on_tick,
}
