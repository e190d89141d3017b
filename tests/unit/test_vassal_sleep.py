"""A vassal that sleeps: its sockets are open, the first connection starts it, after a while without one it sleeps."""

from __future__ import annotations

import pytest

from emperor.supervision.events import Called, Outdated
from emperor.supervision.generation import Action
from emperor.supervision.outcome import Ticket, outcome
from tests.unit.vassal_world import BAD_LINE, START_TIMEOUT, World, app

LAZY = app("lazy", on_demand=True, idle=60.0, py_autoreload=1.0)
OTHER = app("other", on_demand=True, idle=60.0, py_autoreload=1.0)
EAGER = app("eager", idle=60.0)


def asleep() -> World:
    """Generation 1 has opened its sockets."""
    world = World()
    world.configure(LAZY)
    world.bound(1)
    return world


def awake() -> World:
    """Somebody has connected, and generation 2 serves."""
    world = asleep()
    world.call()
    world.ready(2)
    return world


def test_on_demand_opens_its_sockets_and_starts_nothing() -> None:
    world = World()
    world.configure(LAZY)
    assert world.living[1].binds and world.state == "STARTING"
    world.bound(1)
    assert (world.state, world.living, world.heeding, world.due) == ("IDLE", {}, True, None)
    assert world.kept == LAZY and world.record.last_exit is None and world.record.restarts == 0


def test_the_first_connection_starts_it() -> None:
    world = asleep()
    world.call()
    assert not world.living[2].binds and (world.state, world.heeding) == ("STARTING", False)
    world.ready(2)
    assert world.state == "RUNNING"


def test_a_connection_that_nobody_heeds_any_more_changes_nothing() -> None:
    world = awake()
    before = world.record
    world.tell(Called())
    assert world.record == before


def test_what_is_tired_retires_and_whoever_connects_meanwhile_starts_the_next_one() -> None:
    world = awake()
    world.wait(60)
    world.tire(2)
    assert world.state == "IDLE" and world.told(2) == [Action.RETIRE] and world.heeding
    world.call()
    assert world.state == "STARTING" and world.record.outgoing is not None
    world.exit(2)
    world.ready(3)
    assert world.state == "RUNNING" and world.record.restarts == 0


def test_a_word_of_being_tired_counts_by_our_own_clock_only() -> None:
    world = awake()
    world.wait(59)
    world.tire(2)
    assert world.state == "RUNNING" and world.told(2) == []


@pytest.mark.parametrize("number", [1, 3])
def test_of_nobody_else_the_word_counts(number: int) -> None:
    world = awake()
    world.wait(60)
    world.tire(number)
    assert world.state == "RUNNING"


def test_idle_alone_starts_at_once_and_sleeps_later() -> None:
    world = World()
    world.configure(EAGER)
    assert not world.living[1].binds
    world.ready(1)
    world.wait(60)
    world.tire(1)
    world.exit(1, "exited with code 0")
    assert (world.state, world.living) == ("IDLE", {})
    world.call()
    world.ready(2)
    assert world.state == "RUNNING"


def test_without_idle_nobody_is_ever_tired() -> None:
    world = World()
    world.configure(app("plain"))
    world.ready(1)
    world.wait(3600)
    world.tire(1)
    assert world.state == "RUNNING"


def test_sockets_that_cannot_be_opened_are_tried_again_after_a_pause() -> None:
    world = World()
    world.configure(LAZY)
    world.exit(1, "bind: Address already in use")
    assert (world.state, world.record.error) == ("BACKOFF", "bind: Address already in use")
    world.wait(world.due or 0)
    world.bound(2)
    assert (world.state, world.record.error) == ("IDLE", "")


def test_one_that_binds_for_ever_is_ended() -> None:
    world = World()
    world.configure(LAZY)
    world.wait(START_TIMEOUT)
    assert world.told(1) == [Action.KILL]
    world.exit(1, "killed by SIGKILL")
    assert world.state == "BACKOFF" and "start-timeout" in world.record.error


def test_an_app_that_does_not_start_is_tried_again_for_whoever_waits() -> None:
    world = asleep()
    world.call()
    world.exit(2)
    assert world.state == "BACKOFF"
    world.wait(world.due or 0)
    assert not world.living[3].binds


def test_a_changed_ini_opens_what_it_names_and_sleeps_on() -> None:
    world = asleep()
    world.configure(OTHER)
    assert world.living[2].binds and world.living[2].spec == OTHER and not world.heeding
    world.bound(2)
    assert (world.state, world.kept, world.heeding) == ("IDLE", OTHER, True)


def test_an_ini_that_changes_while_sockets_are_opened_has_its_own_opened_next() -> None:
    world = World()
    world.configure(LAZY)
    world.configure(OTHER)
    world.bound(1)
    assert world.living[2].spec == OTHER and world.living[2].binds
    world.bound(2)
    assert world.state == "IDLE" and world.kept == OTHER


def test_without_on_demand_it_starts_at_once() -> None:
    world = asleep()
    world.configure(app("plain"))
    assert not world.living[2].binds and world.state == "STARTING"


def test_a_bad_ini_leaves_the_old_one_asleep_and_is_shown() -> None:
    world = asleep()
    world.misconfigure()
    assert world.state == "IDLE" and world.record.error == str(BAD_LINE)
    world.call()
    assert world.living[2].spec == LAZY


def test_a_stop_closes_its_sockets_and_a_start_lets_it_sleep_again() -> None:
    world = asleep()
    world.order("stop")
    assert (world.state, world.sockets, world.heeding) == ("STOPPED", False, False)
    world.order("start")
    world.bound(2)
    assert world.state == "IDLE"


def test_a_restart_wakes_it() -> None:
    world = asleep()
    before = world.record
    world.order("restart")
    assert not world.living[2].binds
    world.ready(2)
    assert outcome(Ticket("restart", before), world.record) == (True, "restarted")


def test_start_and_reload_of_one_that_sleeps_are_done_at_once_and_say_so() -> None:
    world = asleep()
    before = world.record
    world.order("start")
    assert outcome(Ticket("start", before), world.record) == (True, "asleep: the next connection starts it")
    world.configure(LAZY)
    assert outcome(Ticket("reload", before), world.record) is None
    world.bound(2)
    assert outcome(Ticket("reload", before), world.record) == (True, "asleep: the next connection starts it")


def test_a_removed_ini_leaves_nothing() -> None:
    world = asleep()
    world.order("remove")
    assert world.vassal is None and not world.sockets


def test_one_that_binds_never_serves_whatever_it_says() -> None:
    world = World()
    world.configure(LAZY)
    world.ready(1)
    assert world.record.serving is None


def test_what_its_app_is_made_of_has_changed() -> None:
    world = awake()
    world.wait(5)
    world.tell(Outdated(1))
    assert world.state == "RUNNING"
    world.tell(Outdated(2))
    assert world.state == "RELOADING"
    world.exit(3)
    assert world.state == "RUNNING" and world.record.error
    world.tell(Outdated(2))
    world.wait(1)
    world.ready(4)
    assert (world.state, world.record.error) == ("RUNNING", "")


def test_its_own_word_ends_nobody_who_has_just_begun_to_serve_but_is_not_forgotten() -> None:
    world = awake()
    world.wait(0.9)
    world.tell(Outdated(2))
    assert world.state == "RUNNING" and world.due is not None
    world.wait(0.2)
    assert world.state == "RELOADING"
    world.ready(3)
    world.exit(2)
    assert world.state == "RUNNING" and world.due is None


def test_who_falls_asleep_at_once_has_served_for_a_second() -> None:
    world = World()
    world.configure(app("hasty", idle=0.001))
    world.ready(1)
    world.wait(0.5)
    world.tire(1)
    assert world.state == "RUNNING"
    world.wait(0.5)
    world.tire(1)
    assert world.state == "IDLE"


def test_the_word_of_one_that_nobody_told_to_look_means_nothing() -> None:
    world = World()
    world.configure(EAGER)
    world.ready(1)
    world.wait(5)
    world.tell(Outdated(1))
    assert world.state == "RUNNING" and world.due is None


def test_what_changes_while_the_next_one_starts_does_not_end_that_start() -> None:
    """It looks itself whether what it has read is still so, once it serves; an app that writes its own files would
    never come up."""
    world = awake()
    world.wait(5)
    world.tell(Outdated(2))
    world.tell(Outdated(2))
    assert world.told(3) == [] and world.state == "RELOADING"
    world.ready(3)
    world.exit(2)
    assert world.state == "RUNNING" and world.due is None


def test_what_changes_while_the_next_one_fails_is_tried_a_second_later() -> None:
    world = awake()
    world.wait(5)
    world.tell(Outdated(2))
    world.tell(Outdated(2))
    world.exit(3)
    assert world.state == "RUNNING" and world.due == pytest.approx(1.0)
    world.wait(1)
    assert world.state == "RELOADING"


def test_words_that_lead_to_nothing_again_and_again_are_heeded_ever_more_seldom() -> None:
    world, starts = awake(), 0
    world.wait(5)
    end = world.now + 600
    while world.now < end:
        world.tell(Outdated(2))
        if world.record.incoming is not None:
            starts += 1
            world.exit(world.record.last_number)
        else:
            world.wait(0.5)
    assert starts < 30
    world.configure(LAZY)
    world.ready(world.record.last_number)
    world.exit(2)
    world.wait(1)
    world.tell(Outdated(world.record.last_number))
    assert world.state == "RELOADING"


def test_sockets_of_a_newer_ini_that_cannot_be_opened_leave_the_older_ones_open() -> None:
    world = asleep()
    world.configure(OTHER)
    world.exit(2, "bind: a file is in its way")
    assert world.record.error == "bind: a file is in its way"
    world.wait(world.due or 0)
    world.bound(3)
    assert (world.state, world.kept) == ("IDLE", LAZY) and world.record.error
    world.call()
    assert world.living[4].spec == LAZY
    world.exit(4)
    world.wait(world.due or 0)
    assert world.living[5].spec == OTHER, "what never served is no better than the newer one"
