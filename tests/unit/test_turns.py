"""Who asks for what costs a lot, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from emperor.answers.turns import PAUSE, Turns
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
