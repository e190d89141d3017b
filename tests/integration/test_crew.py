"""Workers as real forks: heard, counted, replaced, drained. What they serve is a few lines each."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.crew import hand
from emperor.supervision import backoff, seat
from emperor.system.scoreboard import Tally
from tests.integration.crew_world import World, answers, idles, ready, stubborn
from tests.integration.kernel_world import fds_of, gone


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def test_it_is_heard_when_each_worker_serves(world: World) -> None:
    world.start(idles, processes=3)
    assert {one.state for one in world.crew.reports()} == {"starting"}
    world.until(lambda: world.served == 3)
    assert [(one.id, one.state, one.requests) for one in world.crew.reports()] == [
        (number, "idle", 0) for number in (1, 2, 3)
    ]
    assert all(one.rss > 1_000_000 for one in world.crew.reports())
    assert len({one.pid for one in world.crew.reports()}) == 3


def test_a_worker_says_why_it_cannot_serve(world: World) -> None:
    def fails(index: int, report: int, tally: Tally) -> int:
        os.write(report, json.dumps(["no module named blog", "Traceback\n  ..."]).encode())
        return 22

    world.start(fails)
    world.until(lambda: world.failures)
    assert world.failures == [("no module named blog", "Traceback\n  ...")]
    assert world.served == 0


@pytest.mark.parametrize("data", [b"x", b"[1]", b"[" * 9000, b"\xff", b"[1, 2]", b"{}", b"3"])
def test_rubbish_where_a_worker_reports_is_a_failure_like_any_other(world: World, data: bytes) -> None:
    def fails(index: int, report: int, tally: Tally) -> int:
        os.write(report, data)
        return 22

    world.start(fails)
    world.until(lambda: world.failures)
    assert all(isinstance(word, str) for word in world.failures[0])
    assert world.served == 0


def test_lines_come_with_the_index_of_their_worker(world: World) -> None:
    def act(index: int, report: int, tally: Tally) -> None:
        os.write(1, f"one of {index}\n".encode())
        os.write(2, f"two of {index}\r\n\xff\x1b[m ".encode("latin-1"))
        os.write(2, b"end\n")
        idles(index, report, tally)

    world.start(act, processes=3)
    world.until(lambda: len(world.lines) == 9)
    for index in range(3):
        assert [line for number, line in world.lines if number == index] == [
            f"one of {index}",
            f"two of {index}",
            "\\xff\\x1b[m end",
        ]


def test_what_a_busy_worker_prints_is_heard_together_and_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "REST", 0.3)
    heard: list[int] = []
    together = world._heard

    def hears(index: int, lines: list[str]) -> None:
        heard.append(len(lines))
        together(index, lines)

    monkeypatch.setattr(world, "_heard", hears)

    def act(index: int, report: int, tally: Tally) -> None:
        for number in range(100):
            os.write(1, b"%d\n" % number)
            time.sleep(0.001)
        idles(index, report, tally)

    world.start(act)
    world.until(lambda: len(world.lines) == 100)
    assert [text for _, text in world.lines] == [str(number) for number in range(100)]
    assert len(heard) < 50


def test_a_worker_that_ends_while_nobody_listens_is_heard_to_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "REST", 3600.0)

    def act(index: int, report: int, tally: Tally) -> None:
        ready(report)
        for number in range(20):
            os.write(1, b"%d\n" % number)
            time.sleep(0.001)

    world.start(act)
    world.until(world.said("19"))
    assert [text for _, text in world.lines][:20] == [str(number) for number in range(20)]


def test_the_last_words_of_a_worker_are_heard_before_its_end(world: World) -> None:
    def act(index: int, report: int, tally: Tally) -> int:
        ready(report)
        os.write(1, b"a line\nhalf a li")
        return 3

    world.start(act)
    world.until(lambda: len(world.lines) >= 3)
    assert world.lines[:3] == [
        (0, "a line"),
        (0, "half a li"),
        (0, "worker 1: exited with code 3 -- starting another"),
    ]


def test_a_worker_that_had_answered_is_replaced_at_once_each_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "FIRST", 60.0)
    world.start(answers)
    (pid,) = world.until_idle()
    for _ in range(4):
        os.kill(pid, signal.SIGKILL)
        world.until_replaced(pid)
        (pid,) = world.until_idle()
    assert [line for _, line in world.lines] == ["worker 1: killed by SIGKILL -- starting another"] * 4


def test_a_worker_that_had_not_answered_is_replaced_at_once_only_a_few_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "FIRST", 60.0)
    world.start(idles, processes=2)
    pid, other = world.until_idle()
    for _ in range(seat.AT_ONCE):
        os.kill(pid, signal.SIGKILL)
        world.until_replaced(pid)
        pid, _ = world.until_idle()
    os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.report().state == "backoff")
    assert (world.report().pid, world.report().rss) == (0, 0)
    assert world.report(1).pid == other


def test_a_report_tells_who_died_in_a_seat_and_when_the_next_one_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 60.0)
    monkeypatch.setattr(backoff, "JITTER", 0.0)

    def act(index: int, report: int, tally: Tally) -> int:
        if not index:
            idles(index, report, tally)
        return 3

    world.start(act, processes=2, lazy_apps=True)
    world.until(lambda: world.report(1).state == "backoff" and world.report().state == "idle")
    now, told, other = world.loop.now(), world.report(1), world.report()
    assert (told.exits, told.last_exit) == (1, "exited with code 3")
    assert told.died_at is not None and now - 10 < told.died_at <= now
    assert told.retry_at is not None and now + 50 < told.retry_at <= now + 60
    assert (other.exits, other.last_exit, other.died_at, other.retry_at) == (0, "", None, None)
    assert world.said("worker 2: exited with code 3 -- starting another in 60.0 s")()


def test_no_pause_is_told_that_is_shorter_than_a_tenth_of_a_second(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "AT_ONCE", 0)
    world.start(idles)
    (pid,) = world.until_idle()
    os.kill(pid, signal.SIGKILL)
    world.until_replaced(pid)
    assert world.lines == [(0, "worker 1: killed by SIGKILL -- starting another")]


def test_what_is_ordered_is_no_exit(world: World) -> None:
    world.start(idles)
    world.until_idle()
    world.crew.drain(5.0)
    world.until(lambda: world.emptied)
    assert world.report().exits == 0


def test_all_die_at_once_and_all_are_replaced(world: World) -> None:
    world.start(answers, processes=100)
    pids = world.until_idle()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    world.until(lambda: all(one.exits == 1 for one in world.crew.reports()))
    fresh = world.until_idle()
    assert not set(fresh) & set(pids) and all(gone(pid) for pid in pids)
    assert [one.exits for one in world.crew.reports()] == [1] * 100


def test_a_thousand_deaths_leave_no_timers_behind(world: World) -> None:
    world.start(answers)
    for _ in range(10):
        (pid,) = world.until_idle()
        os.kill(pid, signal.SIGKILL)
        world.until_replaced(pid)
    world.until_idle()
    assert [timer for _, _, timer in world.loop._timers if timer.callback is not None] == []


def test_the_pause_of_a_worker_that_never_serves_doubles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    monkeypatch.setattr(backoff, "JITTER", 0.0)

    def dies(index: int, report: int, tally: Tally) -> int:
        os.write(1, f"born {time.monotonic()}\n".encode())
        return 1

    world.start(dies, lazy_apps=True)
    world.until(lambda: sum(line.startswith("born") for _, line in world.lines) == 4)
    births = [float(line.split()[1]) for _, line in world.lines if line.startswith("born")]
    pauses = [later - earlier for earlier, later in zip(births, births[1:], strict=False)]
    assert pauses[0] >= 0.05 and pauses[1] >= 0.1 and pauses[2] >= 0.2


def test_a_new_worker_counts_from_nothing(world: World) -> None:
    world.start(answers, processes=2)
    pid, other = world.until_idle()
    assert [one.requests for one in world.crew.reports()] == [1, 1]
    for _ in range(2):
        world.board.tally(1).begin(0)
        world.board.tally(1).end(0, True)
    os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.report().pid not in (0, pid))
    world.until_idle()
    assert [(one.requests, one.exceptions) for one in world.crew.reports()] == [(1, 0), (3, 2)]
    assert world.report(1).pid == other


def test_a_worker_with_a_request_in_flight_is_busy(world: World) -> None:
    def act(index: int, report: int, tally: Tally) -> None:
        tally.begin(0)
        idles(index, report, tally)

    world.start(act)
    world.until(lambda: world.report().state == "busy")


def test_one_that_is_too_slow_to_start_is_killed_and_replaced(world: World) -> None:
    world.start(lambda index, report, tally: signal.pause(), start_timeout=0.1)
    world.until(world.said("worker 1: killed by SIGKILL -- starting another"))
    world.until(lambda: world.report().state == "starting" and world.report().pid)


def test_draining_ends_those_who_obey_before_its_time(world: World) -> None:
    world.start(idles, processes=3)
    pids = world.until_idle()
    began = time.monotonic()
    world.crew.drain(60.0)
    world.until(lambda: world.emptied)
    assert time.monotonic() - began < 30
    assert all(gone(pid) for pid in pids)
    assert world.emptied == 1
    assert not world.said("starting another")()


def test_draining_kills_after_its_time(world: World) -> None:
    world.start(stubborn, processes=2)
    pids = world.until_idle()
    began = time.monotonic()
    world.crew.drain(0.2)
    world.until(lambda: world.emptied)
    assert time.monotonic() - began >= 0.2
    assert all(gone(pid) for pid in pids)


def test_to_drain_again_with_less_time_is_less_time(world: World) -> None:
    world.start(stubborn)
    world.until_idle()
    world.crew.drain(60.0)
    world.crew.drain(0.1)
    world.crew.drain(60.0)
    world.until(lambda: world.emptied)


def test_nobody_is_started_any_more_once_it_drains(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    world.start(lambda index, report, tally: 1, lazy_apps=True)
    world.until(lambda: world.report().state == "backoff")
    world.crew.drain(5.0)
    assert world.emptied == 1
    count = len(world.lines)
    world.loop.call_at(world.loop.now() + 0.2, world.loop.stop)
    world.loop.run()
    assert len(world.lines) == count and world.report().pid == 0


def test_a_drain_right_after_the_fork_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal meets the fork while it still has the vassal's handlers."""
    real = os.fork

    def fork() -> int:
        pid = real()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    heard: list[str] = []
    world.loop.on_signal(signal.SIGTERM, lambda: heard.append("the vassal"))
    monkeypatch.setattr(os, "fork", fork)
    world.start(stubborn)
    world.until(world.said("worker 1: killed by SIGTERM"))
    assert heard == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_the_fork_holds_nothing_of_the_vassals(tmp_path: Path) -> None:
    def act(index: int, report: int, tally: Tally) -> None:
        os.write(1, json.dumps(fds_of()).encode() + b"\n" + str(report).encode() + b"\n")
        idles(index, report, tally)

    before = set(fds_of())
    world = World(tmp_path)
    world.start(act, processes=3)
    pids = world.until_idle()
    os.kill(pids[1], signal.SIGKILL)
    world.until(lambda: world.report(1).pid not in (0, pids[1]))
    world.until_idle()
    told = [line for _, line in world.lines if "worker" not in line]
    assert len(told) == 8
    for fds, report in zip(told[::2], told[1::2], strict=True):
        held = {int(fd): where for fd, where in json.loads(fds).items()}
        (other_end,) = set(held) - before - {int(report)}
        assert int(report) in held and held[other_end] == held[1]
    world.close()
    assert set(fds_of()) == before


def test_a_worker_may_print_when_nobody_hears_it_any_more(world: World, tmp_path: Path) -> None:
    """The vassal was killed, and there is a request to be answered."""

    def act(index: int, report: int, tally: Tally) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        ready(report)
        signal.sigwait({signal.SIGUSR1})
        os.write(1, b"to nobody\n")
        (tmp_path / "answered").touch()
        signal.pause()

    world.start(act)
    (pid,) = world.until_idle()
    world.crew._company.hands[1].deafen()
    os.kill(pid, signal.SIGUSR1)
    world.until((tmp_path / "answered").exists)


def test_an_apps_own_child_that_goes_on_talking_holds_nobody_up(world: World) -> None:
    """It has the worker's output, and writes as fast as it is read."""

    def act(index: int, report: int, tally: Tally) -> None:
        ready(report)
        subprocess.Popen(["/usr/bin/yes"])
        signal.pause()

    world.start(act)
    (pid,) = world.until_idle()
    world.until(world.said("y"))
    os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.report().pid not in (0, pid))


def test_children_that_are_not_the_crews_are_not_reaped(world: World) -> None:
    world.start(idles)
    world.until_idle()
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as other:
        world.until(lambda: gone(other.pid))
        world.crew.reap()
        assert other.wait() == 7


def test_who_was_reaped_by_the_app_is_replaced_and_all_others_too(world: World) -> None:
    """An app has a thread that waits for any child."""
    world.start(answers, processes=3)
    pids = world.until_idle()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pids[0], 0)[0] == pids[0]
    world.until(lambda: all(one.exits == 1 for one in world.crew.reports()))
    assert not set(world.until_idle()) & set(pids)
    assert [one.last_exit for one in world.crew.reports()] == [
        "ended, and was reaped by the app",
        "killed by SIGKILL",
        "killed by SIGKILL",
    ]


def test_nobody_is_signalled_whose_pid_is_not_ours_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app has reaped one a moment ago, and the number may be anybody's."""
    world.start(answers, processes=2)
    pid, other = world.until_idle()
    sent: list[int] = []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; read x; kill $!"], stdin=-1, stdout=-1) as shell:
        assert shell.stdin and shell.stdout
        # Somebody else's child has the number now.
        world.crew._company.hands[1].pid = int(shell.stdout.readline())
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", lambda who, signum: sent.append(who))
            world.crew.drain(60.0)
        shell.stdin.close()
    assert sent == [other]
    os.kill(other, signal.SIGTERM)
    world.until(lambda: world.emptied)


@pytest.mark.parametrize("name, nth", [("fork", 1), ("pipe2", 1), ("pipe2", 2)])
def test_when_there_can_be_no_fork_it_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    real, before, calls = getattr(os, name), set(fds_of()), 0

    def full(*given: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real(*given)

    monkeypatch.setattr(os, name, full)
    world.start(idles)
    assert set(fds_of()) == before
    ((index, line),) = world.lines
    assert index == 0
    assert line.startswith("worker 1: fork: Resource temporarily unavailable -- trying again in 0.")
    told = world.report()
    assert (told.state, told.exits, told.last_exit) == ("backoff", 0, "fork: Resource temporarily unavailable")
    assert told.retry_at is not None
    world.until_idle()
    assert world.report().retry_at is None


def test_a_fork_that_is_refused_for_long_is_tried_on_and_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    real, calls = os.fork, 0

    def full() -> int:
        nonlocal calls
        calls += 1
        if calls <= 5:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real()

    before = set(fds_of())
    monkeypatch.setattr(os, "fork", full)
    world.start(idles, processes=2)
    world.until_idle()
    assert len([line for _, line in world.lines if "fork: Cannot allocate memory -- trying again in" in line]) == 5
    assert len(set(fds_of()) - before) == 2


def test_a_drain_ends_the_pause_of_a_fork_that_was_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", full)
    world.start(idles)
    world.crew.drain(5.0)
    assert world.emptied == 1
    assert world.report().retry_at is None


def test_an_exception_of_the_worker_is_in_its_lines_and_never_in_the_vassal(world: World) -> None:
    def act(index: int, report: int, tally: Tally) -> int:
        sys.stderr = os.fdopen(2, "w", closefd=False)
        raise ValueError("a bug of ours")

    world.start(act)
    world.until(world.said("worker 1: exited with code 70"))
    assert world.said("ValueError: a bug of ours")()
