"""One vassal's life, rule by rule: stop, start, restart, kill; an ini that goes and returns; late words."""

from __future__ import annotations

import pytest

from emperor.supervision.events import Forget, Release, Signal, Spawn
from emperor.supervision.generation import Action
from emperor.supervision.record import Wanted
from tests.unit.vassal_world import (
    BAD_LINE,
    MERCY,
    ONE,
    START_TIMEOUT,
    THREE,
    TWO,
    World,
    given_up,
    in_backoff,
    reloading,
    running,
    starting,
)

TERM, KILL = Action.TERM, Action.KILL


# Stop --------------------------------------------------------------------------------------------------------------


def test_stop_drains_a_running_vassal_and_lets_its_sockets_go() -> None:
    world = running()
    assert world.order("stop") == (Signal(1, TERM),)
    assert (world.state, world.due) == ("STOPPING", MERCY)
    assert world.exit(1, "exited with code 0") == (Release(),)
    assert (world.state, world.due, world.record.error, world.record.restarts) == ("STOPPED", None, "", 0)


def test_stop_ends_a_start() -> None:
    world = starting()
    assert world.order("stop") == (Signal(1, TERM),)
    assert world.exit(1) == (Release(),)
    assert (world.state, world.record.failures) == ("STOPPED", 0)


def test_stop_ends_a_start_that_is_overdue_without_a_failure() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    world.order("stop")
    assert world.exit(1) == (Release(),)
    assert (world.state, world.record.failures, world.record.retry_at) == ("STOPPED", 0, None)


def test_stop_ends_both_generations_of_a_reload() -> None:
    world = reloading()
    assert world.order("stop") == (Signal(1, TERM), Signal(2, TERM))
    assert world.exit(2) == ()
    assert world.exit(1) == (Release(),)


def test_stop_hurries_a_retiring_generation() -> None:
    world = reloading()
    world.ready(2)
    assert world.order("stop") == (Signal(2, TERM), Signal(1, TERM))
    world.exit(2)
    assert (world.state, world.exit(1)) == ("STOPPING", (Release(),))


def test_stop_ends_a_backoff() -> None:
    world = in_backoff()
    assert world.order("stop") == (Release(),)
    assert (world.state, world.due, world.record.retry_at) == ("STOPPED", None, None)


def test_stop_is_how_a_fatal_vassal_lets_its_sockets_go() -> None:
    world = given_up()
    assert world.order("stop") == (Release(),)
    assert world.state == "STOPPED"


def test_a_vassal_that_does_not_stop_is_killed_when_its_mercy_is_over() -> None:
    world = running()
    world.order("stop")
    world.wait(MERCY)
    assert (world.told(1), world.state, world.due) == ([TERM, KILL], "STOPPING", None)


def test_a_second_stop_asks_nobody_again() -> None:
    world = running()
    world.order("stop")
    assert world.order("stop") == ()
    world.exit(1)
    assert world.order("stop") == ()


def test_a_stopped_vassal_stays_stopped_when_its_ini_is_touched() -> None:
    world = running()
    world.order("stop")
    world.exit(1)
    assert (world.configure(TWO), world.state) == ((), "STOPPED")
    world.misconfigure()
    assert world.state == "STOPPED"
    world.configure(THREE)
    assert world.order("start") == (Spawn(2, THREE),)


def test_a_stopping_vassal_stays_stopped_when_its_ini_is_touched() -> None:
    world = running()
    world.order("stop")
    world.configure(TWO)
    assert world.exit(1) == (Release(),)
    assert world.state == "STOPPED"


def test_a_word_that_it_serves_does_not_call_a_stopped_start_back() -> None:
    world = starting()
    world.order("stop")
    assert (world.ready(1), world.state) == ((), "STOPPING")


# Start and restart -------------------------------------------------------------------------------------------------


def test_start_changes_nothing_for_a_running_vassal() -> None:
    world = running()
    before = world.record
    assert world.order("start") == ()
    assert world.record == before


def test_start_changes_nothing_for_a_vassal_that_starts() -> None:
    world = starting()
    assert world.order("start") == ()
    assert world.told(1) == []


def test_start_after_stop_starts_beside_what_drains_and_keeps_the_sockets() -> None:
    world = running()
    world.order("stop")
    assert (world.order("start"), world.state) == ((Spawn(2, ONE),), "STARTING")
    world.ready(2)
    assert (world.state, world.told(1), world.told(2)) == ("RUNNING", [TERM], [])
    world.exit(1)
    assert (world.state, world.record.restarts, world.releases) == ("RUNNING", 0, 0)


def test_what_drains_as_another_starts_has_no_more_time_than_it_had() -> None:
    world = running()
    world.order("stop")
    world.wait(1)
    world.order("start")
    world.ready(2)
    assert world.due == MERCY - 1
    world.wait(MERCY - 1)
    assert world.told(1) == [TERM, KILL]


def test_start_after_stop_waits_for_one_of_two_that_drain() -> None:
    for first, second in ((1, 2), (2, 1)):
        world = reloading()
        world.ready(2)
        world.order("stop")
        assert world.order("start") == ()
        assert world.exit(first) == (Spawn(3, TWO),)
        world.ready(3)
        world.exit(second)
        assert (world.state, list(world.living)) == ("RUNNING", [3])


def test_start_after_stop_fails_as_any_start_does() -> None:
    world = running()
    world.order("stop")
    world.order("start")
    world.exit(2, "exited with code 70")
    assert (world.state, world.due, world.record.error) == ("BACKOFF", 0.25, "exited with code 70")
    world.wait(0.25)
    assert list(world.living) == [1, 3]


def test_stop_and_start_again_and_again_are_never_three_at_a_time() -> None:
    world = running()
    for _ in range(3):
        world.order("stop")
        world.order("start")
    assert (list(world.living), world.told(2)) == ([1, 2], [TERM])
    assert world.exit(2) == (Spawn(3, ONE),)


def test_restart_drains_first_and_starts_the_newest_then() -> None:
    world = running()
    assert world.order("restart") == (Signal(1, TERM),)
    assert world.state == "STOPPING"
    assert world.exit(1) == (Spawn(2, ONE),)
    assert (world.record.restarts, world.record.failures, world.releases) == (0, 0, 0)


def test_restart_waits_for_every_generation() -> None:
    world = reloading()
    world.ready(2)
    assert world.order("restart") == (Signal(2, TERM), Signal(1, TERM))
    assert world.exit(2) == ()
    assert world.exit(1) == (Spawn(3, TWO),)


def test_restart_of_a_start_begins_anew() -> None:
    world = starting()
    world.order("restart")
    assert world.exit(1) == (Spawn(2, ONE),)


def test_restart_starts_a_stopped_vassal() -> None:
    world = running()
    world.order("stop")
    world.exit(1)
    assert world.order("restart") == (Spawn(2, ONE),)


def test_a_reload_during_a_restart_is_part_of_it() -> None:
    world = running()
    world.order("restart")
    assert world.configure(TWO) == ()
    assert world.exit(1) == (Spawn(2, TWO),)
    world.ready(2)
    assert (world.state, list(world.living)) == ("RUNNING", [2])


def test_stop_takes_a_restart_back() -> None:
    world = running()
    world.order("restart")
    world.order("stop")
    assert world.exit(1) == (Release(),)


# Removal -----------------------------------------------------------------------------------------------------------


def test_a_removed_ini_ends_the_vassal_its_sockets_and_its_record() -> None:
    world = running()
    assert world.order("remove") == (Signal(1, TERM),)
    assert world.state == "STOPPING"
    assert world.exit(1) == (Release(), Forget())
    assert (world.forgotten, world.sockets) == (1, False)


def test_stop_of_a_vassal_whose_ini_was_removed_leaves_no_ghost() -> None:
    world = running()
    world.order("remove")
    assert world.order("stop") == ()
    assert world.state == "STOPPING"
    assert world.exit(1) == (Release(), Forget())


def test_a_removed_vassal_in_backoff_is_forgotten_at_once() -> None:
    assert in_backoff().order("remove") == (Release(), Forget())


def test_a_stopped_vassal_has_nothing_left_to_release_when_its_ini_is_removed() -> None:
    world = running()
    world.order("stop")
    world.exit(1)
    assert world.order("remove") == (Forget(),)


def test_an_ini_that_returns_while_its_vassal_drains_starts_a_successor_beside_it() -> None:
    world = running()
    world.order("remove")
    assert world.configure(TWO) == (Spawn(2, TWO),)
    world.ready(2)
    world.exit(1)
    assert (world.state, world.releases, world.forgotten) == ("RUNNING", 0, 0)


def test_an_ini_that_returns_while_a_start_is_called_off_starts_it_anew() -> None:
    world = starting()
    world.order("remove")
    assert world.configure(ONE) == ()
    assert world.exit(1) == (Spawn(2, ONE),)


def test_an_ini_that_returns_bad_leaves_the_last_good_one_in_force() -> None:
    world = running()
    world.order("remove")
    assert world.misconfigure() == (Spawn(2, ONE),)
    world.exit(1)
    world.ready(2)
    assert (world.state, world.record.error) == ("RUNNING", str(BAD_LINE))


def test_a_vassal_stopped_by_an_order_runs_when_its_ini_was_removed_and_made_again() -> None:
    world = running()
    world.order("stop")
    world.order("remove")
    world.configure(ONE)
    assert world.record.wanted is Wanted.UP


# Late words, and the end by force -----------------------------------------------------------------------------------


def test_words_of_generations_that_are_not_there_are_dropped() -> None:
    world = running()
    world.exit(1)
    world.ready(2)
    before = world.record
    for number in (0, 1, 3):
        assert world.ready(number) == ()
        assert world.complain(number, "lies") == ()
        assert world.exit(number, "lies") == ()
    assert world.record == before


def test_the_news_of_a_death_counts_once() -> None:
    world = starting()
    world.exit(1)
    once = world.record
    world.exit(1)
    assert world.record == once


def test_a_serving_generation_that_says_it_fails_is_not_believed() -> None:
    world = running()
    before = world.record
    world.complain(1, "lies")
    assert world.record == before


def test_a_serving_generations_lies_are_not_the_word_of_the_one_that_starts() -> None:
    world = reloading()
    world.complain(1, "lies")
    world.exit(2, "exited with code 70")
    assert world.record.error == "exited with code 70"


def test_a_retiring_generations_word_that_it_serves_changes_nothing() -> None:
    world = reloading()
    world.ready(2)
    before = world.record
    assert world.ready(1) == ()
    assert world.record == before


def test_kill_ends_every_generation_at_once() -> None:
    world = reloading()
    assert world.order("kill") == (Signal(1, KILL), Signal(2, KILL))


def test_kill_hurries_what_drains() -> None:
    world = running()
    world.order("remove")
    assert world.order("kill") == (Signal(1, KILL),)
    assert world.exit(1, "killed by SIGKILL") == (Release(), Forget())


def test_kill_of_nobody_is_nothing() -> None:
    assert World().order("kill") == ()


def test_an_unknown_order_is_a_bug() -> None:
    with pytest.raises(KeyError, match="dance"):
        running().order("dance")
