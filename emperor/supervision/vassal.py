"""One vassal's life: what is wanted of it, and at most two generations at a time.

Rule 1: every event changes the record, then ``_settle`` compares what is wanted with what is, and asks for the next
step. So an order that arrives at a bad moment is not lost: it is seen again at the next event.
Rule 2: a generation is only ever replaced by one that has said that it serves. What fails to start beside a serving
generation changes nothing but ``error``.
Rule 3: news of a generation that is in no slot is dropped (it is late word of a dead one).

The record itself, its events and what can be asked for are in ``supervision.record``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

from emperor.model import OWNER, VassalSpec
from emperor.supervision import backoff
from emperor.supervision import generation as gen
from emperor.supervision.generation import Generation, Patience, Phase
from emperor.supervision.record import (
    BootFailed,
    Configured,
    Doing,
    Exit,
    Exited,
    Forget,
    Keep,
    Misconfigured,
    Order,
    Ready,
    Release,
    Signal,
    Spawn,
    Tick,
    Vassal,
    VassalEvent,
    Wanted,
    first_fatal,
)


@dataclass
class _Draft:
    """A step in the making."""

    vassal: Vassal
    now: float
    doings: list[Doing] = field(default_factory=list)

    def put(self, **changes: object) -> None:
        self.vassal = replace(self.vassal, **changes)  # type: ignore[arg-type]  # names are checked by replace

    def drive(self, slot: str, event: gen.Event) -> None:
        """Let the generation in ``slot`` take its own step."""
        one: Optional[Generation] = getattr(self.vassal, slot)
        if one is None:
            return
        after, actions = gen.step(one, event, self.now)
        self.put(**{slot: after})
        self.doings.extend(Signal(one.number, action) for action in actions)


MERCY_OF_OWNERS = 60.0
"""Seconds that an ini which its user wrote can hold up the emperor's own end."""

SLOTS = ("serving", "incoming", "outgoing")


def step(vassal: Vassal, event: VassalEvent, now: float) -> tuple[Vassal, tuple[Doing, ...]]:
    """The record after the event, and what is to be done, in this order."""
    draft = _Draft(vassal, now)
    _ON[type(event)](draft, event)
    _settle(draft)
    return draft.vassal, tuple(draft.doings)


def _on_configured(draft: _Draft, event: Configured) -> None:
    vassal = draft.vassal
    # The same file seen again proves nothing new about what failed to start beside the generation that serves.
    seen = vassal.running and not event.reload and event.spec == vassal.spec
    rejected = vassal.rejected if seen else ""
    draft.put(
        spec=event.spec,
        problems=event.problems,
        error=rejected,
        traceback=vassal.traceback if rejected else "",
        failures=0,
        retry_at=None,
        rejected=rejected,
        exhausted=False,
        reload_wanted=vassal.reload_wanted or (event.reload and bool(vassal.alive)),
    )
    if vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


def _on_misconfigured(draft: _Draft, event: Misconfigured) -> None:
    first = next(one for one in event.problems if one.fatal)
    # The file's word replaces a pause that an older file earned, but not a generation that serves.
    draft.put(problems=event.problems, error=str(first), traceback="", reload_wanted=False)
    if draft.vassal.wanted is Wanted.GONE:
        draft.put(wanted=Wanted.UP)


def _on_order(draft: _Draft, event: Order) -> None:
    fresh = {"failures": 0, "retry_at": None, "exhausted": False}
    if event.verb == "start":
        draft.put(wanted=Wanted.UP, **fresh)
    elif event.verb == "stop":
        draft.put(wanted=Wanted.DOWN, reload_wanted=False, restart_wanted=False, **fresh)
    elif event.verb == "restart":
        draft.put(wanted=Wanted.UP, restart_wanted=True, reload_wanted=False, rejected="", **fresh)
    elif event.verb == "remove":
        draft.put(wanted=Wanted.GONE, reload_wanted=False, restart_wanted=False)
    elif event.verb == "kill":
        for slot in SLOTS:
            draft.drive(slot, gen.Event.KILL)
    else:
        raise AssertionError(event.verb)


def _on_ready(draft: _Draft, event: Ready) -> None:
    incoming = draft.vassal.incoming
    if incoming is None or incoming.number != event.number or incoming.phase is not Phase.STARTING:
        return
    draft.drive("incoming", gen.Event.READY)
    if draft.vassal.serving is not None:
        draft.drive("serving", gen.Event.RETIRE)
    spec = draft.vassal.incoming_spec
    assert spec is not None
    draft.put(
        outgoing=draft.vassal.serving or draft.vassal.outgoing,
        serving=draft.vassal.incoming,
        incoming=None,
        incoming_spec=None,
        proven=spec,
        retry_at=None,
        traceback="",
        error=first_fatal(draft.vassal.problems) or draft.vassal.rejected,
    )
    draft.doings.append(Keep(spec))


def _on_boot_failed(draft: _Draft, event: BootFailed) -> None:
    incoming = draft.vassal.incoming
    if incoming is not None and incoming.number == event.number:
        draft.put(last_word=event.reason, traceback=event.traceback)


def _on_exited(draft: _Draft, event: Exited) -> None:
    slot = next((s for s in SLOTS if getattr(draft.vassal, s) and getattr(draft.vassal, s).number == event.number), "")
    if not slot:
        return
    one: Generation = getattr(draft.vassal, slot)
    expected = one.phase in gen.LEAVING and not one.late
    tried = draft.vassal.incoming_spec if slot == "incoming" else None
    draft.put(**{slot: None}, last_exit=event.exit)
    if slot == "incoming":
        draft.put(incoming_spec=None)
    if expected:
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
        return f"start-timeout: not ready after {one.patience.start:g} s"
    if not one.had_served and vassal.last_word:
        return vassal.last_word
    return exit.reason


def _count_failure(draft: _Draft, one: Generation, event: Exited, reason: str) -> None:
    vassal = draft.vassal
    stable = one.ready_at is not None and draft.now - one.ready_at >= backoff.STABLE
    failures = 1 if stable else vassal.failures + 1
    limit = vassal.spec.max_restarts if vassal.spec is not None else 0
    exhausted = bool(limit) and failures > limit
    pause = 0.0 if exhausted else backoff.delay(failures, one.had_served, event.luck)
    draft.put(
        error=reason,
        failures=failures,
        restarts=vassal.restarts + 1,
        exhausted=exhausted,
        retry_at=draft.now + pause if pause else None,
    )


def _on_tick(draft: _Draft, event: Tick) -> None:
    for slot in SLOTS:
        one: Optional[Generation] = getattr(draft.vassal, slot)
        if one is not None and one.deadline is not None and one.deadline <= draft.now:
            draft.drive(slot, gen.Event.DEADLINE)


# Any, for each takes exactly the type that it is filed under.
_ON: dict[type, Callable[[_Draft, Any], None]] = {
    Configured: _on_configured,
    Misconfigured: _on_misconfigured,
    Order: _on_order,
    Ready: _on_ready,
    BootFailed: _on_boot_failed,
    Exited: _on_exited,
    Tick: _on_tick,
}


# What is wanted against what is -----------------------------------------------------------------------------------


def _settle(draft: _Draft) -> None:
    if draft.vassal.wanted is not Wanted.UP:
        _end(draft)
        return
    if draft.vassal.restart_wanted:
        _drain_all(draft)
        if draft.vassal.alive:
            return
        draft.put(restart_wanted=False)
    if draft.vassal.reload_wanted and draft.vassal.incoming is not None:
        # It starts from what is already old news.
        draft.drive("incoming", gen.Event.DRAIN)
        return
    if draft.vassal.serving is None and draft.vassal.incoming is None:
        _start_anew(draft)
    elif draft.vassal.reload_wanted and draft.vassal.outgoing is not None:
        # Two at a time: the oldest is not waited for longer than its requests in flight need.
        draft.drive("outgoing", gen.Event.DRAIN)
    elif draft.vassal.reload_wanted:
        _start_beside(draft)


def _end(draft: _Draft) -> None:
    _drain_all(draft)
    if draft.vassal.alive:
        return
    if draft.vassal.holds:
        draft.put(holds=False)
        draft.doings.append(Release())
    if draft.vassal.wanted is Wanted.GONE:
        draft.doings.append(Forget())


def _drain_all(draft: _Draft) -> None:
    for slot in SLOTS:
        draft.drive(slot, gen.Event.DRAIN)


def _start_anew(draft: _Draft) -> None:
    vassal = draft.vassal
    spec = vassal.proven if vassal.rejected and vassal.proven is not None else vassal.spec
    if spec is None or vassal.exhausted:
        return
    if vassal.retry_at is not None and draft.now < vassal.retry_at:
        return
    _spawn(draft, spec)


def _start_beside(draft: _Draft) -> None:
    if draft.vassal.spec is not None:
        _spawn(draft, draft.vassal.spec)


def _spawn(draft: _Draft, spec: VassalSpec) -> None:
    number = draft.vassal.last_number + 1
    mercy = min(spec.reload_mercy, MERCY_OF_OWNERS) if spec.authority.kind == OWNER else spec.reload_mercy
    patience = Patience(start=spec.start_timeout, drain=mercy)
    draft.put(
        incoming=gen.born(number, patience, draft.now),
        incoming_spec=spec,
        last_number=number,
        retry_at=None,
        reload_wanted=False,
        holds=True,
        last_word="",
    )
    draft.doings.append(Spawn(number, spec))
