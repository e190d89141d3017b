"""A reload while a start goes on ends it for a newer one; but somebody has to become ready one day."""

from __future__ import annotations

from emperor.supervision.events import Signal, Spawn
from emperor.supervision.generation import Action
from emperor.supervision.record import UNDISTURBED
from tests.unit.vassal_world import MORNING, THREE, TWO, World, reloading, running, starting

TERM = Action.TERM


def test_reloads_without_end_do_not_keep_a_vassal_from_becoming_new() -> None:
    """One every fifth of a second, and an import that takes half a second, five, or half a minute."""
    for seconds in (0.5, 5.0, 30.0):
        world, ready = running(), []
        for _ in range(1000):
            world.configure(TWO)
            world.wait(0.2)
            for number, process in list(world.living.items()):
                if process.told:
                    world.exit(number)
                elif not process.ready and world.now - world.started[number - 1] >= seconds:
                    world.ready(number)
                    ready.append(world.now)
        assert ready[0] - MORNING <= 3 * seconds + 3
        assert len(ready) >= 200 / (3 * seconds + 3)
        assert world.record.failures == 0


def test_a_start_that_hangs_is_given_up_soon_for_one_that_may_not() -> None:
    """The first at once, the second after two seconds, and so on."""
    world, waited = starting(), []
    for number in (1, 2, 3, 4):
        world.configure(TWO)
        began = world.now
        while TERM not in world.told(number):
            world.wait(world.due or 0)
        waited.append(world.now - began)
        world.exit(number)
    assert waited == [0, 2, 8, 32]


def test_a_start_that_became_ready_is_no_reason_to_wait_for_the_next_one() -> None:
    world = reloading()
    assert world.configure(TWO) == (Signal(2, TERM),)
    world.exit(2)
    assert world.configure(THREE) == ()
    world.ready(3)
    world.exit(1)
    assert world.living[4].spec == THREE
    assert world.configure(THREE) == (Signal(4, TERM),)


def test_a_start_that_failed_of_itself_is_no_reason_to_wait_for_the_next_one() -> None:
    """Saved, saved again during the import, and a SyntaxError; and once more, by somebody who looks for a comma."""
    world, waited = running(), []
    for _ in range(5):
        world.configure(TWO)
        world.wait(0.2)
        number, since = world.record.last_number, world.now
        world.configure(THREE)
        if TERM not in world.told(number):
            world.wait(world.due or 0)
        assert TERM in world.told(number)
        waited.append(world.now - since)
        world.exit(number)
        world.complain(number + 1, "SyntaxError")
        world.exit(number + 1)
        assert (world.state, world.record.error) == ("RUNNING", "SyntaxError")
    assert waited == [0.0] * 5


def test_a_failure_of_what_is_already_old_news_is_not_told_of_the_new() -> None:
    world = reloading()
    world.configure(TWO)
    world.exit(2)
    world.configure(THREE)
    world.complain(3, "no module named two")
    assert world.exit(3) == (Spawn(4, THREE),)
    world.ready(4)
    assert (world.state, world.record.error, world.record.traceback) == ("RUNNING", "", "")


def put_off_once() -> World:
    """Generation 2 was ended for 3, which waits until others have started."""
    world = reloading()
    world.configure(TWO)
    world.exit(2)
    world.queue(3)
    return world


def test_who_waits_for_his_turn_does_not_lose_it_to_a_newer_one_twice() -> None:
    world = put_off_once()
    world.configure(THREE)
    assert world.due is None
    world.wait(3600)
    assert world.told(3) == []


def test_the_time_that_a_start_is_left_alone_begins_with_its_process() -> None:
    world = put_off_once()
    world.wait(3600)
    world.begin(3)
    assert world.configure(THREE) == ()
    world.wait(UNDISTURBED - 0.1)
    assert world.told(3) == []
    world.wait(0.1)
    assert world.told(3) == [TERM]


def test_who_waits_for_his_turn_for_the_first_time_gives_way() -> None:
    world = reloading()
    world.queue(2)
    assert world.configure(THREE) == (Signal(2, TERM),)
