"""Inis that wait to be read, on a clock that is turned by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from emperor.intake.readinglist import SLICE, ReadingList
from emperor.system.eventloop import Loop

COSTS = SLICE * 0.4
"""Seconds that one of them takes: three to a slice."""


class Clock:
    def __init__(self) -> None:
        self.time, self.due = 100.0, list[tuple[float, Callable[[], None]]]()

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, act: Callable[[], None]) -> object:
        self.due.append((when, act))
        return object()

    def go(self, seconds: float) -> None:
        self.time += seconds
        ripe = [act for when, act in self.due if when <= self.time]
        self.due = [one for one in self.due if one[0] > self.time]
        for act in ripe:
            act()


def test_between_two_slices_is_a_pause_as_long_whoever_asks_for_more() -> None:
    clock, read = Clock(), list[str]()

    def costly(name: str, written: bool) -> None:
        clock.time += COSTS
        read.append(name)

    inis = ReadingList(cast(Loop, clock), costly)
    for number in range(7):
        inis.add(f"{number}", "alice", True)
    inis.go()
    assert len(read) == 3
    inis.go()
    assert len(read) == 3, "it is not read on since something else has changed"
    clock.go(SLICE * 0.9)
    inis.add("late", "bob", True)
    inis.go()
    assert len(read) == 3
    clock.go(SLICE * 0.11)
    assert len(read) == 6 and read[3] == "late", "who has had nothing yet comes first"
    clock.go(SLICE * 0.9)
    assert len(read) == 6
    clock.go(SLICE * 0.11)
    assert len(read) == 8 and inis.names() == frozenset()
    clock.go(SLICE)
    inis.add("again", "alice", False)
    inis.go()
    assert read[-1] == "again" and clock.due == [], "no pause is left when there is nothing to be read"
