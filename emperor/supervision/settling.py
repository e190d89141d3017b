"""What is wanted of a vassal against what is: the one next step that brings them closer.

Asked after every event, so that nothing is lost of an order that came at a bad moment. The events themselves, and the
rules, are in ``supervision.vassal``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

from emperor.model import OWNER, VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision.generation import Generation, Patience, Phase
from emperor.supervision.record import (
    Doing,
    Forget,
    Release,
    Signal,
    Spawn,
    Vassal,
    Wanted,
    cut_at,
    hurried_at,
)

MERCY_OF_OWNERS = 60.0
"""Seconds that an ini which its user wrote can hold up the emperor's own end."""

SLOTS = ("serving", "incoming", "outgoing")


@dataclass
class Draft:
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


def settle(draft: Draft) -> None:
    """Ask for the next step, if there is one to be asked for."""
    if draft.vassal.wanted is not Wanted.UP:
        _end(draft)
        return
    if draft.vassal.restart_wanted:
        _drain_all(draft)
        if draft.vassal.alive:
            return
        draft.put(restart_wanted=False)
    _make_way(draft)
    if draft.vassal.serving is None and draft.vassal.incoming is None:
        _start_anew(draft)
    elif draft.vassal.reload_wanted:
        _reload(draft)


def _make_way(draft: Draft) -> None:
    """Who was told to go takes nobody new: its successor starts beside it, if it is one of two at most."""
    vassal = draft.vassal
    if vassal.serving is not None and vassal.serving.phase is Phase.DRAINING and vassal.outgoing is None:
        draft.put(outgoing=vassal.serving, serving=None)


def _reload(draft: Draft) -> None:
    vassal = draft.vassal
    if vassal.incoming is not None:
        _overtake(draft, vassal.incoming)
    elif vassal.outgoing is None:
        _start_beside(draft)
    elif draft.now >= hurried_at(vassal.outgoing):
        # Two at a time: the oldest is not waited for longer than its requests in flight need.
        draft.drive("outgoing", gen.Event.DRAIN)


def _overtake(draft: Draft, incoming: Generation) -> None:
    """It starts from what is already old news; but somebody has to become ready one day."""
    if incoming.phase is not Phase.STARTING:
        draft.drive("incoming", gen.Event.DRAIN)
    elif draft.now >= cut_at(incoming, draft.vassal.cut_short):
        draft.drive("incoming", gen.Event.DRAIN)
        draft.put(cut_short=draft.vassal.cut_short + 1)


def _end(draft: Draft) -> None:
    _drain_all(draft)
    if draft.vassal.alive:
        return
    if draft.vassal.holds:
        draft.put(holds=False)
        draft.doings.append(Release())
    if draft.vassal.wanted is Wanted.GONE:
        draft.doings.append(Forget())


def _drain_all(draft: Draft) -> None:
    for slot in SLOTS:
        draft.drive(slot, gen.Event.DRAIN)


def _start_anew(draft: Draft) -> None:
    vassal = draft.vassal
    spec = vassal.proven if vassal.rejected and vassal.proven is not None else vassal.spec
    if spec is None or vassal.exhausted:
        return
    if vassal.retry_at is not None and draft.now < vassal.retry_at:
        return
    _spawn(draft, spec)


def _start_beside(draft: Draft) -> None:
    if draft.vassal.spec is not None:
        _spawn(draft, draft.vassal.spec)


def _spawn(draft: Draft, spec: VassalSpec) -> None:
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
