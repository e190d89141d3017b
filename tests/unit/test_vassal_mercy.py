"""How long a generation may take to end, and that no user's ini can hold up the emperor's own end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.model import ADMIN, OWNER, Authority, VassalSpec
from emperor.supervision.generation import Action
from emperor.supervision.settling import MERCY_OF_OWNERS
from tests.unit.vassal_world import ALICE, ONE, World, running


def mercy(seconds: float, kind: str) -> VassalSpec:
    return replace(ONE, reload_mercy=seconds, authority=Authority(kind, ALICE.uid if kind == OWNER else None))


def killed_after(world: World, seconds: float) -> None:
    assert world.told(1) == [Action.TERM]
    world.wait(seconds - 0.001)
    assert world.told(1) == [Action.TERM]
    world.wait(0.001)
    assert world.told(1) == [Action.TERM, Action.KILL]


@pytest.mark.parametrize("verb", ["remove", "stop", "restart"])
def test_an_owners_mercy_is_capped(verb: str) -> None:
    world = running(mercy(99999, OWNER))
    world.order(verb)
    killed_after(world, MERCY_OF_OWNERS)


def test_the_end_of_the_emperor_comes_within_about_a_minute() -> None:
    assert MERCY_OF_OWNERS <= 60


def test_an_owners_shorter_mercy_counts() -> None:
    world = running(mercy(5, OWNER))
    world.order("remove")
    killed_after(world, 5)


def test_an_administrators_mercy_is_as_long_as_they_say() -> None:
    world = running(mercy(99999, ADMIN))
    world.order("remove")
    killed_after(world, 99999)


def test_an_owners_generation_that_still_starts_is_capped_too() -> None:
    world = running(mercy(5, OWNER))
    world.configure(mercy(99999, OWNER))
    world.order("remove")
    assert world.told(2) == [Action.TERM]
    world.wait(MERCY_OF_OWNERS)
    assert world.told(2) == [Action.TERM, Action.KILL]


def test_a_spec_that_root_has_replaced_keeps_its_owners_cap() -> None:
    """The generation that runs is the older ini's, whoever wrote the newer one."""
    world = running(mercy(99999, OWNER))
    world.configure(mercy(99999, ADMIN), reload=False)
    world.order("remove")
    killed_after(world, MERCY_OF_OWNERS)
