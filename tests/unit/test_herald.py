"""What the service manager is told, and when: under a fake clock, on a list instead of a socket."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import Any, Callable, cast

import pytest

from emperor.herald import EVERY, LONGEST_START, STATUS_EVERY, Herald, unit_of
from emperor.model import Identity, VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.record import Vassal
from emperor.system.eventloop import Loop
from emperor.system.notify import Notifier

SPEC = VassalSpec("blog", "/v/blog.ini", "/v", Identity(1, 1, (1,), "alice", "/"), (), ())
STARTING = Vassal("blog", spec=SPEC, incoming=gen.born(1, Patience(60.0, 30.0), 0.0), last_number=1)
RUNNING = replace(
    STARTING, incoming=None, serving=gen.step(gen.born(1, Patience(60.0, 30.0), 0.0), gen.Event.READY, 1)[0]
)
RELOADING = replace(RUNNING, incoming=gen.born(2, Patience(60.0, 30.0), 2.0))
PAUSED = Vassal("shop", spec=SPEC, retry_at=9.0)


class Clock:
    """A loop without a kernel."""

    def __init__(self) -> None:
        self.time = 0.0
        self.due: list[tuple[float, int, Callable[[], object]]] = []

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        heapq.heappush(self.due, (when, len(self.due), callback))

    def on_the_beat(self, every: float, callback: Callable[[], object]) -> None:
        self.call_at((self.time // every + 1) * every, callback)

    def go_to(self, when: float) -> None:
        while self.due and self.due[0][0] <= when:
            self.time, _, callback = heapq.heappop(self.due)
            callback()
        self.time = when


class Words:
    """A notifier that remembers."""

    def __init__(self, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *what: self.said.append(" ".join([name, *map(str, what)]))

    def of(self, *names: str) -> list[str]:
        return [word for word in self.said if word.split()[0] in names]


class World:
    def __init__(self, *vassals: Vassal, watchdog: float | None = None) -> None:
        self.clock, self.words = Clock(), Words(watchdog)
        self.vassals = {one.name: one for one in vassals}
        self.readied = 0
        loop, notifier = cast(Loop, self.clock), cast(Notifier, self.words)
        self.herald = Herald(loop, notifier, lambda: self.vassals.values())

    def begin(self) -> None:
        def ready() -> None:
            self.readied += 1

        self.herald.begin(ready)

    def become(self, vassal: Vassal) -> None:
        self.vassals[vassal.name] = vassal
        self.herald.look()


def test_ready_comes_when_everybody_has_come_to_rest_and_once() -> None:
    world = World(STARTING, PAUSED)
    world.begin()
    assert world.words.of("ready") == []
    world.become(RUNNING)
    assert world.words.of("ready") == ["ready 2 vassals: 1 running, 1 backoff: shop"]
    world.become(STARTING)
    world.become(RUNNING)
    world.clock.go_to(LONGEST_START + 1)
    assert world.readied == len(world.words.of("ready")) == 1


def test_without_vassals_it_is_ready_at_once() -> None:
    world = World()
    world.begin()
    assert world.words.of("ready") == ["ready 0 vassals"]


def test_one_that_imports_for_ever_does_not_make_everybody_wait() -> None:
    world = World(STARTING)
    world.begin()
    world.clock.go_to(LONGEST_START - 1)
    assert world.words.of("ready") == []
    assert len(world.words.of("extend")) == int((LONGEST_START - 1) // EVERY) + 1
    world.clock.go_to(LONGEST_START)
    assert len(world.words.of("ready")) == world.readied == 1


def test_a_reload_is_announced_and_over_when_all_are_through() -> None:
    world = World(RUNNING)
    world.begin()
    world.vassals["blog"] = RELOADING
    world.herald.reloading()
    assert world.words.of("reloading", "ready") == ["ready 1 vassal: 1 running", "reloading"]
    world.become(RUNNING)
    assert len(world.words.of("ready")) == 2 and world.readied == 1


def test_a_reload_with_nothing_to_do_is_over_at_once() -> None:
    world = World(RUNNING)
    world.begin()
    world.herald.reloading()
    assert [word.split()[0] for word in world.words.of("reloading", "ready")] == ["ready", "reloading", "ready"]


def test_the_status_is_said_only_when_it_is_another() -> None:
    world = World(RUNNING)
    world.herald.look()
    world.herald.look()
    world.become(RELOADING)
    world.clock.go_to(STATUS_EVERY)
    assert world.words.of("status") == ["status 1 vassal: 1 running", "status 1 vassal: 1 reloading"]


def test_changes_that_come_thick_are_few_lines_and_the_last_one_is_true() -> None:
    world = World(RUNNING)
    for _ in range(100):
        world.become(RELOADING)
        world.become(RUNNING)
    world.become(RELOADING)
    world.clock.go_to(10 * STATUS_EVERY)
    assert world.words.of("status") == ["status 1 vassal: 1 reloading"]


def test_who_drains_asks_for_time_until_the_end_and_is_ready_no_more() -> None:
    world = World(RUNNING)
    world.herald.stopping()
    serving = RUNNING.serving
    assert serving is not None
    world.become(replace(RUNNING, serving=gen.step(serving, gen.Event.DRAIN, 0.0)[0]))
    world.clock.go_to(20.0)
    world.herald.reloading()
    assert len(world.words.of("extend")) == 1 + int(20 // EVERY)
    assert world.words.of("ready", "reloading") == []


def test_for_one_that_even_kill_does_not_end_no_time_is_asked() -> None:
    world = World(RUNNING)
    world.herald.stopping()
    serving = RUNNING.serving
    assert serving is not None
    killed = gen.step(gen.step(serving, gen.Event.DRAIN, 0.0)[0], gen.Event.DEADLINE, 30.0)[0]
    world.become(replace(RUNNING, serving=killed))
    world.clock.go_to(100.0)
    assert len(world.words.of("extend")) == 1


def test_the_watchdog_hears_twice_as_often_as_it_wants() -> None:
    world = World(watchdog=10.0)
    world.clock.go_to(60.0)
    assert len(world.words.of("alive")) == 13
    assert World().words.of("alive") == []


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/emperor.service\n", "emperor.service"),
        ("0::/system.slice/system-emperor.slice/emperor@two.service\n", "emperor@two.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/emperor.service\n", "emperor.service"),
        ("12:pids:/system.slice/emperor.service/sub\n0::/\n", "emperor.service"),
        ("0::/user.slice/session-3.scope\n", ""),
        ("", ""),
    ],
)
def test_the_unit_is_read_from_the_cgroup(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


def test_nothing_else_is_said() -> None:
    world: Any = World(RUNNING, watchdog=10.0)
    world.begin()
    world.herald.reexecuting()
    assert {word.split()[0] for word in world.words.said} == {"alive", "extend", "status", "ready"}
