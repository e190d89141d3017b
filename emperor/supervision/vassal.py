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

from emperor.model import VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision import rolling
from emperor.supervision.draft import SLOTS, Draft
from emperor.supervision.endings import on_exited
from emperor.supervision.events import (
    Begun,
    BootFailed,
    Called,
    Configured,
    Doing,
    Doze,
    Exited,
    Keep,
    Misconfigured,
    Order,
    Outdated,
    Queued,
    Ready,
    Resize,
    Resized,
    Tick,
    Tired,
    VassalEvent,
)
from emperor.supervision.generation import Generation, Phase
from emperor.supervision.obeying import on_order
from emperor.supervision.record import Vassal, Wanted, first_fatal, heard_at
from emperor.supervision.settling import settle


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
        reload_wanted=vassal.reload_wanted or (reload and (bool(vassal.alive) or vassal.asleep)),
        asleep=_stays_asleep(vassal, event.spec),
        scaled=vassal.scaled if vassal.spec is None or vassal.spec.processes == event.spec.processes else None,
    )
    if vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


def _stays_asleep(vassal: Vassal, spec: VassalSpec) -> bool:
    """Of one that was stopped the order to start decides."""
    if vassal.wanted is Wanted.DOWN:
        return False
    if vassal.wanted is Wanted.GONE or (vassal.spec is None and not vassal.alive):
        return spec.on_demand
    return vassal.asleep and (spec.on_demand or spec.idle > 0)


def _on_misconfigured(draft: Draft, event: Misconfigured) -> None:
    first = next(one for one in event.problems if one.fatal)
    # The file's word replaces a pause that an older file earned, but not a generation that serves.
    draft.put(problems=event.problems, error=str(first), traceback="", reload_wanted=False)
    if event.void and not draft.vassal.running:
        draft.drive("incoming", gen.Event.DRAIN)
        draft.put(spec=None, proven=None, rejected="", retry_at=None, exhausted=False)
    if draft.vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


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
    if incoming is None or incoming.number != event.number or draft.vassal.binds:
        return
    draft.drive("incoming", gen.Event.READY)
    if incoming.phase is not Phase.STARTING:
        return
    before, few, size = draft.vassal.proven, draft.vassal.few, draft.vassal.size
    rolls = bool(few) and draft.vassal.running
    if draft.vassal.serving is not None and not rolls:
        draft.drive("serving", gen.Event.RETIRE)
    spec = draft.vassal.incoming_spec
    assert spec is not None
    draft.put(
        reloads=draft.vassal.reloads + (draft.vassal.serving is not None),
        outgoing=draft.vassal.serving or draft.vassal.outgoing,
        serving=draft.vassal.incoming,
        incoming=None,
        incoming_spec=None,
        cut_short=0,
        crew=None,
        few=0,
        size=draft.vassal.crew_of(spec),
        outdated=False,
        misled=0,
        trusted_at=0.0,
        proven=spec,
        retry_at=None,
        traceback="",
        error=first_fatal(draft.vassal.problems) or draft.vassal.rejected,
    )
    draft.doings.append(Keep(spec))
    if rolls and before is not None:
        rolling.begin(draft, before, size or before.processes)
    elif few or draft.vassal.scaled:
        # An order may have come while it started.
        draft.doings.append(Resize(event.number, draft.vassal.crew_of(spec)))


def _on_boot_failed(draft: Draft, event: BootFailed) -> None:
    incoming = draft.vassal.incoming
    if incoming is not None and incoming.number == event.number:
        draft.put(last_word=event.reason, traceback=event.traceback)


def _on_called(draft: Draft, event: Called) -> None:
    if draft.vassal.asleep and draft.vassal.heeds is not None and draft.vassal.wanted is Wanted.UP:
        draft.put(asleep=False, heeds=None, reload_wanted=False)


def _on_tired(draft: Draft, event: Tired) -> None:
    """Its word counts by our own clock only, and while nothing else is to become of it."""
    vassal, one = draft.vassal, draft.vassal.serving
    if one is None or one.number != event.number or not vassal.running or vassal.proven is None:
        return
    busy = vassal.incoming or vassal.outgoing or vassal.reload_wanted or vassal.restart_wanted
    if busy or vassal.wanted is not Wanted.UP or not vassal.proven.idle or one.ready_at is None:
        return
    if draft.now >= heard_at(vassal) and draft.now - one.ready_at >= vassal.proven.idle:
        draft.drive("serving", gen.Event.RETIRE)
        draft.put(outgoing=draft.vassal.serving, serving=None, asleep=True, heeds=vassal.proven, crew=None)
        draft.doings.append(Doze())


def _on_outdated(draft: Draft, event: Outdated) -> None:
    vassal = draft.vassal
    heard = vassal.running and vassal.serving is not None and vassal.serving.number == event.number
    asked_for = vassal.proven is not None and (vassal.proven.touch_reload or vassal.proven.py_autoreload)
    if heard and asked_for and vassal.wanted is Wanted.UP and vassal.spec is not None:
        # One that starts already is not ended for it: what it has read it looks at itself, once it serves.
        draft.put(outdated=True)


def _on_resized(draft: Draft, event: Resized) -> None:
    if draft.vassal.serving is not None and draft.vassal.serving.number == event.number:
        draft.put(crew=event.workers, leaving=event.leaving)
    rolling.hear(draft, event)


def _on_tick(draft: Draft, event: Tick) -> None:
    for slot in SLOTS:
        one: Optional[Generation] = getattr(draft.vassal, slot)
        if one is not None and one.deadline is not None and one.deadline <= draft.now:
            draft.drive(slot, gen.Event.DEADLINE)
    if draft.vassal.roll is not None and draft.vassal.roll.due <= draft.now:
        rolling.finish(draft)
    if draft.vassal.scaled_by is not None and draft.vassal.scaled_by <= draft.now:
        draft.put(scaled_by=None)


# Any, for each takes exactly the type that it is filed under.
_ON: dict[type, Callable[[Draft, Any], None]] = {
    Configured: _on_configured,
    Misconfigured: _on_misconfigured,
    Order: on_order,
    Queued: _on_queued,
    Begun: _on_begun,
    Ready: _on_ready,
    BootFailed: _on_boot_failed,
    Exited: on_exited,
    Called: _on_called,
    Tired: _on_tired,
    Outdated: _on_outdated,
    Resized: _on_resized,
    Tick: _on_tick,
}
