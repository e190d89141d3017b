"""One vassal's life, rule by rule: what is told to its record, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision.generation import Action, Phase
from emperor.supervision.vassal import Forget, Keep, Release, Signal, Spawn, Vassal, Wanted, next_deadline, state
from tests.unit.vassal_world import (
    BAD_LINE,
    MERCY,
    ONE,
    START_TIMEOUT,
    THREE,
    TWO,
    WARNING,
    World,
    app,
    reloading,
    running,
    starting,
)

RETIRE, TERM, KILL = Action.RETIRE, Action.TERM, Action.KILL


# The first start ---------------------------------------------------------------------------------------------------


def test_a_valid_ini_starts_generation_1() -> None:
    world = World()
    assert world.configure(ONE) == (Spawn(1, ONE),)
    assert (world.state, world.due) == ("STARTING", START_TIMEOUT)


def test_a_generation_that_says_it_serves_makes_the_vassal_running() -> None:
    world = starting()
    assert world.ready(1) == (Keep(ONE),)
    assert (world.state, world.due, world.record.proven) == ("RUNNING", None, ONE)


def test_a_vassal_whose_first_ini_is_bad_is_invalid_and_waits_for_nothing() -> None:
    world = World()
    assert world.misconfigure() == ()
    assert (world.state, world.record.error, world.due) == ("INVALID", str(BAD_LINE), None)


def test_an_ini_that_was_mended_starts() -> None:
    world = World()
    world.misconfigure()
    assert world.configure(ONE) == (Spawn(1, ONE),)
    assert (world.record.error, world.record.problems) == ("", ())


def test_warnings_are_kept_and_stop_nobody() -> None:
    world = World()
    world.configure(ONE, problems=(WARNING,))
    world.ready(1)
    assert (world.state, world.record.problems, world.record.error) == ("RUNNING", (WARNING,), "")


def test_a_bad_ini_can_be_stopped_and_removed() -> None:
    world = World()
    world.misconfigure()
    assert world.order("stop") == ()
    assert world.state == "STOPPED"
    assert world.order("remove") == (Forget(),)


# A start that fails ------------------------------------------------------------------------------------------------


def test_a_child_that_dies_before_it_serves_is_started_again_after_a_pause() -> None:
    world = starting()
    assert world.exit(1, "exited with code 3") == ()
    assert (world.state, world.record.error, world.due) == ("BACKOFF", "exited with code 3", 0.25)
    world.wait(0.2)
    assert not world.living
    world.wait(0.05)
    assert (list(world.living), world.state) == ([2], "STARTING")


def test_the_pause_grows_with_every_failure_and_luck_stretches_it() -> None:
    world = starting()
    pauses = []
    for number in range(1, 6):
        world.luck = 0.8 if number == 5 else 0.0
        world.exit(number)
        pauses.append(world.due)
        world.wait(world.due or 0)
    assert pauses == [0.25, 0.5, 1.0, 2.0, pytest.approx(4.8)]
    assert world.record.restarts == 5


def test_the_apps_own_last_word_is_the_reason() -> None:
    world = starting()
    world.complain(1, "ModuleNotFoundError: No module named 'blog'", "Traceback\nModuleNotFoundError")
    assert world.state == "STARTING"
    world.exit(1, "exited with code 70")
    assert world.record.error == "ModuleNotFoundError: No module named 'blog'"
    assert world.record.traceback == "Traceback\nModuleNotFoundError"
    exit = world.record.last_exit
    assert exit is not None and exit.reason == "exited with code 70"


def test_a_last_word_is_that_of_one_generation_only() -> None:
    world = starting()
    world.complain(1, "KeyError: 'DB'")
    world.exit(1)
    world.wait(0.25)
    world.exit(2, "killed by SIGKILL")
    assert (world.record.error, world.record.traceback) == ("killed by SIGKILL", "")


def test_a_start_that_works_at_last_clears_the_error() -> None:
    world = starting()
    world.complain(1, "KeyError: 'DB'")
    world.exit(1)
    world.wait(0.25)
    world.ready(2)
    assert (world.state, world.record.error, world.record.traceback) == ("RUNNING", "", "")


def test_a_start_that_takes_too_long_is_killed_and_counts_as_a_failure() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    assert (world.told(1), world.state) == ([KILL], "STARTING")
    world.exit(1, "killed by SIGKILL")
    assert (world.state, world.record.error) == ("BACKOFF", "start-timeout: not ready after 60 s")
    assert world.record.failures == 1


def test_a_word_that_comes_after_the_start_timeout_is_too_late() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    assert world.ready(1) == ()
    assert world.state == "STARTING"


def test_a_vassal_that_always_dies_at_once_is_started_at_most_20_times_in_ten_minutes() -> None:
    world = starting()
    until = world.now + 600
    while world.now < until:
        world.exit(world.record.last_number)
        world.wait(world.due or 0)
    assert 10 < len([when for when in world.started if when < until]) <= 20


def test_a_vassal_that_serves_for_a_moment_is_started_at_most_20_times_in_ten_minutes() -> None:
    world = starting()
    until = world.now + 600
    while world.now < until:
        world.ready(world.record.last_number)
        world.exit(world.record.last_number)
        world.wait(world.due or 0)
    assert 10 < len([when for when in world.started if when < until]) <= 20


# A crash -----------------------------------------------------------------------------------------------------------


def test_a_serving_generation_that_dies_is_restarted_at_once() -> None:
    world = running()
    assert world.exit(1, "killed by SIGSEGV") == (Spawn(2, ONE),)
    assert (world.state, world.record.error, world.record.restarts) == ("STARTING", "killed by SIGSEGV", 1)


def test_the_second_crash_in_a_row_waits() -> None:
    world = running()
    world.exit(1)
    world.ready(2)
    world.exit(2)
    assert (world.state, world.due) == ("BACKOFF", 0.5)


def test_a_while_of_service_lets_earlier_deaths_be_forgotten() -> None:
    world = running()
    for number in range(1, 5):
        world.wait(10.0)
        assert world.exit(number) == (Spawn(number + 1, ONE),)
        world.ready(number + 1)
    assert world.record.restarts == 4


def test_a_crash_closes_no_socket() -> None:
    world = running()
    world.exit(1)
    world.ready(2)
    world.exit(2)
    assert world.state == "BACKOFF" and world.sockets and world.releases == 0


def test_an_older_generation_that_retires_hinders_no_restart() -> None:
    world = reloading()
    world.ready(2)
    assert world.exit(2) == (Spawn(3, TWO),)
    assert (list(world.living), world.told(1), world.state) == ([1, 3], [RETIRE], "STARTING")


def test_a_crash_beside_a_generation_that_starts_needs_no_pause_of_its_own() -> None:
    world = running()
    world.exit(1)
    world.ready(2)
    world.configure(TWO)
    world.exit(2)
    assert (world.state, world.due, world.record.retry_at) == ("STARTING", START_TIMEOUT, None)


def test_a_retiring_generation_is_not_lost_when_the_one_after_its_successor_serves() -> None:
    world = reloading()
    world.ready(2)
    world.exit(2)
    assert world.ready(3) == (Keep(TWO),)
    assert [one.number for one in world.record.alive] == [3, 1]


def test_the_first_crash_after_a_while_of_service_counts_as_one() -> None:
    world = running()
    world.wait(10.0)
    world.exit(1)
    world.ready(2)
    world.exit(2)
    assert world.due == 0.5


def test_the_reason_of_a_crash_is_not_the_word_of_the_generation_that_starts() -> None:
    world = reloading()
    world.complain(2, "SyntaxError")
    world.exit(1, "killed by SIGKILL")
    assert world.record.error == "killed by SIGKILL"
    world.exit(2)
    assert world.record.error == "SyntaxError"


# max-restarts ------------------------------------------------------------------------------------------------------


def given_up() -> World:
    """max-restarts = 2, and three starts that failed."""
    world = starting(app("one", max_restarts=2))
    for number in (1, 2, 3):
        world.exit(number)
        world.wait(10)
    return world


def test_after_max_restarts_the_vassal_is_fatal_and_waits_for_nothing() -> None:
    world = given_up()
    assert (world.state, world.living, world.due) == ("FATAL", {}, None)
    assert world.record.error == "exited with code 1"


def test_up_to_max_restarts_it_is_started_again() -> None:
    world = starting(app("one", max_restarts=2))
    world.exit(1)
    world.wait(10)
    world.exit(2)
    world.wait(10)
    assert (list(world.living), world.state) == ([3], "STARTING")


def test_without_max_restarts_it_never_gives_up() -> None:
    world = starting()
    for number in range(1, 101):
        world.exit(number)
        assert world.state == "BACKOFF"
        world.wait(world.due or 0)


def test_service_between_the_crashes_keeps_a_vassal_from_being_fatal() -> None:
    world = running(app("one", max_restarts=1))
    for number in range(1, 5):
        world.wait(10)
        world.exit(number)
        world.ready(number + 1)
    assert world.state == "RUNNING"


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_an_order_brings_a_fatal_vassal_back(verb: str) -> None:
    world = given_up()
    world.order(verb)
    assert (world.state, world.record.failures) == ("STARTING", 0)


def test_touching_the_ini_brings_a_fatal_vassal_back() -> None:
    world = given_up()
    world.configure(app("one", max_restarts=2))
    assert (world.state, world.record.failures) == ("STARTING", 0)


# Backoff is cleared ------------------------------------------------------------------------------------------------


def in_backoff() -> World:
    world = starting()
    for number in (1, 2, 3, 4):
        world.exit(number)
        world.wait(world.due or 0)
    world.exit(5)
    assert (world.state, world.due) == ("BACKOFF", 4.0)
    return world


@pytest.mark.parametrize("reload", [True, False])
def test_touching_the_ini_clears_the_backoff(reload: bool) -> None:
    world = in_backoff()
    assert world.configure(ONE, reload) == (Spawn(6, ONE),)
    world.exit(6)
    assert world.due == 0.25


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_an_order_clears_the_backoff(verb: str) -> None:
    world = in_backoff()
    assert world.order(verb) == (Spawn(6, ONE),)
    world.exit(6)
    assert world.due == 0.25


def test_a_bad_ini_shows_itself_in_backoff_and_the_last_good_one_is_still_tried() -> None:
    world = in_backoff()
    assert world.misconfigure() == ()
    assert (world.state, world.record.error) == ("BACKOFF", str(BAD_LINE))
    world.wait(4)
    assert world.living[6].spec == ONE


# A bad ini beside a running vassal ---------------------------------------------------------------------------------


def test_a_bad_ini_leaves_a_running_vassal_running_and_is_shown() -> None:
    world = running()
    assert world.misconfigure() == ()
    assert (world.state, world.record.error, world.told(1)) == ("RUNNING", str(BAD_LINE), [])


def test_a_vassal_with_a_bad_ini_is_restarted_with_the_last_good_one_and_still_shows_the_bad_one() -> None:
    world = running()
    world.misconfigure()
    assert world.exit(1) == (Spawn(2, ONE),)
    world.ready(2)
    assert (world.state, world.record.error) == ("RUNNING", str(BAD_LINE))


def test_a_good_ini_after_a_bad_one_clears_the_error_and_reloads() -> None:
    world = running()
    world.misconfigure()
    assert world.configure(TWO) == (Spawn(2, TWO),)
    assert world.record.error == ""


def test_a_bad_ini_does_not_touch_a_generation_that_starts() -> None:
    world = reloading()
    world.misconfigure()
    assert world.told(2) == []
    world.ready(2)
    assert (world.state, world.record.error) == ("RUNNING", str(BAD_LINE))


# Reload ------------------------------------------------------------------------------------------------------------


def test_a_reload_starts_the_new_generation_beside_the_old_one() -> None:
    world = running()
    assert world.configure(TWO) == (Spawn(2, TWO),)
    assert (world.state, list(world.living), world.told(1)) == ("RELOADING", [1, 2], [])


def test_the_old_generation_retires_only_when_the_new_one_serves() -> None:
    world = reloading()
    assert world.ready(2) == (Signal(1, RETIRE), Keep(TWO))
    assert (world.state, world.record.proven) == ("RUNNING", TWO)
    world.exit(1, "exited with code 0")
    assert (world.state, list(world.living), world.record.restarts, world.record.error) == ("RUNNING", [2], 0, "")


def test_an_old_generation_that_does_not_end_is_killed_when_its_mercy_is_over() -> None:
    world = reloading()
    world.ready(2)
    world.wait(MERCY - 1)
    assert world.told(1) == [RETIRE]
    world.wait(1)
    assert (world.told(1), world.due) == ([RETIRE, KILL], None)


def test_a_reload_that_fails_leaves_the_old_generation_serving_with_its_sockets() -> None:
    world = reloading()
    world.complain(2, "SyntaxError: invalid syntax")
    assert world.exit(2) == (Keep(ONE),)
    assert (world.state, world.record.error, world.told(1)) == ("RUNNING", "SyntaxError: invalid syntax", [])
    assert (world.record.restarts, world.record.failures, world.due) == (0, 0, None)


def test_a_reload_that_takes_too_long_fails_alike() -> None:
    world = reloading()
    world.wait(START_TIMEOUT)
    assert world.told(2) == [KILL]
    world.exit(2, "killed by SIGKILL")
    assert (world.state, world.record.error) == ("RUNNING", "start-timeout: not ready after 60 s")


def test_what_was_rejected_is_not_tried_again_by_itself() -> None:
    world = reloading()
    world.exit(2)
    world.wait(3600)
    assert list(world.living) == [1]


def test_after_a_rejected_reload_a_crash_is_answered_with_what_served_last() -> None:
    world = reloading()
    world.exit(2, "exited with code 70")
    assert world.exit(1, "killed by SIGKILL") == (Spawn(3, ONE),)
    world.ready(3)
    assert (world.state, world.record.proven) == ("RUNNING", ONE)


def test_the_reason_of_a_rejection_is_shown_again_when_a_crash_has_been_answered() -> None:
    world = reloading()
    world.exit(2, "exited with code 70")
    world.exit(1, "killed by SIGKILL")
    assert (world.state, world.record.error) == ("STARTING", "killed by SIGKILL")
    world.ready(3)
    assert (world.state, world.record.error) == ("RUNNING", "exited with code 70")


def test_a_bad_ini_after_a_rejection_is_the_newer_news() -> None:
    world = reloading()
    world.exit(2, "exited with code 70")
    world.misconfigure()
    world.exit(1)
    world.ready(3)
    assert (world.record.proven, world.record.error) == (ONE, str(BAD_LINE))


def test_what_was_rejected_stays_rejected_when_only_the_inis_owner_or_mode_changes() -> None:
    world = reloading()
    world.exit(2, "SyntaxError")
    world.configure(TWO, reload=False)
    assert world.record.error == "SyntaxError"
    assert world.exit(1) == (Spawn(3, ONE),)


def test_another_ini_is_not_the_one_that_was_rejected() -> None:
    world = reloading()
    world.exit(2)
    world.configure(THREE, reload=False)
    assert world.record.error == ""
    assert world.exit(1) == (Spawn(3, THREE),)


def test_what_was_rejected_is_tried_again_when_the_ini_is_touched() -> None:
    world = reloading()
    world.exit(2)
    assert world.configure(TWO) == (Spawn(3, TWO),)
    assert (world.state, world.record.error) == ("RELOADING", "")


@pytest.mark.parametrize("reload", [True, False])
def test_what_was_rejected_is_tried_again_when_a_stopped_vassal_is_started(reload: bool) -> None:
    world = reloading()
    world.exit(2)
    world.order("stop")
    world.exit(1)
    world.configure(TWO, reload)
    assert world.order("start") == (Spawn(3, TWO),)


def test_what_was_rejected_is_tried_again_by_a_restart() -> None:
    world = reloading()
    world.exit(2)
    world.order("restart")
    assert world.exit(1) == (Spawn(3, TWO),)


def test_an_ini_whose_mode_alone_has_changed_replaces_nobody() -> None:
    world = running()
    assert world.configure(ONE, reload=False) == ()
    assert world.state == "RUNNING"


def test_a_reload_while_the_first_generation_starts_begins_anew_with_the_newest() -> None:
    world = starting()
    assert world.configure(TWO) == (Signal(1, TERM),)
    assert world.state == "STARTING"
    assert world.exit(1) == (Spawn(2, TWO),)
    assert (world.record.failures, world.record.error) == (0, "")


def test_many_reloads_while_a_generation_starts_are_one() -> None:
    world = reloading()
    assert world.configure(TWO) == (Signal(2, TERM),)
    assert world.configure(ONE) == ()
    assert world.configure(THREE) == ()
    assert world.told(1) == []
    assert world.exit(2) == (Spawn(3, THREE),)
    world.ready(3)
    assert (world.state, world.record.proven, world.record.error) == ("RUNNING", THREE, "")


def test_a_reload_while_an_older_generation_retires_hurries_it_and_waits_for_it() -> None:
    world = reloading()
    world.ready(2)
    assert world.configure(THREE) == (Signal(1, TERM),)
    assert world.configure(THREE) == ()
    assert (world.state, list(world.living), world.told(2)) == ("RUNNING", [1, 2], [])
    assert world.exit(1) == (Spawn(3, THREE),)


def test_a_reload_that_waits_is_not_taken_back_by_a_change_of_the_inis_mode() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.configure(THREE, reload=False)
    assert world.exit(1) == (Spawn(3, THREE),)


def test_a_reload_that_waits_is_taken_back_by_a_stop() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.order("stop")
    world.exit(1)
    assert world.order("start") == ()
    assert world.exit(2) == (Spawn(3, THREE),)


def test_a_reload_that_waits_is_taken_back_by_a_bad_ini() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.misconfigure()
    assert world.exit(1) == ()
    assert (world.state, world.record.error) == ("RUNNING", str(BAD_LINE))


def test_a_crash_of_the_old_generation_leaves_the_new_one_starting() -> None:
    world = reloading()
    assert world.exit(1) == ()
    assert world.state == "STARTING"
    world.ready(2)
    assert (world.state, world.record.proven) == ("RUNNING", TWO)


def test_a_reload_while_a_start_is_overdue_is_not_its_failure() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    world.configure(TWO)
    assert world.exit(1) == (Spawn(2, TWO),)
    assert (world.record.failures, world.record.error) == (0, "")


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


def test_start_after_stop_waits_for_the_drain_and_keeps_the_sockets() -> None:
    world = running()
    world.order("stop")
    assert (world.order("start"), world.state) == ((), "STOPPING")
    assert world.exit(1) == (Spawn(2, ONE),)
    assert world.releases == 0


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
    world.misconfigure()
    assert world.exit(1) == (Spawn(2, ONE),)
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
    with pytest.raises(AssertionError, match="dance"):
        running().order("dance")


# state() and next_deadline() ---------------------------------------------------------------------------------------


def test_a_leaving_generation_in_the_serving_slot_is_shown_as_stopping() -> None:
    world = running()
    world.order("restart")
    world.configure(TWO)
    assert (world.record.wanted, world.state) == (Wanted.UP, "STOPPING")


def test_a_paused_vassal_is_shown_as_backoff_beside_a_retiring_generation() -> None:
    world = reloading()
    world.ready(2)
    world.exit(2)
    world.exit(3)
    assert (list(world.living), world.state) == ([1], "BACKOFF")


def test_the_state_of_a_record_that_nobody_has_told_anything_is_invalid() -> None:
    assert state(Vassal("blog")) == "INVALID"


def test_the_next_deadline_is_the_earliest() -> None:
    world = reloading()
    world.ready(2)
    world.wait(1)
    world.exit(2)
    assert world.due == MERCY - 1, "the retiring one's, before the starting one's"
    world.exit(3)
    assert world.due == 0.5, "the pause, before the retiring one's"


def test_a_pause_is_no_deadline_for_a_vassal_that_is_not_wanted() -> None:
    record = replace(Vassal("blog"), retry_at=5.0)
    assert next_deadline(record) == 5.0
    assert next_deadline(replace(record, wanted=Wanted.GONE)) is None


def test_a_tick_before_its_time_changes_nothing() -> None:
    world = reloading()
    before = world.record
    world.wait(START_TIMEOUT - 1)
    assert world.record == before


def test_a_step_leaves_the_record_before_it_as_it_was() -> None:
    world = running()
    before = world.record
    world.order("stop")
    assert before.serving is not None and before.serving.phase is Phase.READY and before.wanted is Wanted.UP


def test_a_child_that_never_came_to_be_is_a_child_that_died() -> None:
    """The performer tells it as an exit without code or signal."""
    world = starting()
    last = world.exit(1, "/run/emperor/one.sock: bind: Address already in use")
    assert last == () and world.state == "BACKOFF"
    assert world.record.error == "/run/emperor/one.sock: bind: Address already in use"
