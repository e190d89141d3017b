"""More workers and fewer, as real forks: by order, and by how busy they are."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.supervision import backoff
from emperor.system.scoreboard import Scoreboard, Tally
from tests.integration.crew_world import World, answers, idles, ready, stubborn
from tests.integration.kernel_world import gone


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def as_told(cell: int, report: int, tally: Tally) -> None:
    """Busy from USR1 on, until USR2."""
    told = {signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    ready(report)
    while True:
        if signal.sigwait(told) == signal.SIGUSR1:
            tally.begin(0)
        else:
            tally.end(0, False)


def states_are(world: World, states: list[str]) -> Callable[[], bool]:
    return lambda: [one.state for one in world.crew.reports()] == states


def all_are(world: World, state: str, count: int) -> Callable[[], bool]:
    return states_are(world, [state] * count)


def pids(world: World) -> list[int]:
    return [one.pid for one in world.crew.reports()]


def test_there_are_as_many_as_were_ordered_and_the_order_is_answered(world: World) -> None:
    world.start(idles, processes=2)
    first = world.until_idle()
    assert world.counted == []
    world.crew.resize(5)
    assert world.counted == [(2, 0)]
    world.until(all_are(world, "idle", 5))
    assert pids(world)[:2] == first
    assert [one.id for one in world.crew.reports()] == [1, 2, 3, 4, 5]
    world.until(lambda: world.counted[-1] == (5, 0))
    world.crew.resize(1)
    world.until(lambda: len(world.crew.reports()) == 1)
    assert pids(world) == first[:1]
    world.until(lambda: world.counted[-1] == (1, 0))
    assert (1, 4) in world.counted
    assert not world.said("starting another")()
    assert world.report().exits == 0


def test_what_changes_without_an_order_is_not_told(world: World) -> None:
    world.start(answers, processes=2)
    (pid, _) = world.until_idle()
    os.kill(pid, signal.SIGKILL)
    world.until_replaced(pid)
    world.until_idle()
    assert world.counted == []


def test_after_an_order_each_change_is_told(world: World) -> None:
    world.start(answers, processes=2)
    (pid, _) = world.until_idle()
    world.crew.resize(2)
    assert world.counted == [(2, 0)]
    os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.report().pid not in (0, pid))
    world.until(lambda: world.counted[-1] == (2, 0) and all_are(world, "idle", 2)())


def test_a_word_that_could_not_be_said_is_said_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    def deaf_at_first(workers: int, leaving: int) -> None:
        told.append((workers, leaving))
        if len(told) == 1:
            raise TimeoutError

    monkeypatch.setattr(world, "_crewed", deaf_at_first)
    world.start(idles)
    world.until_idle()
    with pytest.raises(TimeoutError):
        world.crew.resize(1)
    world.look_often()
    world.until(lambda: told == [(1, 0), (1, 0)])


def test_nobody_at_all_and_then_somebody_again(world: World) -> None:
    world.start(idles, processes=3)
    first = world.until_idle()
    world.crew.resize(0)
    world.until(lambda: all(map(gone, first)) and world.crew.reports() == ())
    world.until(lambda: world.counted[-1] == (0, 0))
    assert world.emptied == 0
    world.crew.resize(2)
    assert not set(world.until_idle()) & set(first)
    world.until(lambda: world.counted[-1] == (2, 0))


def test_it_begins_with_another_number_than_the_inis(world: World) -> None:
    world.start(idles, processes=1, workers=4)
    world.until(all_are(world, "idle", 4))


def test_there_may_be_many_more_than_there_were_cells_for(world: World) -> None:
    """The scoreboard was made for one."""
    world.start(answers, processes=1)
    world.until_idle()
    world.crew.resize(60)
    world.until(all_are(world, "idle", 60))
    assert all(one.requests == 1 for one in world.crew.reports())
    assert world.crew.answered == 60
    world.crew.resize(1)
    world.until(lambda: len(world.crew.reports()) == 1)
    assert world.crew.answered == 60 and world.report().earlier == 59


def test_nobody_counts_more_than_once_in_any_order_of_cells(world: World) -> None:
    world.start(answers, processes=3)
    world.until_idle()
    for wanted in (1, 4, 2, 5, 0, 3):
        world.crew.resize(wanted)
        world.until(all_are(world, "idle", wanted))
    assert world.crew.answered == 3 + 3 + 3 + 3
    assert [one.requests for one in world.crew.reports()] == [1, 1, 1]


def test_when_there_is_no_memory_for_a_cell_it_is_as_if_there_could_be_no_fork(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    world.start(idles)
    world.until_idle()
    real, calls = mmap.mmap, 0

    def full(*given: int) -> mmap.mmap:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(12, os.strerror(12))
        return real(*given)

    monkeypatch.setattr(mmap, "mmap", full)
    world.crew.resize(2)
    assert world.said("worker 2: fork: Cannot allocate memory -- trying again in 0.")()
    world.until(all_are(world, "idle", 2))


def test_whoever_does_not_go_when_there_are_to_be_fewer_is_killed(world: World) -> None:
    world.start(stubborn, processes=2, reload_mercy=0.3)
    _, second = world.until_idle()
    world.crew.resize(1)
    assert [one.state for one in world.crew.reports()] == ["idle", "retiring"]
    world.until(lambda: gone(second) and len(world.crew.reports()) == 1)
    assert world.said("worker 2: still there after 0.3 s (reload-mercy) -- killed")()


def test_a_drain_ends_those_who_were_on_their_way_out_too(world: World) -> None:
    world.start(stubborn, processes=2, reload_mercy=60.0)
    first = world.until_idle()
    world.crew.resize(1)
    world.crew.drain(0.1)
    world.until(lambda: world.emptied)
    assert all(map(gone, first))
    world.crew.resize(3)
    assert [*world.crew.living()] == []


def test_a_death_that_is_waited_for_is_not_waited_for_any_more_when_its_seat_is_closed(world: World) -> None:
    def dies(cell: int, report: int, tally: Tally) -> int:
        if cell:
            return 3
        idles(cell, report, tally)
        return 0

    world.start(dies, processes=2, lazy_apps=True)
    world.until(lambda: [one.state for one in world.crew.reports()] == ["idle", "backoff"])
    world.crew.resize(1)
    assert len(world.crew.reports()) == 1 and world.crew._retries.timers == {}


def test_cheaper_makes_more_when_all_are_busy_and_fewer_when_they_are_not_needed(world: World) -> None:
    world.start(as_told, processes=3, cheaper=1, cheaper_overload=0.1)
    world.look_often(0.05)
    for count in (1, 2):
        (*_, newest) = world.until_idle() if count == 1 else pids(world)
        os.kill(newest, signal.SIGUSR1)
        world.until(states_are(world, ["busy"] * count + ["idle"]))
    assert world.said("cheaper: 1 worker: all were busy -- from now on 2")()
    os.kill(pids(world)[2], signal.SIGUSR1)
    world.until(states_are(world, ["busy"] * 3))
    for pid in pids(world):
        os.kill(pid, signal.SIGUSR2)
    world.until(states_are(world, ["idle"]))
    assert world.said("cheaper: 2 workers: not all were needed -- from now on 1")()
    assert not world.said("starting another")() and not world.said("from now on 4")()


def test_cheaper_looks_more_often_only_while_all_are_busy(world: World) -> None:
    """One look a second begins it; the others come of themselves."""
    world.start(as_told, processes=2, cheaper=1, cheaper_overload=0.5)
    (pid,) = world.until_idle()
    world.crew.look()
    assert world.crew._pacing._hasty is None
    os.kill(pid, signal.SIGUSR1)
    world.until(all_are(world, "busy", 1))
    world.crew.look()
    assert world.crew._pacing._hasty is not None
    world.until(lambda: len(world.crew.reports()) == 2)
    world.until(lambda: world.report(1).state == "idle")
    world.crew.look()
    world.until(lambda: world.crew._pacing._hasty is None)


def test_cheaper_begins_with_its_initial_number_and_an_order_is_its_maximum(world: World) -> None:
    world.start(idles, processes=4, cheaper=1, cheaper_initial=3)
    world.until(all_are(world, "idle", 3))
    world.crew.resize(2)
    world.until(all_are(world, "idle", 2))
    world.crew.resize(9)
    world.until(lambda: world.counted[-1] == (2, 0))
    assert len(world.crew.reports()) == 2
    world.crew.resize(0)
    world.until(lambda: world.crew.reports() == ())
    world.crew.resize(4)
    world.until(all_are(world, "idle", 1))


def test_cells_that_are_made_later_are_shared_as_the_first_ones_are() -> None:
    board = Scoreboard(1, 2)
    for worker in (0, 1, 7):
        board.clear(worker)
        pid = os.fork()
        if pid == 0:
            tally = board.tally(worker)
            tally.begin(1, "GET /x")
            os._exit(0)
        os.waitpid(pid, 0)
        assert board.read(worker).busy == 1
        ((thread, request),) = ((one.thread, one.request) for one in board.in_flight(worker))
        assert (thread, request) == (1, "GET /x")
    assert board.read(0).busy == 1
