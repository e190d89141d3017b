"""What is wanted of a vassal against what is: the one next step that brings them closer.

Asked after every event, so that nothing is lost of an order that came at a bad moment. The events themselves, and the
rules, are in ``supervision.vassal``.
"""

from __future__ import annotations

from emperor.model import OWNER, VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision import rolling
from emperor.supervision.draft import SLOTS, Draft
from emperor.supervision.events import Forget, Release, Spawn, Wake
from emperor.supervision.generation import Generation, Patience, Phase
from emperor.supervision.record import Wanted, cut_at, distrust, first_fatal, heard_at, hurried_at
from emperor.supervision.rolling import suits

MERCY_OF_OWNERS = 60.0
"""Seconds that an ini which its user wrote can hold up the emperor's own end."""


def settle(draft: Draft) -> None:
    """Ask for the next step, if there is one to be asked for."""
    if draft.vassal.wanted is not Wanted.UP or draft.vassal.restart_wanted:
        _call_off(draft)
    if draft.vassal.wanted is not Wanted.UP:
        _end(draft)
        return
    if draft.vassal.restart_wanted:
        _drain_all(draft)
        if draft.vassal.alive:
            return
        draft.put(restart_wanted=False)
    _make_way(draft)
    _heed_word(draft)
    if draft.vassal.asleep:
        _sleep(draft)
    elif draft.vassal.serving is None and draft.vassal.incoming is None:
        _start_anew(draft)
    elif draft.vassal.reload_wanted:
        _reload(draft)


def _call_off(draft: Draft) -> None:
    """Nobody rolls or sleeps that is to go."""
    draft.put(roll=None)
    if draft.vassal.heeds is not None:
        draft.put(heeds=None)
        draft.doings.append(Wake())


def _heed_word(draft: Draft) -> None:
    """It serves what is outdated."""
    vassal = draft.vassal
    at_rest = vassal.running and vassal.incoming is None and not vassal.reload_wanted
    if vassal.outdated and at_rest and draft.now >= heard_at(vassal):
        # What failed beside it was of older stuff.
        draft.put(reload_wanted=True, rejected="", error=first_fatal(vassal.problems))
        draft.put(misled=vassal.misled + 1, trusted_at=draft.now + distrust(vassal.misled + 1))


def _make_way(draft: Draft) -> None:
    """Who was told to go takes nobody new: its successor starts beside it, if it is one of two at most."""
    vassal = draft.vassal
    if vassal.serving is not None and vassal.serving.phase is Phase.DRAINING and vassal.outgoing is None:
        draft.put(outgoing=vassal.serving, serving=None)


def _sleep(draft: Draft) -> None:
    """Its sockets are open, and heeded; to open them is a short generation of its own, which may fail as any other."""
    vassal = draft.vassal
    if vassal.serving is not None:
        # It goes, and so does one before it.
        return
    if vassal.incoming is not None:
        if not vassal.binds:
            draft.drive("incoming", gen.Event.DRAIN)
    elif vassal.spec is None:
        if vassal.heeds is not None:
            draft.put(heeds=None)
            draft.doings.append(Wake())
        _let_go(draft)
    elif vassal.reload_wanted or vassal.heeds is None or vassal.heeds != vassal.choice:
        _start_anew(draft, binds=True)


def _reload(draft: Draft) -> None:
    vassal = draft.vassal
    if vassal.roll is not None:
        rolling.finish(draft)
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
    _let_go(draft)
    if draft.vassal.wanted is Wanted.GONE:
        draft.doings.append(Forget())


def _let_go(draft: Draft) -> None:
    if draft.vassal.holds and not draft.vassal.alive:
        draft.put(holds=False)
        draft.doings.append(Release())


def _drain_all(draft: Draft) -> None:
    for slot in SLOTS:
        draft.drive(slot, gen.Event.DRAIN)


def _start_anew(draft: Draft, binds: bool = False) -> None:
    vassal = draft.vassal
    if vassal.choice is None or vassal.exhausted:
        return
    if vassal.retry_at is not None and draft.now < vassal.retry_at:
        return
    _spawn(draft, vassal.choice, binds=binds)


def _start_beside(draft: Draft) -> None:
    vassal = draft.vassal
    if vassal.spec is not None:
        one_by_one = vassal.running and suits(vassal.proven, vassal.spec, vassal.crew_of(vassal.spec))
        _spawn(draft, vassal.spec, 1 if one_by_one else 0)


def _spawn(draft: Draft, spec: VassalSpec, few: int = 0, binds: bool = False) -> None:
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
        heeds=None,
        binds=binds,
        few=few,
        outdated=False,
    )
    draft.doings.append(Spawn(number, spec, few or draft.vassal.scaled or 0, binds))
