"""A vassal whose addresses have become another's: what it was told before may not run any more either."""

from __future__ import annotations

from emperor.supervision.events import Misconfigured
from emperor.supervision.generation import Action
from tests.unit.vassal_world import BAD_LINE, TWO, given_up, in_backoff, running, starting

VOID = Misconfigured((BAD_LINE,), void=True)


def test_one_that_fails_again_and_again_is_not_tried_any_more() -> None:
    for world in (in_backoff(), given_up()):
        world.tell(VOID)
        assert (world.state, world.due) == ("INVALID", None)
        tried = len(world.started)
        world.order("start")
        world.wait(3600)
        assert len(world.started) == tried


def test_one_that_starts_is_told_to_go_and_that_is_no_failure() -> None:
    world = starting()
    world.tell(VOID)
    assert world.told(1) == [Action.TERM]
    world.exit(1)
    assert (world.state, world.due, world.record.restarts) == ("INVALID", None, 0)


def test_one_that_serves_goes_on() -> None:
    """It has them open, or it would not serve."""
    world = running()
    world.tell(VOID)
    assert (world.state, world.told(1)) == ("RUNNING", [])
    world.exit(1)
    assert world.state == "STARTING"


def test_one_that_drains_has_no_successor() -> None:
    for verb in ("stop", "remove", "restart"):
        world = running()
        world.order(verb)
        world.tell(VOID)
        world.order("start")
        world.exit(1)
        assert (world.state, world.living) == ("INVALID", {})


def test_a_new_ini_starts_it_again() -> None:
    world = in_backoff()
    world.tell(VOID)
    world.configure(TWO)
    assert (world.state, world.record.incoming_spec) == ("STARTING", TWO)
