"""How many start at the same time, and whose turn it is."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from emperor.supervision.events import Begun, Queued
from emperor.supervision.record import Vassal
from emperor.supervision.starting import LONG, PATIENCE, Starting, Token, ask, default_places, leave, tick
from emperor.supervision.vassal import step
from emperor.system.eventloop import Callback, Loop, Timer
from emperor.tending.startgate import StartGate
from tests.unit.vassal_world import START_TIMEOUT, World, reloading, running, starting

A, B, C, D = (("a", 1), ("b", 1), ("c", 1), ("d", 1))


def queue(places: int, *tokens: Token, urgent: bool = True) -> tuple[Starting, list[Token]]:
    """Everybody asks at 0.0."""
    state = Starting(places)
    begun: list[Token] = []
    for token in tokens:
        state, admitted = ask(state, token, urgent, 0.0)
        begun += admitted
    return state, begun


def test_so_many_begin_and_the_others_wait() -> None:
    assert queue(2, A, B, C)[1] == [A, B]


def test_no_limit_is_no_queue() -> None:
    assert queue(0, A, B, C)[1] == [A, B, C]


def test_a_start_that_is_over_makes_room_for_who_has_waited_longest() -> None:
    state, _ = queue(2, A, B, C, D)
    state, admitted = leave(state, B, 1.0)
    assert admitted == (C,)
    assert leave(state, A, 1.0)[1] == (D,)


def test_a_start_that_hangs_keeps_its_place_for_a_while_only() -> None:
    state, _ = queue(1, A, B)
    assert state.lapses == PATIENCE
    assert tick(state, PATIENCE - 0.1)[1] == ()
    state, admitted = tick(state, PATIENCE)
    assert admitted == (B,)
    assert state.lapses is None


def test_what_leaves_late_takes_nobodys_place() -> None:
    state, _ = queue(1, A, B, C)
    state, _ = tick(state, PATIENCE)
    assert leave(state, A, PATIENCE + 1)[1] == ()


def test_who_does_not_want_to_begin_any_more_does_not() -> None:
    state, _ = queue(1, A, B, C)
    state, admitted = leave(state, B, 1.0)
    assert admitted == ()
    assert leave(state, A, 1.0)[1] == (C,)


def test_who_has_nobody_to_serve_goes_before_a_reload() -> None:
    state, _ = queue(1, A, B, urgent=False)
    state, _ = ask(state, C, True, 0.0)
    state, admitted = leave(state, A, 1.0)
    assert admitted == (C,)
    assert leave(state, C, 1.0)[1] == (B,)


def test_who_asks_twice_is_there_once() -> None:
    state, begun = queue(1, A, A, B, B)
    assert begun == [A]
    state, admitted = leave(state, A, 1.0)
    assert admitted == (B,)
    assert leave(state, B, 1.0) == (Starting(1), ())


def test_a_small_machine_starts_four_at_once() -> None:
    assert [default_places(cpus) for cpus in (1, 2, 3, 8)] == [4, 4, 6, 16]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_nobody_is_forgotten_and_never_too_many_are_inside(seed: int) -> None:
    dice, places, now = random.Random(seed), 3, 0.0
    state, waiting, inside = Starting(places), set[Token](), set[Token]()
    for number in range(500):
        now += dice.random()
        token = (dice.choice("abcdefghij"), number)
        known = sorted(waiting | inside)
        what = dice.random()
        if what < 0.5:
            waiting.add(token)
            state, admitted = ask(state, token, dice.random() < 0.5, now, dice.randrange(3))
        elif what < 0.9 and known:
            gone = dice.choice(known)
            waiting.discard(gone)
            inside.discard(gone)
            state, admitted = leave(state, gone, now)
        else:
            state, admitted = tick(state, now)
        assert waiting.issuperset(admitted)
        waiting.difference_update(admitted)
        inside.update(admitted)
        assert {one.token for one in state.waiting} == waiting
        assert len(state.inside) <= places
        assert len(state.inside) == places or not waiting
    while waiting:
        assert state.lapses is not None
        now = max(now, state.lapses)
        state, admitted = tick(state, now)
        waiting.difference_update(admitted)


# Whose turn it is --------------------------------------------------------------------------------------------------

HORDE, OTHER = 1001, 1002


@dataclass
class Machine:
    """A gate under a fake clock. One owner's starts hang for ``hang`` seconds each, fail, and are tried again."""

    places: int
    hang: float
    now: float = 0.0
    begun: dict[Token, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = Starting(self.places)
        self.due: list[tuple[float, Token]] = []

    def ask(self, token: Token, urgent: bool, owner: int) -> None:
        self.take(ask(self.state, token, urgent, self.now, owner))

    def take(self, step: tuple[Starting, tuple[Token, ...]]) -> None:
        self.state = step[0]
        for token in step[1]:
            self.begun[token] = self.now
            if token[0].startswith("hanging"):
                self.due.append((self.now + self.hang, token))

    def run(self, until: float) -> None:
        while True:
            lapses = self.state.lapses
            when = min([one for one, _ in self.due] + ([lapses] if lapses is not None else []), default=until)
            if when > until:
                break
            self.now = max(self.now, when)
            self.take(tick(self.state, self.now))
            for one in [one for one in self.due if one[0] <= self.now]:
                self.due.remove(one)
                name, number = one[1]
                self.take(leave(self.state, one[1], self.now))
                self.ask((name, number + 1), True, HORDE)
            if when == until:
                break
        self.now = until


@pytest.mark.parametrize("hanging", [10, 100, 300])
@pytest.mark.parametrize("hang", [0.5, PATIENCE, 60.0])
@pytest.mark.parametrize("places", [1, 4, 16])
@pytest.mark.parametrize("moment", [0.0, 100.0, 101.3])
def test_another_owners_start_waits_no_longer_than_a_lapse_whatever_one_owner_does(
    hanging: int, hang: float, places: int, moment: float
) -> None:
    machine = Machine(places, hang)
    for number in range(hanging):
        machine.ask((f"hanging{number}", 0), True, HORDE)
        machine.ask((f"reload{number}", 0), False, HORDE)
    machine.run(moment)
    machine.ask(A, True, OTHER)
    machine.ask(B, False, OTHER)
    machine.run(moment + 5 * PATIENCE)
    # Where there is but one place, every second turn is of somebody who has waited long to be replaced.
    assert machine.begun[A] - moment <= PATIENCE * (1 if places > 1 else 2)
    assert machine.begun[B] - moment <= PATIENCE * (2 if places > 1 else 4)


def test_the_owners_take_turns_and_the_starts_of_one_come_in_order() -> None:
    state, begun = Starting(1), []
    for name, owner in (("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("b2", 2), ("c1", 3)):
        state, _ = ask(state, (name, 1), True, 0.0, owner)
    while state.inside:
        ((token, _),) = state.inside
        begun.append(token[0])
        state, _ = leave(state, token, 1.0)
    assert begun == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert state == Starting(1)


def test_of_four_places_one_is_for_who_has_waited_long_to_be_replaced() -> None:
    state, begun = Starting(4), []
    for number in range(12):
        state, _ = ask(state, ("crashed", number), True, 0.0)
    for number in range(3):
        state, _ = ask(state, ("reload", number), False, 0.0)
    for turn in range(1, 4):
        for token in [one for one, _ in state.inside]:
            state, admitted = leave(state, token, turn * LONG)
            begun += [name for name, _ in admitted]
    four = ["crashed", "crashed", "crashed", "reload"]
    assert begun == [*four, *four, "crashed", "crashed", "reload"]


# The gate ---------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """A loop of timers alone."""

    time: float = 0.0
    timers: list[Timer] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callback) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def wait(self, seconds: float) -> None:
        self.time += seconds
        for timer in [one for one in self.timers if one.when <= self.time]:
            self.timers.remove(timer)
            if timer.callback is not None:
                timer.callback()


def gate_of(places: int) -> tuple[StartGate, Any]:
    clock: Any = Clock()
    loop: Loop = clock
    return StartGate(loop, places), clock


def test_the_gate_lets_in_when_a_place_lapses() -> None:
    gate, clock = gate_of(1)
    begun: list[str] = []
    for name in "abc":
        gate.enter((name, 1), True, lambda name=name: begun.append(name))  # type: ignore[misc]  # mypy infers no defaults
    assert begun == ["a"]
    clock.wait(PATIENCE)
    clock.wait(PATIENCE)
    assert begun == ["a", "b", "c"]


def test_a_thousand_that_fail_at_once_are_no_recursion() -> None:
    gate, _ = gate_of(1)
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        gate.leave(("v", number))

    gate.enter(("first", 1), True, lambda: None)
    for number in range(3000):
        gate.enter(("v", number), True, lambda number=number: fail(number))  # type: ignore[misc]  # mypy infers no defaults
    gate.leave(("first", 1))
    assert begun == list(range(3000))


def test_the_gate_knows_whose_turn_it_is() -> None:
    gate, clock = gate_of(1)
    begun: list[str] = []
    for name, owner in (("a1", HORDE), ("a2", HORDE), ("a3", HORDE), ("b", OTHER)):
        gate.enter((name, 1), True, lambda name=name: begun.append(name), owner)  # type: ignore[misc]  # mypy infers no defaults
    clock.wait(PATIENCE)
    assert begun == ["a1", "b"]


def test_who_has_left_is_not_called() -> None:
    gate, _ = gate_of(1)
    begun: list[str] = []
    gate.enter(A, True, lambda: begun.append("a"))
    gate.enter(B, True, lambda: begun.append("b"))
    gate.leave(B)
    gate.leave(A)
    assert begun == ["a"]


def test_more_places_let_more_in() -> None:
    gate, _ = gate_of(1)
    begun: list[str] = []
    for name in "abc":
        gate.enter((name, 1), True, lambda name=name: begun.append(name))  # type: ignore[misc]  # mypy infers no defaults
    gate.resize(2)
    assert begun == ["a", "b"]


# The clock of a start ---------------------------------------------------------------------------------------------


def test_a_start_that_waits_for_its_turn_does_not_run_out_of_time() -> None:
    world = starting()
    world.tell(Queued(1))
    world.wait(START_TIMEOUT * 10)
    assert (world.state, world.told(1)) == ("STARTING", [])
    world.tell(Begun(1))
    assert world.due == START_TIMEOUT
    world.wait(START_TIMEOUT)
    assert world.told(1) != []


@pytest.mark.parametrize("event", [Queued, Begun])
def test_late_news_of_another_start_changes_nothing(event: type[Queued] | type[Begun]) -> None:
    for world in (running(), reloading(), starting(), World(Vassal("blog"))):
        before = world.vassal
        assert before is not None
        assert step(before, event(7), world.now + 5.0) == (before, ())


def test_one_that_was_told_to_go_keeps_the_deadline_of_its_going() -> None:
    world = starting()
    world.tell(Queued(1))
    world.order("stop")
    due = world.due
    assert due is not None
    world.tell(Begun(1))
    assert world.due == due
