"""Whose is an address that several inis name?"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from emperor.config.claims import Claims, judge_all
from emperor.config.spec import Checked
from emperor.model import OWNER, UNIX, Address, Authority, Problem, VassalSpec
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
    asked: int = 0
    """How often it was asked who has an address open."""

    def __post_init__(self) -> None:
        self.claims = Claims(RUNTIME, self._holder)

    def _holder(self, address: Address, spec: VassalSpec) -> str:
        self.asked += 1
        return self.held.get(address, "")

    def hold(self, name: str, *paths: str) -> None:
        """It has these open, and no others any more."""
        addresses = {Address(UNIX, path) for path in paths or ("/run/x.sock",)}
        self.let_go(name)
        self.held.update(dict.fromkeys(addresses, name))
        self.claims.moved(addresses)

    def let_go(self, name: str) -> None:
        gone = [address for address, holder in self.held.items() if holder == name]
        for address in gone:
            del self.held[address]
        self.claims.moved(gone)

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
    world.let_go("blog")
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


def test_of_several_that_wait_an_administrators_comes_first(world: World) -> None:
    world.judge("blog", X)
    world.hold("blog")
    assert world.judge("alices", X, authority=BY_ALICE)
    assert world.judge("wiki", X)
    world.claims.withdraw("blog")
    world.let_go("blog")
    assert [name for name, _ in world.claims.unsettled()] == ["wiki", "alices"]
    assert world.settle() == {"wiki": True, "alices": False}


def test_who_is_to_be_judged_again_is_named_until_that_is_done(world: World) -> None:
    world.judge("blog", X)
    world.judge("shop", X)
    world.claims.withdraw("blog")
    assert [name for name, _ in world.claims.unsettled()] == ["shop"]
    assert world.settle() == {"shop": True}


def test_who_waits_is_told_who_has_it_now(world: World) -> None:
    for name in ("a", "b", "c"):
        world.judge(name, X)
    world.claims.withdraw("a")
    world.claims.judge(*world.claims.unsettled()[0])
    ((name, checked),) = world.claims.unsettled()
    assert name == "c"
    assert "is vassal b's already" in str(world.claims.judge(name, checked).problems[-1])
    assert world.settle() == {}


def test_an_address_that_is_named_twice_is_one_claim(world: World) -> None:
    checked = ini("blog", X)
    assert checked.spec is not None
    twice = Checked(replace(checked.spec, sockets=checked.spec.sockets * 2), (), ())
    assert world.claims.judge("blog", twice).spec is not None
    world.claims.withdraw("blog")
    assert world.judge("shop", X) == []


def test_a_broken_ini_that_loses_its_address_is_judged_again_as_it_is(world: World) -> None:
    broken = Checked(None, (Problem("/v/aaa.ini", 1, "chdir", "is missing"),))
    world.judge("aaa", X, authority=BY_ALICE)
    world.claims.judge("aaa", broken)
    assert world.judge("blog", X) == []
    assert world.claims.ousted("aaa")
    assert world.claims.unsettled() == [("aaa", broken)]


# Who wants another one ----------------------------------------------------------------------------------------------

Y = "socket = /run/y.sock"


def swapped(world: World, running: bool) -> None:
    """``blue`` had X and names Y by now; ``green`` the other way round."""
    assert (world.judge("blue", X), world.judge("green", Y)) == ([], [])
    if running:
        world.hold("blue", "/run/x.sock")
        world.hold("green", "/run/y.sock")
    assert world.judge("blue", Y)
    assert bool(world.judge("green", X)) == running


def test_two_that_swap_their_addresses_while_they_are_down_have_them(world: World) -> None:
    swapped(world, running=False)
    assert world.settle() == {"blue": True}
    assert world.judge("blue", Y) == world.judge("green", X) == []


def test_two_that_swap_while_they_run_have_them_once_one_is_stopped(world: World) -> None:
    swapped(world, running=True)
    world.settle()
    world.let_go("blue")
    assert world.settle() == {"green": True, "blue": False}
    world.hold("green", "/run/x.sock")
    assert world.settle() == {"blue": True}
    assert world.judge("blue", Y) == world.judge("green", X) == []


def test_who_waits_for_one_that_is_refused_itself_is_told_what_frees_it(world: World) -> None:
    swapped(world, running=True)
    said = {name: str(world.claims.judge(name, one).problems[-1]) for name, one in world.claims.unsettled()}
    assert said == {
        "blue": "/v/blue.ini:3: socket: /run/y.sock is still open in vassal green, whose new ini is refused"
        " -- emperorctl stop green frees it"
    }
    assert world.settle() == {}


def test_three_that_pass_theirs_round_have_them_once_one_is_stopped(world: World) -> None:
    names, paths = ("a", "b", "c"), ("/run/1.sock", "/run/2.sock", "/run/3.sock")
    for name, path in zip(names, paths, strict=True):
        assert world.judge(name, f"socket = {path}") == []
        world.hold(name, path)
    wanted = dict(zip(names, (*paths[1:], paths[0]), strict=True))
    for name, path in wanted.items():
        assert world.judge(name, f"socket = {path}")
    world.settle()
    world.let_go("a")
    for _ in names:
        for name, up in world.settle().items():
            if up:
                world.hold(name, wanted[name])
    assert [world.judge(name, f"socket = {path}") for name, path in wanted.items()] == [[], [], []]


def test_what_a_refused_one_still_names_it_keeps(world: World) -> None:
    world.judge("blue", X)
    world.judge("green", Y)
    assert world.judge("blue", X, Y)
    assert world.judge("wiki", X)


def test_what_a_refused_one_does_not_name_any_more_it_has_again_if_nobody_asked(world: World) -> None:
    world.judge("blue", X)
    world.judge("green", Y)
    assert world.judge("blue", Y)
    assert world.judge("blue", X) == []
    assert world.settle() == {}


def test_what_an_administrators_refused_ini_has_given_up_a_user_has_only_when_it_is_not_open(world: World) -> None:
    world.judge("blue", X)
    world.judge("green", Y)
    world.hold("blue")
    assert world.judge("blue", Y)
    assert world.judge("alices", X, authority=BY_ALICE)
    world.let_go("blue")
    assert world.settle() == {"alices": True}


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
    mirror = World()
    mirror.judge("shop", f"fastcgi-socket = {other}")
    assert bool(mirror.judge("blog", f"socket = {one}")) == same


# What it costs ----------------------------------------------------------------------------------------------------


def crowded(world: World, inis: int) -> None:
    """Each has a port on 32 interfaces, and one more wants all the first one's; nobody is asked for any more."""
    for number in range(inis):
        lines = [f"socket = 10.{number // 250}.{number % 250}.{host}:9000" for host in range(1, 33)]
        assert world.judge(f"v{number}", *lines, authority=BY_ALICE) == []
        assert world.judge(f"w{number}", *lines, authority=BY_ALICE) != []
    world.asked = 0


def test_an_event_that_moves_nothing_costs_nothing(world: World) -> None:
    crowded(world, 20)
    assert world.settle() == {}
    world.claims.moved([Address(UNIX, "/run/y.sock")])
    assert world.settle() == {}
    assert world.asked == 0


def test_an_event_costs_no_more_than_those_who_wait_for_what_it_moves(world: World) -> None:
    crowded(world, 20)
    world.claims.withdraw("v7")
    assert world.settle() == {"w7": True}
    assert world.asked <= 2 * 32


def test_to_judge_one_costs_the_same_however_many_there_are(world: World) -> None:
    costs = []
    for inis in (1, 20):
        crowded(world, inis)
        world.judge("v0", "socket = 10.0.0.1:9000", authority=BY_ALICE)
        world.judge("other", "socket = :9000", "socket = 0.0.0.0:9000", "socket = [::]:9000", authority=BY_ALICE)
        costs.append(world.asked)
        world.__post_init__()
    assert costs[0] == costs[1]


@pytest.mark.parametrize("seed", range(10))
def test_however_they_come_and_go_everybody_is_told_what_a_look_at_all_of_them_would_tell(seed: int) -> None:
    dice, world = random.Random(seed), World()
    hosts = [
        "127.0.0.1:8000",
        "127.0.0.2:8000",
        ":8000",
        "0.0.0.0:8000",
        "[::]:8000",
        "[::1]:8000",
        "/run/x.sock",
        "/run/y.sock",
    ]
    there: dict[str, tuple[Checked, bool]] = {}
    for _ in range(300):
        name, what = dice.choice("abcdefgh"), dice.random()
        if what < 0.6:
            lines = [f"socket = {one}" for one in dice.sample(hosts, dice.choice([1, 2]))]
            checked = ini(name, *lines, authority=dice.choice([BY_ADMIN, BY_ALICE, BY_BOB]))
            there[name] = checked, world.claims.judge(name, checked).spec is not None
        elif what < 0.7:
            world.claims.withdraw(name)
            there.pop(name, None)
        elif what < 0.85 and there.get(name, (None, False))[1]:
            world.hold(name, *(one.address.path for one in there[name][0].spec.sockets if one.address.path))  # type: ignore[union-attr]  # it was sound
        else:
            world.let_go(name)
        for one, up in world.settle().items():
            there[one] = there[one][0], up
        for one, (checked, up) in there.items():
            assert up or world.claims._conflicts(one, checked)[0]


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


def test_a_dry_run_sees_that_a_later_ini_has_the_better_claim() -> None:
    found = [("e1", ini("e1", f"socket = {RUNTIME}/e2.sock")), ("e2", ini("e2"))]
    first, second = judge_all(found, RUNTIME)
    assert first.spec is None and "is vassal e2's already" in str(first.problems[-1])
    assert second.spec is not None
    assert [one.spec is None for one in judge_all(found[::-1], RUNTIME)] == [False, True]


def test_a_dry_run_warns_of_numbers_that_two_are_to_tell_at_one_address() -> None:
    found = [(name, ini(name, *lines)) for name, lines in {"a": ["stats = /s"], "b": ["stats = /s"], "c": []}.items()]
    first, second, third = judge_all(found, RUNTIME)
    assert [str(one) for one in second.problems] == [
        "/v/b.ini: stats: /s is vassal a's too -- only one of them can tell its numbers there"
    ]
    assert second.spec is not None and first.problems == third.problems == ()
