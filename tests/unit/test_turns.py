"""Who asks for what costs a lot, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from emperor.answers.turns import PAUSE, REST, Turns
from emperor.system.eventloop import Loop


class Clock:
    def __init__(self) -> None:
        self.time, self.due = 100.0, list[tuple[float, Callable[[], None]]]()

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        self.due.append((when, act))

    def go(self, seconds: float) -> None:
        self.time += seconds
        ripe = [act for when, act in self.due if when <= self.time]
        self.due = [one for one in self.due if one[0] > self.time]
        for act in ripe:
            act()


def test_one_user_waits_for_a_turn_and_nobody_else_does() -> None:
    clock, done = Clock(), list[str]()
    turns = Turns(cast(Loop, clock))
    for number in range(16):
        turns.take(1001, lambda number=number: done.append(f"alice {number}"))  # type: ignore[misc]
    turns.take(1002, lambda: done.append("bob"))
    assert done == ["alice 0", "bob"]
    for count in range(2, 17):
        clock.go(PAUSE * 1.0001)
        assert done[-1] == f"alice {count - 1}" and len(done) == count + 1
    clock.go(PAUSE)
    turns.take(1001, lambda: done.append("at once"))
    assert done[-1] == "at once" and clock.due == []


def test_who_asks_for_much_leaves_three_quarters_of_the_time_to_others() -> None:
    clock, done = Clock(), list[float]()
    turns = Turns(cast(Loop, clock))

    def costly() -> None:
        clock.time += 0.1
        done.append(clock.time)

    for _ in range(8):
        turns.weigh(1001, costly)
    assert len(done) == 1
    turns.weigh(1002, lambda: done.append(clock.time))
    assert len(done) == 2, "somebody else does not wait"
    began = clock.time
    while clock.due:
        clock.go(0.01)
    assert len(done) == 9
    assert clock.time - began > 7 * 0.1 * (1 + REST) - 0.11


def test_questions_that_cost_nothing_are_answered_at_once_however_many() -> None:
    clock, done = Clock(), list[int]()
    turns = Turns(cast(Loop, clock))
    for number in range(100):
        turns.weigh(1001, lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == list(range(100))


def test_a_look_does_not_wait_for_what_costs_more_than_a_look() -> None:
    clock, done = Clock(), list[str]()
    turns = Turns(cast(Loop, clock))
    turns.weigh(1001, lambda: turns.take(1001, lambda: done.append("config")))
    turns.weigh(1001, lambda: done.append("status"))
    turns.take(1001, lambda: done.append("another config"))
    assert done == ["config", "status"]
    clock.go(PAUSE * 1.0001)
    assert done[-1] == "another config"
