"""Random walks of a whole crew over a kernel that is made up: what holds whatever happens, in whatever order."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import Any

import pytest

from emperor.crew import hand as hands
from emperor.crew.crew import Crew
from emperor.crew.ears import Ears
from emperor.crew.hand import Hand
from emperor.model import Identity, VassalSpec
from emperor.supervision.generation import Action, Event, Phase
from emperor.system import forks
from emperor.system.eventloop import Timer
from emperor.system.scoreboard import Scoreboard
from emperor.worker import READY

STEPS = 400


class Clock:
    """A loop without descriptors, whose time is the test's."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.timers: list[Timer] = []

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def watch(self, fd: int, callback: Callable[[], object]) -> None: ...

    def unwatch(self, fd: int) -> None: ...

    def pending(self) -> list[Timer]:
        return sorted((one for one in self.timers if one.callback is not None), key=lambda one: one.when)

    def pass_by(self, seconds: float) -> None:
        end = self.time + seconds
        while (due := self.pending()) and due[0].when <= end:
            self.time = max(self.time, due[0].when)
            callback, due[0].callback = due[0].callback, None
            assert callback is not None
            callback()
        self.time = end
        self.timers = self.pending()


class Kernel:
    """Its processes: pid → the worker's hand; what they were sent; who has died and was not reaped yet."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.pid, self.refuses = 100, False
        self.alive: dict[int, Hand] = {}
        self.sent: dict[int, list[Action]] = {}
        self.dead: dict[int, int] = {}
        patch.setattr(Hand, "fork", lambda hand, become: self._fork(hand))
        patch.setattr(Hand, "send", lambda hand, action: self._send(hand, action))
        patch.setattr(Hand, "hurry", lambda hand: None)
        patch.setattr(forks, "wait", self._wait)
        patch.setattr(hands, "MAX_READS", 0)

    def _fork(self, hand: Hand) -> None:
        if self.refuses:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self.pid += 1
        hand.pid = self.pid
        self.alive[hand.pid], self.sent[hand.pid] = hand, []

    def _send(self, hand: Hand, action: Action) -> None:
        if hand.pid in self.alive:
            self.sent[hand.pid].append(action)
            if action is Action.KILL:
                self.die(hand.pid, 9)

    def die(self, pid: int, status: int = 0) -> None:
        if pid in self.alive:
            del self.alive[pid]
            self.dead[pid] = status

    def _wait(self, pid: int) -> tuple[int, int | None]:
        return (pid, self.dead.pop(pid)) if pid in self.dead else (0, None)


class World:
    def __init__(self, patch: pytest.MonkeyPatch, luck: random.Random, **more: Any) -> None:
        self.luck, self.clock, self.kernel = luck, Clock(), Kernel(patch)
        self.lines: list[str] = []
        self.emptied = self.requests = 0
        self.counted: list[tuple[int, int]] = []
        spec = VassalSpec("blog", "/blog.ini", "/", Identity(1, 1, (), "me", "/"), (), (), **{"processes": 3, **more})
        self.spec, self.board = spec, Scoreboard(1, 1)
        ears = Ears(
            lambda index, lines: self.lines.extend(lines),
            lambda: None,
            lambda reason, text: None,
            self._empty,
            lambda workers, leaving: self.counted.append((workers, leaving)),
        )
        self.crew = Crew(spec, self.clock, self.board, lambda cell, number, report: 0, ears, lambda: None)  # type: ignore[arg-type]  # all that it uses
        self.crew.start()

    def _empty(self) -> None:
        self.emptied += 1

    def phase(self, hand: Hand) -> Phase | None:
        return next((one.worker.phase for one in self.crew.living() if one.pid == hand.pid), None)

    # --- what may happen ---

    def one_is_ready(self) -> None:
        said = [one for one in self.kernel.alive.values() if self.phase(one) is Phase.STARTING]
        if said:
            self.crew._word(self.luck.choice(said), READY)

    def one_answers(self) -> None:
        serving = [one for one in self.kernel.alive.values() if self.phase(one) in (Phase.READY, Phase.RETIRING)]
        if serving:
            for _ in range(self.luck.randint(1, 10)):
                tally = self.board.tally(self.luck.choice(serving).cell)
                tally.begin(0)
                tally.end(0, False)
                self.requests += 1

    def one_hangs(self) -> None:
        if self.kernel.alive:
            self.board.tally(self.luck.choice([*self.kernel.alive.values()]).cell).begin(0)

    def one_that_was_told_goes(self) -> None:
        told = [pid for pid in self.kernel.alive if self.kernel.sent[pid]]
        if told:
            self.kernel.die(self.luck.choice(told))

    def one_dies(self) -> None:
        if self.kernel.alive:
            self.kernel.die(self.luck.choice([*self.kernel.alive]), self.luck.choice([9, 11, 256]))

    def some_are_reaped(self) -> None:
        self.crew.reap()

    def one_is_condemned(self) -> None:
        living = [*self.crew.living()]
        if living:
            self.crew.condemn(self.luck.choice(living).pid, "killed by harakiri in GET /")

    def time_passes(self) -> None:
        self.clock.pass_by(self.luck.choice([0.05, 0.2, 1.0, 5.0]))

    def it_is_looked_at(self) -> None:
        self.crew.look()

    def forks_are_refused(self) -> None:
        self.kernel.refuses = not self.kernel.refuses

    def it_is_resized(self) -> None:
        self.crew.resize(self.luck.randint(0, 6))

    EVENTS = (
        *(one_is_ready, one_answers, it_is_looked_at, time_passes, some_are_reaped) * 4,
        *(one_that_was_told_goes, some_are_reaped) * 3,
        one_hangs,
        one_dies,
        one_is_condemned,
        forks_are_refused,
        it_is_resized,
    )

    # --- what must hold ---

    def hold(self) -> None:
        seats, living = self.crew._company.seats, [*self.crew.living()]
        assert sum(seat.incoming is not None for seat in seats) <= 1
        assert len({one.cell for one in living}) == len(living), "two workers share a cell"
        assert {one.pid for one in living} == {*self.kernel.alive, *self.kernel.dead}
        assert self.crew.answered == self.requests
        if self.crew.drain_deadline is None:
            inside = [seat for seat in seats if seat.open]
            assert len(inside) == self.crew._pacing.wanted
            for seat in inside:
                assert (seat.sitting is None) == (seat.index in self.crew._retries.timers), seat
            assert not any(seat.sitting or seat.incoming for seat in seats if not seat.open)
        for seat in seats:
            assert all(one.phase in (Phase.RETIRING, Phase.DRAINING) for one in seat.outgoing)
        # Whoever was told to go, and does not, is killed in the end.
        for one in living:
            leaving = one.worker.phase in (Phase.RETIRING, Phase.DRAINING)
            assert not leaving or one.pid in self.kernel.dead or one.worker.deadline is not None

    def serving(self) -> int:
        return sum(seat.serves for seat in self.crew._company.seats)

    def calm_down(self) -> None:
        """Nothing bad happens any more; whoever is told to go goes."""
        self.kernel.refuses = False
        for _ in range(200):
            for hand in [*self.kernel.alive.values()]:
                if self.phase(hand) is Phase.STARTING:
                    self.crew._word(hand, READY)
            for pid in [pid for pid in self.kernel.alive if self.kernel.sent[pid]]:
                self.kernel.die(pid)
            self.crew.reap()
            self.clock.pass_by(1.0)


SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"max_requests": 5, "min_worker_lifetime": 0.0},
    {"max_worker_lifetime": 3.0, "min_worker_lifetime": 1.0, "lazy_apps": True},
    {"cheaper": 1, "processes": 4, "cheaper_step": 2, "max_requests": 20, "min_worker_lifetime": 0.0},
    {"cheaper": 2, "processes": 6, "cheaper_initial": 3, "cheaper_overload": 0.2, "reload_mercy": 2.0},
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(spec) or "plain")
@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_a_crew_its_promises_hold(
    monkeypatch: pytest.MonkeyPatch, seed: int, spec: dict[str, Any]
) -> None:
    world = World(monkeypatch, random.Random(seed), **spec)
    world.hold()
    for _ in range(STEPS):
        world.luck.choice(World.EVENTS)(world)
        world.hold()
    for hand in world.kernel.alive.values():
        # A request that hung has ended.
        world.board.tally(hand.cell).end(0, False)
    world.requests = world.crew.answered
    world.calm_down()
    world.hold()
    assert world.serving() == world.crew._pacing.wanted == len(world.kernel.alive)
    assert {one.state for one in world.crew.reports()} <= {"idle"}
    if world.counted:
        assert world.counted[-1] == (world.serving(), 0)


@pytest.mark.parametrize("seed", range(20))
def test_renewals_never_make_them_fewer(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Nobody dies: whatever else happens, as many serve as the ini says."""
    world = World(monkeypatch, random.Random(seed), max_requests=4, min_worker_lifetime=0.0, reload_mercy=1000.0)
    for hand in [*world.kernel.alive.values()]:
        world.crew._word(hand, READY)
    calm = (World.one_is_ready, World.one_answers, World.it_is_looked_at, World.some_are_reaped)
    more = (World.one_that_was_told_goes, World.forks_are_refused, World.time_passes, World.one_hangs)
    for _ in range(STEPS):
        world.luck.choice((*calm, *more))(world)
        if not world.kernel.refuses and world.luck.random() < 0.02:
            # The replacement alone may die: whoever it was to follow is there.
            for seat in world.crew._company.seats:
                if seat.incoming is not None:
                    world.kernel.die(world.crew._company.hands[seat.incoming.number].pid, 9)
        world.hold()
        assert world.serving() == 3
    rows = world.crew.reports()[:3]
    assert sum(one.renewals for one in rows) >= 1


@pytest.mark.parametrize("how", [Event.DRAIN, Event.RETIRE])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(spec) or "plain")
@pytest.mark.parametrize("seed", range(8))
def test_a_drain_at_any_moment_ends_everybody(
    monkeypatch: pytest.MonkeyPatch, seed: int, spec: dict[str, Any], how: Event
) -> None:
    world = World(monkeypatch, random.Random(seed), **spec)
    for _ in range(world.luck.randint(0, STEPS)):
        world.luck.choice(World.EVENTS)(world)
    born = world.kernel.pid
    world.crew.drain(5.0, how)
    for _ in range(50):
        world.luck.choice(World.EVENTS)(world)
        world.hold()
    world.clock.pass_by(60.0)
    world.crew.reap()
    assert world.emptied and not world.kernel.alive and world.kernel.pid == born


def test_what_a_seat_suffered_is_not_forgotten_when_it_is_closed_and_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, random.Random(1), processes=2, lazy_apps=True)
    pids = sorted(world.kernel.alive)
    world.kernel.die(pids[1], 256)
    world.crew.reap()
    retry = world.crew.reports()[1].retry_at
    assert retry is not None
    world.crew.resize(1)
    world.crew.resize(2)
    assert world.crew.reports()[1].retry_at == pytest.approx(retry)
    assert world.crew.reports()[1].exits == 1


def test_the_idle_go_first_and_the_busy_last(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, random.Random(1), processes=4)
    hands = [world.kernel.alive[pid] for pid in sorted(world.kernel.alive)]
    for hand in hands[:3]:
        world.crew._word(hand, READY)
    world.board.tally(hands[0].cell).begin(0)
    world.board.tally(hands[2].cell).begin(0)
    left = []
    for wanted in (3, 2, 1, 0):
        world.crew.resize(wanted)
        left.append({one.worker.number - 1 for one in world.crew.living() if not world.kernel.sent[one.pid]})
    assert left == [{0, 1, 2}, {0, 2}, {0}, set()]
