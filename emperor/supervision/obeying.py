"""What orders do to a vassal's record.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from emperor.supervision import generation as gen
from emperor.supervision import rolling
from emperor.supervision.draft import SLOTS, Draft
from emperor.supervision.events import Order, Resize
from emperor.supervision.record import Wanted


def on_order(draft: Draft, event: Order) -> None:
    _OBEY[event.verb](draft, event)


def _start(draft: Draft, event: Order) -> None:
    vassal = draft.vassal
    if vassal.wanted is not Wanted.UP:
        draft.put(asleep=vassal.spec is not None and vassal.spec.on_demand)
    draft.put(wanted=Wanted.UP)
    _forgive(draft)


def _stop(draft: Draft, event: Order) -> None:
    # Without an ini it is forgotten when it has gone: stopped, it would be there for ever.
    wanted = Wanted.GONE if draft.vassal.wanted is Wanted.GONE else Wanted.DOWN
    draft.put(wanted=wanted, reload_wanted=False, restart_wanted=False, asleep=False, scaled=None)
    _forgive(draft)


def _restart(draft: Draft, event: Order) -> None:
    """At once, also for one that is asleep: who says restart wants to see it serve."""
    draft.put(wanted=Wanted.UP, restart_wanted=True, reload_wanted=False, rejected="", asleep=False)
    _forgive(draft)


def _remove(draft: Draft, event: Order) -> None:
    draft.put(wanted=Wanted.GONE, reload_wanted=False, restart_wanted=False, asleep=False)


def _kill(draft: Draft, event: Order) -> None:
    draft.put(roll=None)
    for slot in SLOTS:
        draft.drive(slot, gen.Event.KILL)


def _scale(draft: Draft, event: Order) -> None:
    rolling.finish(draft)
    spec = draft.vassal.proven or draft.vassal.spec
    patience = spec.start_timeout if spec is not None else 0.0
    draft.put(scaled=event.workers, scaled_by=draft.now + patience, crew=None)
    if draft.vassal.running and draft.vassal.serving is not None:
        draft.put(size=event.workers)
        draft.doings.append(Resize(draft.vassal.serving.number, event.workers))


def _forgive(draft: Draft) -> None:
    draft.put(failures=0, retry_at=None, exhausted=False)


_OBEY = {"start": _start, "stop": _stop, "restart": _restart, "remove": _remove, "kill": _kill, "scale": _scale}
