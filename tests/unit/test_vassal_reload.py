"""One vassal's life, rule by rule: new inis, good and bad ones, beside a generation that serves."""

from __future__ import annotations

import pytest

from emperor.supervision.events import Keep, Signal, Spawn
from emperor.supervision.generation import Action
from emperor.supervision.record import HURRY
from tests.unit.vassal_world import (
    BAD_LINE,
    MERCY,
    ONE,
    START_TIMEOUT,
    THREE,
    TWO,
    reloading,
    running,
    starting,
)

RETIRE, TERM, KILL = Action.RETIRE, Action.TERM, Action.KILL


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


@pytest.mark.parametrize("verb", ["", "start"])
def test_what_was_rejected_stays_rejected_while_what_served_before_starts_again(verb: str) -> None:
    """An order reads the ini again, and so does a change of its mode."""
    world = reloading()
    world.exit(2, "SyntaxError")
    world.exit(1, "killed by SIGKILL")
    assert world.configure(TWO, reload=False) == ()
    if verb:
        world.order(verb)
    assert world.record.error == "SyntaxError"
    world.ready(3)
    assert (world.state, world.record.proven, world.record.error) == ("RUNNING", ONE, "SyntaxError")


def test_what_was_rejected_is_tried_once_what_served_before_serves_again_and_the_ini_was_touched() -> None:
    world = reloading()
    world.exit(2, "SyntaxError")
    world.exit(1)
    assert world.configure(TWO) == (Signal(3, TERM),)
    assert world.exit(3) == (Spawn(4, TWO),)


def test_another_ini_is_not_the_one_that_was_rejected() -> None:
    world = reloading()
    world.exit(2)
    assert world.configure(THREE, reload=False) == (Spawn(3, THREE),)
    assert world.record.error == ""


def test_what_was_rejected_does_not_end_the_start_of_what_served_last() -> None:
    world = reloading()
    world.exit(2)
    assert world.exit(1) == (Spawn(3, ONE),)
    assert world.configure(TWO, reload=False) == ()


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
    assert world.configure(THREE) == ()
    world.wait(HURRY - 0.1)
    assert world.told(1) == [RETIRE]
    world.wait(0.1)
    assert world.told(1) == [RETIRE, TERM]
    assert world.configure(THREE) == ()
    assert (world.state, list(world.living), world.told(2)) == ("RUNNING", [1, 2], [])
    assert world.exit(1) == (Spawn(3, THREE),)


def test_an_older_generation_that_has_retired_for_a_while_is_hurried_at_once() -> None:
    world = reloading()
    world.ready(2)
    world.wait(HURRY)
    assert world.told(1) == [RETIRE]
    assert world.configure(THREE) == (Signal(1, TERM),)


def test_a_start_that_is_nearly_overdue_and_then_ready_has_no_error() -> None:
    world = reloading()
    world.complain(2, "hangs at /srv/app.py:3 in connect")
    world.ready(2)
    assert (world.state, world.record.error, world.record.traceback) == ("RUNNING", "", "")
    world.exit(2, "killed by SIGKILL")
    assert world.record.error == "killed by SIGKILL"


def test_a_start_that_is_overdue_says_where_it_hangs() -> None:
    world = reloading()
    world.complain(2, "hangs at /srv/app.py:3 in connect")
    world.wait(START_TIMEOUT)
    world.exit(2)
    limit = f"{START_TIMEOUT:g}"
    assert world.record.error == f"start-timeout: not ready after {limit} s: hangs at /srv/app.py:3 in connect"


def test_a_reload_that_waits_is_not_taken_back_by_a_change_of_the_inis_mode() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.configure(THREE, reload=False)
    assert world.exit(1) == (Spawn(3, THREE),)


def test_an_order_that_finds_another_ini_than_the_one_that_serves_is_a_reload_too() -> None:
    world = running()
    assert world.configure(TWO, reload=False) == (Spawn(2, TWO),)
    assert world.configure(TWO, reload=False) == ()


def test_an_ini_that_is_good_again_is_the_reload_that_the_bad_one_had_called_off() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.misconfigure()
    world.configure(THREE, reload=False)
    assert world.exit(1) == (Spawn(3, THREE),)


def test_an_ini_that_is_good_again_is_tried_although_its_start_was_called_off() -> None:
    world = reloading()
    world.configure(TWO)
    world.misconfigure()
    world.configure(TWO, reload=False)
    assert world.exit(2) == (Spawn(3, TWO),)


def test_a_start_that_is_overdue_is_not_tried_again_for_a_change_of_the_inis_mode() -> None:
    world = reloading()
    world.wait(START_TIMEOUT)
    world.configure(TWO, reload=False)
    assert world.exit(2) == (Keep(ONE),)


def test_a_reload_that_waits_is_taken_back_by_a_stop() -> None:
    world = reloading()
    world.ready(2)
    world.configure(THREE)
    world.order("stop")
    assert world.exit(1) == ()
    assert world.order("start") == (Spawn(3, THREE),)


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
