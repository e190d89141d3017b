"""Requests that workers, real forks, are at: those that take long, and those that they die of."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.supervision import doings
from emperor.system.scoreboard import Tally
from tests.integration.crew_world import Act, World, idles, ready


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def at(*requests: str) -> Act:
    """Begins them, one in each thread, and dies of them if it is told to."""

    def act(index: int, report: int, tally: Tally) -> None:
        for thread, request in enumerate(requests):
            tally.begin(thread, request)
        idles(index, report, tally)

    return act


def test_one_that_dies_of_its_only_request_names_it_without_the_query(world: World) -> None:
    world.start(at("POST /crash?token=secret"))
    world.until(lambda: world.report().state == "busy")
    pid = world.report().pid
    os.kill(pid, signal.SIGSEGV)
    world.until_replaced(pid)
    assert world.report().last_exit == "killed by SIGSEGV in POST /crash"
    assert world.lines == [(0, "worker 1: killed by SIGSEGV in POST /crash -- starting another")]


def test_one_that_ends_itself_in_a_request_names_it(world: World) -> None:
    def act(index: int, report: int, tally: Tally) -> int:
        ready(report)
        tally.begin(0, "GET /exit")
        return 3

    world.start(act)
    world.until(world.said("worker 1: exited with code 3 in GET /exit -- starting another"))


def test_of_two_requests_none_is_named_and_none_that_has_ended(world: World) -> None:
    world.start(at("GET /a", "GET /b"), threads=2)
    world.until(lambda: world.report().state == "busy")
    pid = world.report().pid
    os.kill(pid, signal.SIGKILL)
    world.until_replaced(pid)

    def ended(index: int, report: int, tally: Tally) -> None:
        tally.begin(0, "GET /a")
        tally.end(0, False)
        idles(index, report, tally)

    other = World(world.folder)
    try:
        other.start(ended)
        (pid,) = other.until_idle()
        os.kill(pid, signal.SIGKILL)
        other.until_replaced(pid)
        assert [one.report().last_exit for one in (world, other)] == ["killed by SIGKILL"] * 2
    finally:
        other.close()


def test_a_request_that_takes_long_is_reported_and_the_clock_alone_changes_no_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(at("GET /slow?x=1"))
    world.until(lambda: world.report().state == "busy")
    first = world.report()
    monkeypatch.setattr(doings, "LONG", 0.05)
    world.until(lambda: world.report().doing)
    second = world.report()
    assert (first.doing, first.since) == ("", None)
    assert second.doing == "GET /slow" and second.since is not None
    until = world.loop.now() + 0.1
    world.until(lambda: world.loop.now() > until)
    assert replace(world.report(), rss=0) == replace(second, rss=0)
