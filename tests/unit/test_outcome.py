"""When has an order come to its result, and in which words: one life per row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Optional

import pytest

from emperor.supervision.outcome import REMOVED, Outcome, Ticket, outcome
from tests.unit.vassal_world import BAD_LINE, ONE, START_TIMEOUT, THREE, TWO, World, app, reloading, running, starting


@dataclass
class Client:
    """Somebody who gave an order to the vassal of a world, and asks now and then."""

    world: World
    ticket: Ticket = field(init=False)

    def order(self, verb: str) -> Client:
        """As the daemon does it: all but stop read the ini again, and a reload is nothing else."""
        record = self.world.record
        self.ticket = Ticket(verb, record)
        if verb != "stop" and record.spec is not None:
            self.world.configure(record.spec, reload=verb == "reload")
        if verb != "reload":
            self.world.order(verb)
        return self

    @property
    def result(self) -> Optional[Outcome]:
        return outcome(self.ticket, self.world.vassal)


def ordering(verb: str, world: World) -> Client:
    return Client(world).order(verb)


def stopped() -> World:
    world = running()
    world.order("stop")
    world.exit(1)
    return world


def failing(world: World) -> World:
    world.complain(world.record.last_number, "KeyError: 'DB'", "Traceback\nKeyError: 'DB'")
    world.exit(world.record.last_number)
    return world


TROUBLE = "KeyError: 'DB'\nTraceback\nKeyError: 'DB'"
ANOTHER = "stopped by another order"


def test_a_reload_that_a_bad_ini_calls_off_while_an_older_start_goes_on_has_failed_when_that_one_serves() -> None:
    world = starting()
    world.configure(TWO)
    world.exit(1)
    client = ordering("reload", world)
    assert client.result is None
    world.misconfigure()
    assert client.result is None
    world.ready(2)
    assert client.result == (False, f"{BAD_LINE}\nthe old generation serves on")


# stop --------------------------------------------------------------------------------------------------------------


def test_stop_has_worked_when_the_last_generation_is_gone() -> None:
    client = ordering("stop", reloading())
    assert client.result is None
    client.world.exit(1)
    assert client.result is None
    client.world.exit(2)
    assert client.result == (True, "stopped")


def test_stop_of_a_stopped_vassal_has_worked_already() -> None:
    assert ordering("stop", stopped()).result == (True, "already stopped")


def test_stop_of_a_paused_vassal_has_worked_at_once() -> None:
    assert ordering("stop", failing(starting())).result == (True, "stopped")


def test_stop_of_a_stopping_vassal_waits_for_the_same_end() -> None:
    world = running()
    world.order("stop")
    client = ordering("stop", world)
    assert client.result is None
    world.exit(1)
    assert client.result == (True, "stopped")


def test_stop_of_a_vassal_that_is_removed_meanwhile_has_worked() -> None:
    client = ordering("stop", running())
    client.world.order("remove")
    assert client.result is None
    client.world.exit(1)
    assert client.result == (True, "stopped")


def test_stop_of_a_vassal_that_was_removed_before_has_worked_when_it_is_gone() -> None:
    world = running()
    world.order("remove")
    client = ordering("stop", world)
    assert client.result is None
    world.exit(1)
    assert world.vassal is None
    assert client.result == (True, "stopped")


def test_stop_has_failed_when_somebody_starts_again() -> None:
    client = ordering("stop", running())
    client.world.order("start")
    assert client.result == (False, "started again by another order")


# start -------------------------------------------------------------------------------------------------------------


def test_start_has_worked_when_a_generation_serves() -> None:
    client = ordering("start", stopped())
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "started")


def test_start_of_a_running_vassal_has_worked_already() -> None:
    assert ordering("start", running()).result == (True, "already running")


def test_start_of_a_reloading_vassal_has_worked_already() -> None:
    assert ordering("start", reloading()).result == (True, "already running")


def test_start_of_a_starting_vassal_waits_for_that_generation() -> None:
    client = ordering("start", starting())
    assert client.result is None
    client.world.ready(1)
    assert client.result == (True, "started")


def test_start_of_a_stopping_vassal_waits_for_the_next_generation() -> None:
    world = running()
    world.order("stop")
    client = ordering("start", world)
    assert client.result is None
    world.ready(2)
    assert client.result == (True, "started")
    world.exit(1)
    assert client.result == (True, "started")


def test_start_of_a_paused_vassal_tries_now() -> None:
    client = ordering("start", failing(starting()))
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "started")


# restart -----------------------------------------------------------------------------------------------------------


def test_restart_has_worked_when_a_younger_generation_serves() -> None:
    client = ordering("restart", running())
    assert client.result is None
    client.world.exit(1)
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "restarted")


def test_restart_of_a_stopped_vassal_starts_it() -> None:
    client = ordering("restart", stopped())
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "restarted")


def test_restart_of_a_paused_vassal_tries_now() -> None:
    client = ordering("restart", failing(starting()))
    # The ini was read again, which started generation 2; the order itself wants a start from the beginning.
    assert client.world.told(2)
    client.world.exit(2)
    assert client.result is None
    client.world.ready(3)
    assert client.result == (True, "restarted")


def test_restart_of_an_overdue_start_is_not_answered_with_its_failure() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    client = ordering("restart", world)
    world.exit(1)
    assert client.result is None
    world.ready(2)
    assert client.result == (True, "restarted")


# reload ------------------------------------------------------------------------------------------------------------


def test_reload_has_worked_when_a_younger_generation_serves() -> None:
    client = ordering("reload", running())
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "reloaded")


def test_reload_that_fails_says_why_and_that_the_old_generation_serves_on() -> None:
    client = ordering("reload", running())
    failing(client.world)
    assert client.result == (False, f"{TROUBLE}\nthe old generation serves on")


def test_reload_of_a_paused_vassal_starts_it() -> None:
    client = ordering("reload", failing(starting()))
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "started")


def test_reload_of_a_starting_vassal_waits_for_the_generation_after_that() -> None:
    client = ordering("reload", starting())
    assert client.result is None
    client.world.exit(1)
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "started")


def test_reload_of_an_overdue_start_is_not_answered_with_its_failure() -> None:
    world = starting()
    world.wait(START_TIMEOUT)
    client = ordering("reload", world)
    world.exit(1)
    assert client.result is None
    world.ready(2)
    assert client.result == (True, "started")


def test_reload_waits_while_an_older_generation_retires() -> None:
    world = reloading()
    world.ready(2)
    client = ordering("reload", world)
    assert client.result is None
    world.exit(1)
    assert client.result is None
    world.ready(3)
    assert client.result == (True, "reloaded")


def test_reload_of_a_reloading_vassal_is_answered_by_the_newest_generation() -> None:
    world = reloading()
    client = ordering("reload", world)
    world.exit(2)
    assert client.result is None
    failing(world)
    assert client.result == (False, f"{TROUBLE}\nthe old generation serves on")


def test_reload_whose_old_generation_dies_waits_for_the_new_one() -> None:
    client = ordering("reload", running())
    client.world.exit(1)
    assert client.result is None
    client.world.ready(2)
    assert client.result == (True, "reloaded")


@pytest.mark.parametrize("times", [1, 2])
def test_reload_that_a_bad_ini_takes_back_has_failed(times: int) -> None:
    """It was called off for a newer ini, and that one is bad: nothing is under way any more."""
    client = ordering("reload", running())
    for _ in range(times):
        client.world.configure(THREE)
    client.world.misconfigure()
    client.world.exit(2)
    assert client.result == (False, f"{BAD_LINE}\nthe old generation serves on")


def test_reload_that_waits_and_is_taken_back_by_a_bad_ini_has_failed() -> None:
    world = reloading()
    world.ready(2)
    client = ordering("reload", world)
    world.misconfigure()
    assert client.result == (False, f"{BAD_LINE}\nthe old generation serves on")


def test_reload_that_becomes_part_of_a_restart_waits_for_it() -> None:
    client = ordering("reload", running())
    client.world.order("restart")
    client.world.exit(2)
    assert client.result is None
    client.world.exit(1)
    assert client.result is None
    client.world.ready(3)
    assert client.result == (True, "reloaded")


# What all that bring a vassal up have in common --------------------------------------------------------------------

UP: dict[str, Callable[[], Client]] = {
    "start": lambda: ordering("start", stopped()),
    "restart": lambda: ordering("restart", stopped()),
    "reload": lambda: ordering("reload", failing(starting())),
}


@pytest.mark.parametrize("verb", UP)
def test_an_order_has_failed_when_the_generation_fails(verb: str) -> None:
    client = UP[verb]()
    failing(client.world)
    assert client.result == (False, TROUBLE)


@pytest.mark.parametrize("verb", UP)
def test_an_order_has_failed_when_another_one_stops_the_vassal(verb: str) -> None:
    client = UP[verb]()
    client.world.order("stop")
    assert client.result == (False, ANOTHER)


@pytest.mark.parametrize("verb", UP)
def test_an_order_has_failed_when_the_ini_is_removed(verb: str) -> None:
    client = UP[verb]()
    client.world.order("remove")
    assert client.result == (False, REMOVED)
    client.world.exit(client.world.record.last_number)
    assert client.world.vassal is None
    assert client.result == (False, REMOVED)


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_an_order_to_a_running_vassal_has_failed_when_it_is_stopped_or_removed(verb: str) -> None:
    for word, expected in (("stop", ANOTHER), ("remove", REMOVED)):
        client = ordering(verb, running())
        client.world.order(word)
        assert client.result == (False, expected)


def test_an_order_has_failed_when_the_vassal_is_fatal() -> None:
    world = starting(app("one", max_restarts=1))
    world.exit(1)
    client = ordering("start", world)
    for _ in range(2):
        failing(world)
        world.wait(10)
    assert (world.state, client.result) == ("FATAL", (False, TROUBLE))


def test_a_failure_without_a_traceback_is_told_in_one_line() -> None:
    client = ordering("start", stopped())
    client.world.exit(2, "killed by SIGKILL")
    assert client.result == (False, "killed by SIGKILL")


def test_an_order_of_its_own_time_is_not_answered_by_an_older_failure() -> None:
    world = running()
    world.configure(TWO)
    failing(world)
    client = ordering("reload", world)
    assert client.result is None
    world.ready(3)
    assert client.result == (True, "reloaded")


def test_what_is_asked_again_is_answered_alike() -> None:
    world = running(ONE)
    client = ordering("restart", world)
    world.exit(1)
    world.ready(2)
    assert client.result == client.result == (True, "restarted")
