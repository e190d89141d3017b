"""Workers that are worn, as real forks: the replacement comes first, whatever happens to either."""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.supervision import backoff
from emperor.supervision.generation import Event
from emperor.supervision.renewal import MEBIBYTE
from emperor.system import forks
from emperor.system.scoreboard import Tally
from emperor.worker import LEAVE
from tests.integration.crew_world import Act, World, answers, idles, ready
from tests.integration.kernel_world import fds_of, gone

WORN: dict[str, Any] = {"max_requests": 1, "max_requests_delta": 0, "min_worker_lifetime": 0.0}
"""So is whoever has answered anything."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def first(count: int, act: Act, then: Act) -> Act:
    """The first ``count`` that are forked do ``act``, those after them ``then``."""
    births = mmap.mmap(-1, 1)

    def either(cell: int, report: int, tally: Tally) -> object:
        births[0] += 1
        return (act if births[0] <= count else then)(cell, report, tally)

    return either


def starts_for_ever(cell: int, report: int, tally: Tally) -> None:
    signal.pause()


def stays_when_told(cell: int, report: int, tally: Tally) -> None:
    signal.signal(LEAVE, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers(cell, report, tally)
    while True:
        signal.pause()


def states(world: World) -> list[str]:
    return [one.state for one in world.crew.reports()]


def test_the_new_one_serves_before_the_old_one_is_told_to_go(world: World) -> None:
    def tells_the_time(cell: int, report: int, tally: Tally) -> None:
        def told(signum: int, frame: object) -> None:
            os.write(1, f"told {time.monotonic()}\n".encode())
            os._exit(0)

        signal.signal(LEAVE, told)
        os.write(1, f"ready {time.monotonic()}\n".encode())
        answers(cell, report, tally)

    world.start(first(1, tells_the_time, idles_and_says_when), **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(lambda: gone(old))
    world.until(lambda: states(world) == ["idle"])
    moments = {line.split()[0]: float(line.split()[1]) for _, line in world.lines if line[0] != "w"}
    assert moments["new"] < moments["told"]
    assert [line for _, line in world.lines if line.startswith("worker")] == [
        "worker 1: served 1 requests (max-requests) -- starting its replacement"
    ]
    told = world.report()
    assert told.pid != old and (told.requests, told.earlier, told.renewals) == (0, 1, 1)
    assert (told.exits, told.last_exit, told.died_at, told.retry_at) == (0, "", None, None)


def idles_and_says_when(cell: int, report: int, tally: Tally) -> None:
    os.write(1, f"new {time.monotonic()}\n".encode())
    idles(cell, report, tally)


def test_one_replacement_starts_at_a_time_and_nobody_is_ever_missing(world: World) -> None:
    world.start(answers, processes=3, **WORN)
    world.until_idle()
    starting, serving = [], []

    def look() -> bool:
        now = states(world)
        starting.append(now.count("starting"))
        serving.append(sum(state in ("idle", "busy") for state in now))
        return sum(one.renewals for one in world.crew.reports()) >= 12

    world.look_often()
    world.until(look)
    assert max(starting) == 1 and min(serving) == max(serving) == 3
    assert all(one.renewals >= 3 for one in world.crew.reports()[:3])
    assert world.crew.answered >= 12


def test_one_with_too_much_memory_is_renewed(world: World) -> None:
    def leaks(cell: int, report: int, tally: Tally) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        ready(report)
        signal.sigwait({signal.SIGUSR1})
        kept = bytearray(os.urandom(MEBIBYTE)) * 100
        signal.pause()
        assert kept

    # A fork has all that the test has.
    limit = forks.usage(os.getpid()).rss + 50 * MEBIBYTE
    world.start(first(1, leaks, idles), reload_on_rss=limit, min_worker_lifetime=0.0)
    (old,) = world.until_idle()
    os.kill(old, signal.SIGUSR1)
    world.look_often()
    world.until(lambda: gone(old))
    assert world.said("MB of resident memory (reload-on-rss) -- starting its replacement")()
    world.until_idle()
    world.loop.call_at(world.loop.now() + 0.2, world.loop.stop)
    world.loop.run()
    assert world.report().renewals == 1


def test_a_limit_below_what_a_fresh_worker_has_renews_nobody_and_is_said_once(world: World) -> None:
    world.start(idles, processes=2, reload_on_rss=MEBIBYTE, min_worker_lifetime=0.0)
    before = world.until_idle()
    world.look_often()
    until = world.loop.now() + 0.3
    world.until(lambda: world.loop.now() > until)
    os.kill(before[1], signal.SIGKILL)
    world.until(lambda: world.report(1).exits == 1 and world.report(1).state == "idle")
    assert world.until_idle()[0] == before[0] and world.report().renewals == 0
    said = [line for _, line in world.lines if "killed by" not in line]
    assert len(said) == 1 and said[0].startswith("reload-on-rss: a fresh worker has "), world.lines
    assert said[0].endswith(" MB already -- no worker is renewed for it")


def test_one_that_grew_by_a_request_before_it_was_weighed_is_renewed(world: World) -> None:
    def leaks(cell: int, report: int, tally: Tally) -> None:
        tally.begin(0)
        kept = bytearray(os.urandom(MEBIBYTE)) * 100
        tally.end(0, False)
        idles(cell, report, tally)
        assert kept

    limit = forks.usage(os.getpid()).rss + 50 * MEBIBYTE
    world.start(first(1, leaks, idles), reload_on_rss=limit, min_worker_lifetime=0.0)
    (old,) = world.until_idle()
    world.look_often()
    world.until(lambda: gone(old))
    assert world.report().renewals == 1


def test_one_that_has_lived_long_enough_is_renewed_and_no_sooner(world: World) -> None:
    world.start(idles, max_worker_lifetime=0.3, max_worker_lifetime_delta=0.0, min_worker_lifetime=0.0)
    world.until_idle()
    began = time.monotonic()
    world.look_often()
    world.until(lambda: world.report().renewals == 2)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("name", ["fork", "pipe2"])
def test_when_there_can_be_no_fork_the_old_one_serves_on_and_it_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    world.start(first(1, answers, idles), **WORN)
    (old,) = world.until_idle()
    real, calls = getattr(os, name), []

    def full(*given: int) -> object:
        calls.append(time.monotonic())
        if len(calls) <= 3:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real(*given)

    monkeypatch.setattr(os, name, full)
    world.look_often()
    world.until(lambda: len(calls) == 3)
    assert (world.report().pid, world.report().state) == (old, "idle")
    assert world.said("its replacement: fork: Cannot allocate memory -- the worn one serves on, the next try in 0.")()
    world.until(lambda: gone(old))
    assert calls[1] - calls[0] >= 0.05 and calls[2] - calls[1] >= 0.1
    assert world.report().exits == 0


def test_when_the_replacement_cannot_import_the_app_the_old_one_serves_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)

    def fails(cell: int, report: int, tally: Tally) -> int:
        os.write(report, json.dumps(["no module named blog", ""]).encode())
        return 22

    world.start(first(1, answers, fails), lazy_apps=True, **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(lambda: len(world.failures) == 3)
    assert (world.report().pid, world.report().state) == (old, "idle")
    assert world.said("its replacement: exited with code 22 -- the worn one serves on")()
    assert world.report().last_exit == "exited with code 22" and world.report().exits >= 2
    assert world.report().renewals == 0


def test_a_replacement_that_is_too_slow_is_killed_and_the_old_one_serves_on(world: World) -> None:
    world.start(first(1, answers, starts_for_ever), start_timeout=0.2, **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(world.said("its replacement: killed by SIGKILL -- the worn one serves on"))
    assert (world.report().pid, world.report().state) == (old, "idle")


def test_when_the_worn_one_dies_meanwhile_its_replacement_is_its_heir(world: World) -> None:
    def starts_when_asked(cell: int, report: int, tally: Tally) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.write(1, b"waiting\n")
        signal.sigwait({signal.SIGUSR1})
        idles(cell, report, tally)

    world.start(first(1, answers, starts_when_asked), **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(world.said("waiting"))
    new = world.report(1).pid
    os.kill(old, signal.SIGKILL)
    world.until(world.said("worker 1: killed by SIGKILL -- its replacement starts already"))
    assert [(one.pid, one.state) for one in world.crew.reports()] == [(new, "starting")]
    os.kill(new, signal.SIGUSR1)
    world.until_idle()
    assert [(one.pid, one.exits, one.renewals) for one in world.crew.reports()] == [(new, 1, 0)]


def test_when_both_die_at_once_another_one_comes(world: World) -> None:
    def starts(cell: int, report: int, tally: Tally) -> None:
        os.write(1, b"starts\n")
        signal.pause()

    world.start(first(1, answers, first(1, starts, idles)), **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(world.said("starts"))
    new = world.report(1).pid
    for pid in (old, new):
        os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.report().exits == 2)
    (last,) = world.until_idle()
    assert last not in (old, new) and world.report().exits == 2


@pytest.mark.parametrize("seconds", [5.0, 0.0])
def test_a_drain_during_a_renewal_ends_both(world: World, seconds: float) -> None:
    world.start(first(1, answers, starts_for_ever), **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(lambda: len(world.crew.reports()) == 2)
    new = world.report(1).pid
    world.crew.drain(seconds)
    world.until(lambda: world.emptied)
    assert gone(old) and gone(new)


def test_whoever_does_not_go_is_not_followed_by_a_third_and_is_killed_in_the_end(world: World) -> None:
    world.start(first(1, stays_when_told, answers), reload_mercy=0.5, **WORN)
    (old,) = world.until_idle()
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, len([*world.crew.living()]))
        return gone(old)

    world.look_often()
    world.until(lambda: "retiring" in states(world))
    # Its successor is worn as well, and waits.
    assert [one.pid for one in world.crew.reports() if one.state == "retiring"] == [old]
    world.until(look)
    assert most == 2
    assert world.said("worker 1: still there after 0.5 s (reload-mercy) -- killed")()
    assert world.report().exits == 0
    world.until(lambda: world.report().renewals == 2)


def test_a_condemned_worker_is_called_what_it_was_condemned_for(world: World) -> None:
    world.start(answers, processes=2)
    pid, other = world.until_idle()
    (one,) = (one for one in world.crew.living() if one.pid == pid)
    assert (one.seat, one.cell) == (0, 0) and one.worker.serving
    world.crew.condemn(pid, "killed by harakiri in GET /report")
    world.until_replaced(pid)
    assert (world.report().exits, world.report().last_exit) == (1, "killed by harakiri in GET /report")
    assert world.said("worker 1: killed by harakiri in GET /report -- starting another")()
    world.crew.condemn(pid, "killed again")
    assert other in world.until_idle()


def test_one_that_is_condemned_on_its_way_out_is_a_misfortune_too(world: World) -> None:
    world.start(first(1, stays_when_told, idles), **WORN)
    (old,) = world.until_idle()
    world.look_often()
    world.until(lambda: "retiring" in states(world))
    world.crew.condemn(old, "killed by harakiri in GET /report")
    world.until(lambda: gone(old) and states(world) == ["idle"])
    assert world.said("worker 1: killed by harakiri in GET /report")()
    assert (world.report().exits, world.report().last_exit) == (1, "killed by harakiri in GET /report")


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_storm_of_deaths_orders_and_renewals_all_is_as_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    luck, before = random.Random(seed), set(fds_of())
    world = World(tmp_path)
    world.start(answers, processes=4, reload_mercy=1.0, **WORN)
    world.look_often()

    def kills() -> None:
        living = [*world.crew.living()]
        if living:
            os.kill(luck.choice(living).pid, signal.SIGKILL)

    events = (kills, kills, lambda: world.crew.resize(luck.randint(1, 6)), lambda: None)
    for _ in range(60):
        luck.choice(events)()
        world.loop.call_at(world.loop.now() + luck.choice([0.0, 0.005, 0.03]), world.loop.stop)
        world.loop.run()
        living = [*world.crew.living()]
        assert sum(seat.incoming is not None for seat in world.crew._company.seats) <= 1
        assert len({one.cell for one in living}) == len(living)
    world.crew.resize(3)
    world.until(lambda: sum(state in ("idle", "busy") for state in states(world)) == 3)
    world.until(lambda: world.counted[-1][0] == 3)
    # Nothing is left of those who are gone.
    world.close()
    assert set(fds_of()) == before


def leaves_when_answered(cell: int, report: int, tally: Tally) -> None:
    """Busy, and it says what it is told; its request is answered as USR1 comes."""
    told = {LEAVE, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    tally.begin(0)
    tally.end(0, False)
    tally.begin(0)
    ready(report)
    while True:
        signum = signal.sigwait(told)
        if signum == signal.SIGUSR1:
            break
        os.write(1, f"told {signum}\n".encode())
    tally.end(0, False)
    os.write(1, b"answered\n")


def goes_never(cell: int, report: int, tally: Tally) -> None:
    """Its request is answered as USR1 comes, and it stays."""
    leaves_when_answered(cell, report, tally)
    while True:
        signal.pause()


def told(world: World) -> list[str]:
    return [line for _, line in world.lines if line.startswith("told") or line == "answered"]


SPARED = "worker 1: still has a request after 0.1 s (reload-mercy) -- it ends when that is answered"


def test_a_worn_one_is_not_cut_while_it_has_a_request(world: World) -> None:
    world.start(first(1, leaves_when_answered, idles), reload_mercy=0.1, **WORN)
    world.until(lambda: world.served)
    old = world.report().pid
    world.look_often()
    began = time.monotonic()
    world.until(lambda: time.monotonic() - began > 1.5)
    assert states(world) == ["idle", "retiring"] and not gone(old)
    assert told(world) == [f"told {LEAVE}"]
    assert [line for _, line in world.lines].count(SPARED) == 1
    os.kill(old, signal.SIGUSR1)
    world.until(lambda: gone(old))
    assert told(world) == [f"told {LEAVE}", "answered"] and not world.said("killed")()


def test_one_that_stays_although_its_request_is_answered_has_the_mercy_from_then_on(world: World) -> None:
    world.start(first(1, goes_never, idles), reload_mercy=0.1, **WORN)
    world.until(lambda: world.served)
    old = world.report().pid
    world.look_often()
    world.until(world.said(SPARED))
    os.kill(old, signal.SIGUSR1)
    world.until(lambda: gone(old))
    assert told(world)[-1] == "answered"
    assert world.said("worker 1: still there after 0.1 s (reload-mercy) -- killed")()


@pytest.mark.parametrize(("how", "signum"), [(Event.RETIRE, signal.SIGHUP), (Event.DRAIN, signal.SIGTERM)])
def test_a_drain_of_all_bounds_one_that_was_spared(world: World, how: Event, signum: int) -> None:
    world.start(first(1, leaves_when_answered, idles), reload_mercy=0.1, **WORN)
    world.until(lambda: world.served)
    old = world.report().pid
    world.look_often()
    world.until(world.said(SPARED))
    began = time.monotonic()
    world.crew.drain(1.0, how)
    world.until(world.said(f"told {int(signum)}"))
    world.until(lambda: world.emptied)
    # Not at its own old deadline, but at the end of the drain.
    assert gone(old) and time.monotonic() - began >= 1.0


def test_of_those_who_become_fewer_nobody_is_cut_while_he_has_a_request(world: World) -> None:
    world.start(leaves_when_answered, processes=2, reload_mercy=0.1)
    world.until(states_of(world, ["busy", "busy"]))
    second = world.report(1).pid
    world.crew.resize(1)
    world.until(lambda: any(line == SPARED.replace("worker 1", "worker 2") for _, line in world.lines))
    os.kill(second, signal.SIGUSR1)
    world.until(lambda: gone(second))
    assert told(world) == [f"told {LEAVE}", "answered"]


def states_of(world: World, wanted: list[str]) -> Callable[[], bool]:
    return lambda: states(world) == wanted
