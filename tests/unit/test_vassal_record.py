"""One vassal's life, rule by rule: starts, failures, crashes, and what is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision.events import Forget, Keep, Spawn
from emperor.supervision.generation import Action, Phase
from emperor.supervision.record import Vassal, Wanted, next_deadline, state
from tests.unit.vassal_world import (
    BAD_LINE,
    MERCY,
    MORNING,
    ONE,
    START_TIMEOUT,
    TWO,
    WARNING,
    World,
    reloading,
    running,
    starting,
)

RETIRE, KILL = Action.RETIRE, Action.KILL


def put_off() -> World:
    """Generation 1 serves, 3 starts beside it, and when that serves it will be reloaded."""
    world = reloading()
    world.configure(TWO)
    world.exit(2)
    world.configure(TWO)
    return world


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


@pytest.mark.parametrize("importing", [0.1, 4.9, 5.1, 9.0, 13.9])
def test_deaths_that_are_15_seconds_apart_are_each_answered_at_once(importing: float) -> None:
    """However much of them its start takes."""
    world = running()
    for number in range(1, 50):
        world.wait(15 - importing)
        assert world.exit(number) == (Spawn(number + 1, ONE),)
        world.wait(importing)
        world.ready(number + 1)


def test_a_long_import_alone_does_not_let_earlier_deaths_be_forgotten() -> None:
    world, pauses = running(), []
    for number in range(1, 5):
        world.exit(number)
        pauses.append(world.due if world.state == "BACKOFF" else 0)
        world.wait(pauses[-1] or 0)
        world.wait(30)
        world.ready(number + 1)
    assert pauses == [0, 0.5, 1.0, 2.0]


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


def test_a_second_crash_beside_a_generation_that_starts_is_no_deadline_that_nobody_meets() -> None:
    """It starts already: there is nothing to wait for, and a deadline that has passed is told again and again."""
    world = put_off()
    world.exit(1)
    world.ready(3)
    assert list(world.living) == [3, 4]
    world.exit(3)
    assert (world.state, world.due, world.record.retry_at) == ("STARTING", START_TIMEOUT, None)
    world.wait(START_TIMEOUT)
    world.exit(4)
    assert (world.state, world.due) == ("BACKOFF", 1.0)


def test_a_pause_is_no_deadline_while_somebody_starts_or_serves() -> None:
    """Whoever wrote the record."""
    for world in (starting(), running()):
        record = replace(world.record, retry_at=MORNING - 1)
        assert next_deadline(record) == next_deadline(world.record)


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
