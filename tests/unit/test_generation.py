"""One generation: the table decides everything, and these are its decisions in words."""

from __future__ import annotations

import itertools

import pytest

from emperor.supervision import generation
from emperor.supervision.generation import TABLE, UNBORN, Action, Event, Generation, Patience, Phase

PATIENCE = Patience(start=60.0, drain=30.0)
BORN = 1000.0
PAIRS = list(itertools.product(Phase, Event))


def after(*events: Event, at: float = BORN + 1) -> Generation:
    """A generation to which these events happened."""
    one = generation.born(7, PATIENCE, BORN)
    for event in events:
        one, _ = generation.step(one, event, at)
    return one


REACHED = {
    Phase.STARTING: after(),
    Phase.READY: after(Event.READY),
    Phase.RETIRING: after(Event.READY, Event.RETIRE),
    Phase.DRAINING: after(Event.READY, Event.DRAIN),
    Phase.DEAD: after(Event.EXITED),
}


@pytest.mark.parametrize(("phase", "event"), PAIRS)
def test_every_pair_of_phase_and_event_is_decided(phase: Phase, event: Event) -> None:
    one = REACHED[phase]
    assert one.phase is phase
    then, actions = generation.step(one, event, BORN + 2)
    assert (then.phase, actions) == TABLE[phase, event]
    assert (then.number, then.born, then.patience) == (one.number, one.born, one.patience)


def test_the_table_has_no_row_beyond_the_pairs() -> None:
    assert set(TABLE) == set(PAIRS)


ORDER = [Phase.STARTING, Phase.READY, Phase.RETIRING, Phase.DRAINING, Phase.DEAD]


@pytest.mark.parametrize(("phase", "event"), PAIRS)
def test_no_event_leads_back_to_an_earlier_phase(phase: Phase, event: Event) -> None:
    assert ORDER.index(TABLE[phase, event][0]) >= ORDER.index(phase)


@pytest.mark.parametrize("event", Event)
def test_a_dead_generation_stays_dead_and_is_left_alone(event: Event) -> None:
    dead = REACHED[Phase.DEAD]
    assert generation.step(dead, event, BORN + 9) == (dead, ())


@pytest.mark.parametrize("phase", Phase)
def test_only_the_kernels_word_makes_a_generation_dead(phase: Phase) -> None:
    for event in Event:
        dead = TABLE[phase, event][0] is Phase.DEAD
        assert dead == (event is Event.EXITED or phase is Phase.DEAD)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.READY, Phase.RETIRING, Phase.DRAINING])
def test_a_living_generation_can_always_be_killed(phase: Phase) -> None:
    assert TABLE[phase, Event.KILL] == (Phase.DRAINING, (Action.KILL,))


def test_a_generation_is_born_starting_with_a_deadline() -> None:
    one = generation.born(7, PATIENCE, BORN)
    assert (one.number, one.phase, one.born, one.deadline) == (7, Phase.STARTING, BORN, BORN + 60)
    assert one.alive and not one.serving and not one.had_served and not one.late


def test_its_own_word_makes_it_serve_without_a_deadline() -> None:
    one = after(Event.READY, at=BORN + 3)
    assert (one.serving, one.had_served, one.ready_at, one.deadline) == (True, True, BORN + 3, None)


def test_its_word_said_twice_does_not_make_it_younger() -> None:
    once = after(Event.READY, at=BORN + 3)
    assert generation.step(once, Event.READY, BORN + 50) == (once, ())


@pytest.mark.parametrize("farewell", [Event.RETIRE, Event.DRAIN])
def test_a_late_word_does_not_call_a_leaving_generation_back(farewell: Event) -> None:
    leaving = after(Event.READY, farewell)
    assert generation.step(leaving, Event.READY, BORN + 9) == (leaving, ())


def test_a_generation_that_has_a_successor_retires() -> None:
    """It keeps idle connections open for a last request each; TERM would close them."""
    one, actions = generation.step(after(Event.READY), Event.RETIRE, BORN + 5)
    assert (one.phase, actions, one.deadline) == (Phase.RETIRING, (Action.RETIRE,), BORN + 35)
    assert one.alive and not one.serving


def test_a_generation_that_never_served_has_nothing_to_keep_open() -> None:
    assert TABLE[Phase.STARTING, Event.RETIRE] == TABLE[Phase.STARTING, Event.DRAIN]


def test_a_retiring_generation_can_be_hurried_without_a_new_deadline() -> None:
    one, actions = generation.step(after(Event.READY, Event.RETIRE), Event.DRAIN, BORN + 20)
    assert (one.phase, actions, one.deadline) == (Phase.DRAINING, (Action.TERM,), BORN + 31)


def test_one_that_has_not_served_is_waited_for_a_few_seconds_only() -> None:
    one, actions = generation.step(after(), Event.DRAIN, BORN + 1)
    assert (one.phase, actions, one.deadline) == (Phase.DRAINING, (Action.TERM,), BORN + 1 + UNBORN)
    hasty = generation.born(7, Patience(start=60.0, drain=1.0), BORN)
    assert generation.step(hasty, Event.DRAIN, BORN)[0].deadline == BORN + 1.0


def test_one_that_was_told_to_go_as_it_began_to_serve_may_finish_what_it_took() -> None:
    one = after(Event.DRAIN)
    one, actions = generation.step(one, Event.READY, BORN + 2)
    assert (one.phase, actions, one.deadline) == (Phase.DRAINING, (), BORN + 2 + PATIENCE.drain)
    assert generation.step(one, Event.READY, BORN + 9)[0] == one


def test_one_that_was_killed_is_waited_for_by_nobody_whatever_it_says() -> None:
    killed = after(Event.KILL)
    assert generation.step(killed, Event.DEADLINE, BORN + 2)[0].deadline is None
    gone = after(Event.DRAIN, Event.DEADLINE)
    assert generation.step(gone, Event.READY, BORN + 3)[0] == gone


def test_a_draining_generation_does_not_retire_any_more() -> None:
    draining = after(Event.READY, Event.DRAIN)
    assert generation.step(draining, Event.RETIRE, BORN + 9) == (draining, ())


def test_a_drain_is_asked_for_once_and_its_deadline_does_not_move() -> None:
    one, actions = generation.step(after(Event.READY), Event.DRAIN, BORN + 5)
    assert (actions, one.deadline) == ((Action.TERM,), BORN + 35)
    assert generation.step(one, Event.DRAIN, BORN + 20) == (one, ())


@pytest.mark.parametrize("farewell", [Event.RETIRE, Event.DRAIN])
def test_what_leaves_too_slowly_is_killed_once(farewell: Event) -> None:
    leaving = after(Event.READY, farewell)
    one, actions = generation.step(leaving, Event.DEADLINE, BORN + 31)
    assert (one.phase, actions, one.deadline) == (Phase.DRAINING, (Action.KILL,), None)


def test_a_start_that_takes_too_long_is_killed_and_remembered_as_late() -> None:
    one, actions = generation.step(after(), Event.DEADLINE, BORN + 60)
    assert (one.phase, actions, one.late, one.deadline) == (Phase.DRAINING, (Action.KILL,), True, None)
    assert not one.had_served


def test_a_generation_that_somebody_wants_to_end_is_not_late_any_more() -> None:
    """Its end is as ordered then, and no failure."""
    assert not after(Event.DEADLINE, Event.DRAIN).late


def test_a_generation_that_was_told_to_end_is_not_late_when_its_mercy_is_over() -> None:
    assert not after(Event.DRAIN, Event.DEADLINE).late
    assert not after(Event.READY, Event.RETIRE, Event.DEADLINE).late


def test_a_serving_generation_knows_no_deadline() -> None:
    ready = after(Event.READY)
    assert generation.step(ready, Event.DEADLINE, BORN + 9999) == (ready, ())


def test_a_dead_generation_remembers_that_it_had_served() -> None:
    one = after(Event.READY, Event.EXITED)
    assert (one.alive, one.had_served, one.deadline) == (False, True, None)
