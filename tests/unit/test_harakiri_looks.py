"""When a vassal looks at its workers' requests, and whom it asks for last words. Clock and crew are the test's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

import pytest

from emperor.crew.company import Living
from emperor.crew.harakiri import Harakiri
from emperor.supervision import generation as gen
from emperor.system import stacks
from emperor.system.scoreboard import InFlight

LIMIT, BORN = 30.0, 1000.0
WORKER = gen.born(7, gen.Patience(60.0, 30.0), BORN)
ONE, TWO = Living(0, 0, 501, WORKER), Living(1, 1, 502, gen.born(8, WORKER.patience, BORN))


class Call(NamedTuple):
    when: float
    what: Callable[[], object]


class World:
    """Loop, scoreboard and crew in one. ``happened``: in order."""

    def __init__(self) -> None:
        self.clock = BORN
        self.calls: list[Call] = []
        self.present = [ONE, TWO]
        self.cells: dict[int, list[InFlight]] = {}
        self.happened: list[tuple[Any, ...]] = []
        self.while_heard: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.clock

    def call_at(self, when: float, what: Callable[[], object]) -> None:
        self.calls.append(Call(when, what))

    def in_flight(self, cell: int) -> list[InFlight]:
        return list(self.cells.get(cell, []))

    def living(self) -> Iterator[Living]:
        return iter(self.present)

    def condemn(self, pid: int, how: str, kill: bool = True) -> None:
        self.happened.append(("kill" if kill else "condemn", pid, how))
        if not kill:
            self.while_heard()

    def lines(self, seat: int, lines: list[str]) -> None:
        self.happened.append(("line", seat, *lines))

    def go_on(self) -> float:
        """To the next call; when that was."""
        call = min(self.calls, key=lambda one: one.when)
        self.calls.remove(call)
        self.clock = max(self.clock, call.when)
        call.what()
        return call.when

    def did(self, what: str) -> list[tuple[Any, ...]]:
        return [one for one in self.happened if one[0] == what]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    one = World()
    monkeypatch.setattr(stacks, "ask", lambda pid: one.happened.append(("ask", pid)))
    watched: Any = one
    Harakiri(LIMIT, watched, watched, watched, one.lines).start()
    return one


def test_where_nothing_is_busy_it_looks_once_in_its_limit(world: World) -> None:
    assert [world.go_on() for _ in range(3)] == [BORN + LIMIT, BORN + 2 * LIMIT, BORN + 3 * LIMIT]
    assert len(world.calls) == 1
    assert world.happened == []


def test_it_looks_again_when_the_oldest_request_is_due(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN + 20, "GET /a")], 1: [InFlight(0, BORN + 12, "GET /b")]}
    world.go_on()
    assert world.happened == []
    assert [one.when for one in world.calls] == [BORN + 12 + LIMIT]


@pytest.mark.parametrize("since", [BORN + 1e18, float("inf"), float("nan")])
def test_a_moment_to_come_that_an_app_has_written_keeps_nobody_from_looking(world: World, since: float) -> None:
    world.cells = {0: [InFlight(0, since, "GET /a")]}
    assert world.go_on() == BORN + LIMIT
    world.cells[1] = [InFlight(0, BORN + LIMIT, "GET /b")]
    assert world.go_on() == BORN + 2 * LIMIT
    assert world.did("ask") == [("ask", 502)]


def test_who_is_overdue_is_asked_and_the_line_stands_before_what_it_writes(world: World) -> None:
    world.cells = {1: [InFlight(0, BORN + 0.001, "GET /report?x=1")]}
    world.go_on()
    world.go_on()
    how = "killed by harakiri in GET /report"
    line = "worker 2: harakiri: GET /report?x=1 has taken more than 30 s -- killed, with these stacks:"
    assert world.happened == [("condemn", 502, how), ("ask", 502), ("line", 1, line)]


def test_who_does_not_die_is_killed_after_a_second_and_asked_only_once(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN, "GET /")]}
    assert world.go_on() == BORN + LIMIT
    assert world.go_on() == BORN + LIMIT + stacks.PATIENCE
    assert world.did("kill") == [("kill", 501, "killed by harakiri in GET /")]
    world.go_on()
    assert len(world.did("ask")) == 1


def test_who_died_in_time_is_not_killed_nor_who_has_its_number_now(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN, "GET /")]}
    world.go_on()
    world.present = [ONE._replace(worker=gen.born(9, WORKER.patience, world.clock)), TWO]
    world.cells = {}
    world.go_on()
    assert world.did("kill") == []


def test_a_request_that_ends_as_it_is_looked_at_costs_no_fresh_one_its_worker(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN, "GET /slow")]}

    def ended() -> None:
        world.cells = {0: [InFlight(0, world.clock, "GET /slow")]}

    world.while_heard = ended
    world.go_on()
    assert world.did("ask") == world.did("line") == []
    assert world.happened[-1] == ("condemn", 501, ""), "a later death is called by its own name"
    assert [one.when for one in world.calls] == [world.clock + LIMIT]


def test_a_time_that_is_only_half_written_condemns_nobody(world: World) -> None:
    world.cells = {0: [InFlight(0, 1.2e-304, "GET /")]}
    world.go_on()
    assert world.happened == []


def test_the_other_requests_of_the_worker_are_counted_in_the_line(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN, "GET /a"), InFlight(1, BORN + 29, "GET /b"), InFlight(2, BORN + 28, "GET /c")]}
    world.go_on()
    assert "GET /a has taken more than 30 s -- killed (and 2 other requests)" in world.did("line")[0][2]


def test_a_bug_of_ours_does_not_end_the_looks(world: World) -> None:
    world.cells = {0: [InFlight(0, BORN, "GET /")]}

    def bug() -> None:
        raise RuntimeError

    world.while_heard = bug
    with pytest.raises(RuntimeError):
        world.go_on()
    assert [one.when > world.clock for one in world.calls] == [True]
