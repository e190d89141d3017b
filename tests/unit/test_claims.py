"""Whose is an address that several inis name?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from emperor.config.claims import Claims, judge_all
from emperor.config.spec import Checked
from emperor.model import OWNER, UNIX, Address, Authority, VassalSpec
from tests.unit.config_world import APP, BY_ADMIN, BY_ALICE, check

BY_BOB = Authority(OWNER, 1002)

RUNTIME = "/run/emperor"
X = "socket = /run/x.sock"


def ini(name: str, *lines: str, authority: Authority = BY_ADMIN) -> Checked:
    checked = check(APP, *lines, name=name, config=f"/v/{name}.ini", authority=authority)
    assert checked.spec is not None, [str(one) for one in checked.problems]
    return replace(checked, spec=replace(checked.spec, authority=authority))


@dataclass
class World:
    """``held``: who has which address open."""

    held: dict[Address, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.claims = Claims(RUNTIME, self._holder)

    def _holder(self, address: Address, spec: VassalSpec) -> str:
        return self.held.get(address, "")

    def hold(self, name: str, path: str = "/run/x.sock") -> None:
        self.held[Address(UNIX, path)] = name

    def judge(self, name: str, *lines: str, authority: Authority = BY_ADMIN) -> list[str]:
        """What is wrong with it."""
        judged = self.claims.judge(name, ini(name, *lines, authority=authority))
        fatal = [str(one) for one in judged.problems if one.fatal]
        assert (judged.spec is None) == bool(fatal)
        return fatal

    def settle(self) -> dict[str, bool]:
        """Whoever is to be judged again, and whether it is up then; until there is nobody any more."""
        found: dict[str, bool] = {}
        for _ in range(10):
            restless = self.claims.unsettled()
            if not restless:
                return found
            for name, checked in restless:
                found[name] = self.claims.judge(name, checked).spec is not None
        raise AssertionError("they never agree")


@pytest.fixture
def world() -> World:
    return World()


def test_the_second_is_told_where_and_whose_it_is(world: World) -> None:
    assert world.judge("blog", X) == []
    assert world.judge("shop", "processes = 2", X) == [
        "/v/shop.ini:4: socket: /run/x.sock is vassal blog's already -- give one of the two another address"
    ]


def test_warnings_of_a_refused_ini_stay(world: World) -> None:
    world.judge("blog", X)
    judged = world.claims.judge("shop", ini("shop", "cheeper = 2", X))
    assert [one.fatal for one in judged.problems] == [False, True]


def test_one_vassal_may_be_read_again_and_again(world: World) -> None:
    for _ in range(3):
        assert world.judge("blog", X) == []
    assert world.settle() == {}


@pytest.mark.parametrize("authority", [BY_ADMIN, BY_ALICE])
def test_who_came_first_stays_though_the_other_is_read_again(world: World, authority: Authority) -> None:
    world.judge("shop", X, authority=authority)
    for _ in range(2):
        assert world.judge("blog", X, authority=authority)
        assert world.judge("shop", X, authority=authority) == []
    assert world.settle() == {}


def test_the_second_comes_up_when_the_first_is_removed(world: World) -> None:
    world.judge("blog", X)
    world.judge("shop", X)
    world.claims.withdraw("blog")
    assert world.settle() == {"shop": True}
    assert world.judge("blog", X)


def test_it_waits_for_as_long_as_the_first_has_it_open(world: World) -> None:
    world.judge("blog", X)
    world.hold("blog")
    world.judge("shop", X)
    assert world.judge("blog", "socket = /run/y.sock") == []
    assert world.settle() == {}
    world.held.clear()
    assert world.settle() == {"shop": True}


def test_of_several_that_wait_one_comes_up(world: World) -> None:
    for name in ("a", "b", "c"):
        world.judge(name, X)
    world.claims.withdraw("a")
    assert world.settle() == {"b": True, "c": False}


def test_one_that_does_not_wait_any_more_does_not_come_up(world: World) -> None:
    world.judge("blog", X)
    world.judge("shop", X)
    world.judge("shop", "socket = /run/y.sock")
    world.claims.withdraw("blog")
    assert world.settle() == {}


def test_an_ini_that_is_broken_for_a_moment_loses_nothing(world: World) -> None:
    world.judge("blog", X)
    world.claims.judge("blog", Checked(None, ()))
    assert world.judge("shop", X)
    assert world.judge("blog", X) == []


def test_who_is_refused_claims_nothing_of_the_rest(world: World) -> None:
    world.judge("blog", X)
    world.judge("shop", X, "socket = /run/y.sock")
    assert world.judge("wiki", "socket = /run/y.sock") == []


# Ranks ------------------------------------------------------------------------------------------------------------


def test_a_users_ini_cannot_keep_an_administrators_app_from_starting(world: World) -> None:
    """It names root's socket first, which it could never bind."""
    assert world.judge("aaa", X, authority=BY_ALICE) == []
    assert world.judge("blog", X) == []
    assert world.settle() == {"aaa": False}
    assert world.judge("aaa", X, authority=BY_ALICE)


def test_a_users_word_for_a_path_keeps_no_other_user_from_starting(world: World) -> None:
    """It is bob's folder: alice, who cannot bind there, could do nothing else than name it."""
    assert world.judge("aaa", X, authority=BY_ALICE) == []
    assert world.judge("bobs", X, authority=BY_BOB) == []
    assert world.settle() == {}
    world.hold("bobs")
    assert world.judge("aaa", X, authority=BY_ALICE)
    assert world.judge("bobs", X, authority=BY_BOB) == []


def test_two_inis_of_one_user_and_a_port_of_two_users_are_the_firsts(world: World) -> None:
    assert world.judge("one", X, authority=BY_ALICE) == []
    assert world.judge("two", X, authority=BY_ALICE)
    assert world.judge("port", "socket = 127.0.0.1:8000", authority=BY_ALICE) == []
    assert world.judge("bobs", "socket = 127.0.0.1:8000", authority=BY_BOB)


def test_what_a_users_app_has_open_it_keeps(world: World) -> None:
    world.judge("aaa", X, authority=BY_ALICE)
    world.hold("aaa")
    assert world.judge("blog", X)
    assert world.settle() == {}


def test_a_vassals_own_socket_is_its_own(world: World) -> None:
    assert world.judge("blog", f"socket = {RUNTIME}/shop.sock") == []
    assert world.judge("shop", authority=BY_ALICE) == []
    assert world.settle() == {"blog": False}


def test_the_default_socket_that_another_serves_on_is_named_without_a_line(world: World) -> None:
    world.hold("blog", f"{RUNTIME}/shop.sock")
    (message,) = world.judge("shop")
    assert message.startswith(f"/v/shop.ini: socket: {RUNTIME}/shop.sock is vassal blog's already")


# Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000", True),
        (":8000", "127.0.0.1:8000", True),
        ("0.0.0.0:8000", "10.0.0.1:8000", True),
        ("[::]:8000", "[::1]:8000", True),
        (":8000", "[::1]:8000", True),
        ("[::]:8000", "127.0.0.1:8000", False),
        ("127.0.0.1:8000", "127.0.0.2:8000", False),
        ("127.0.0.1:8000", "127.0.0.1:8001", False),
        ("@x", "@x", True),
        ("@/run/x.sock", "/run/x.sock", False),
        ("/run//./x.sock", "/run/x.sock", True),
    ],
)
def test_what_is_the_same_address(world: World, one: str, other: str, same: bool) -> None:
    world.judge("blog", f"socket = {one}")
    assert bool(world.judge("shop", f"fastcgi-socket = {other}")) == same


# A dry run --------------------------------------------------------------------------------------------------------


def test_a_check_of_several_inis_judges_as_an_emperor_at_its_start() -> None:
    judged = judge_all(
        [("aaa", ini("aaa", X, authority=BY_ALICE)), ("shop", ini("shop", X)), ("blog", ini("blog", X))], RUNTIME
    )
    assert [one.spec is not None for one in judged] == [False, False, True]


def test_a_check_of_one_name_twice_compares_only_the_first() -> None:
    judged = judge_all([("blog", ini("blog", X)), ("blog", ini("blog", X))], RUNTIME)
    assert [one.spec is not None for one in judged] == [True, True]


def test_the_emperors_own_socket_is_nobodys() -> None:
    claims = Claims(RUNTIME, lambda address, spec: "", control=f"{RUNTIME}/control.sock")
    judged = claims.judge("control", ini("control"))
    assert judged.spec is None
    assert f"{RUNTIME}/control.sock is the emperor's own control socket" in str(judged.problems[-1])
    assert claims.judge("blog", ini("blog")).spec is not None
