"""One vassal's life, rule by rule: when it is given up, and what brings it back."""

from __future__ import annotations

import pytest

from emperor.supervision.events import Spawn
from tests.unit.vassal_world import (
    BAD_LINE,
    ONE,
    app,
    given_up,
    in_backoff,
    running,
    starting,
)

# max-restarts ------------------------------------------------------------------------------------------------------


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
