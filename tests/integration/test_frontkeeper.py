"""Who keeps the front door: a door that hangs holds nobody, and its table stays whole and bounded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor import frontkeeper
from emperor.frontkeeper import FrontKeeper
from emperor.model import Identity
from emperor.system import processes
from emperor.system.eventloop import Loop
from tests.integration.kernel_world import ME, Notes, drive, gone, raise_it, until

DOOR = """
import signal, sys
signal.signal(signal.SIGTERM, {term})
print("open", flush=True)
signal.pause()
"""


class World:
    """A keeper whose door is a program of ours, with the emperor's end of its channel in ``table``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop, self.journal = Loop(raise_it), Notes()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.keeper = FrontKeeper(self.loop, self.journal, self.listener, ME, None)
        self.code = DOOR.format(term="signal.SIG_DFL")
        self.pids: list[int] = []
        self.channel = -1
        real = processes.start

        def start(command: list[str], own: Identity, fds: list[int], output: int) -> subprocess.Popen[bytes]:
            self.channel = os.dup(fds[1])
            popen = real([sys.executable, "-c", self.code], own, [], output)
            self.pids.append(popen.pid)
            return popen

        monkeypatch.setattr(processes, "start", start)

    def open(self) -> int:
        self.keeper.start()
        drive(self.loop, lambda: any(line.endswith(": open") for line in self.journal.lines))
        return self.pids[-1]

    def stopped(self) -> list[float]:
        """Stop it; the moment at which it was said to be gone."""
        over: list[float] = []
        self.keeper.stop(lambda: over.append(self.loop.now()))
        return over

    def close(self) -> None:
        self.keeper.kill()
        self.listener.close()
        if self.keeper.running:
            over = self.stopped()
            drive(self.loop, lambda: over)
        self.loop.close()
        os.close(self.channel)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(monkeypatch)
    yield world
    world.close()


def test_a_door_ends_of_term(world: World) -> None:
    pid, over = world.open(), world.stopped()
    drive(world.loop, lambda: over, 3)
    assert gone(pid)


@pytest.mark.parametrize("hang", ["stopped", "deaf"])
def test_a_door_that_hangs_is_killed_in_time(world: World, monkeypatch: pytest.MonkeyPatch, hang: str) -> None:
    monkeypatch.setattr(frontkeeper, "MERCY", 0.3)
    if hang == "deaf":
        world.code = DOOR.format(term="signal.SIG_IGN")
    pid = world.open()
    if hang == "stopped":
        os.kill(pid, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    began, over = world.loop.now(), world.stopped()
    drive(world.loop, lambda: over)
    assert over[0] - began >= 0.3
    assert gone(pid)


def test_five_seconds_are_given() -> None:
    assert frontkeeper.MERCY == 5.0


def test_an_end_that_cannot_be_reaped_yet_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontkeeper, "REAP_AGAIN", 0.2)
    world.open()
    real, asked = subprocess.Popen.poll, [0]

    def poll(self: subprocess.Popen[Any]) -> int | None:
        asked[0] += 1
        return None if asked[0] < 3 else real(self)

    def wait(self: subprocess.Popen[Any], timeout: float | None = None) -> int:
        raise AssertionError("waits")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "poll", poll)
        patch.setattr(subprocess.Popen, "wait", wait)
        os.kill(world.pids[-1], signal.SIGKILL)
        began = world.loop.now()
        drive(world.loop, lambda: not world.keeper.running)
    assert asked[0] == 3
    assert world.loop.now() - began >= 0.4


def table(number: int, size: int = 300_000) -> list[dict[str, Any]]:
    return [{"name": f"v{number}", "mounts": "x" * size}]


def lines(world: World, enough: Callable[[list[Any]], object]) -> list[Any]:
    """What the door would read, until it is enough; each line must be whole."""
    data = b""
    os.set_blocking(world.channel, False)

    def read() -> bool:
        nonlocal data
        try:
            data += os.read(world.channel, 65536)
        except BlockingIOError:
            return False
        whole = [json.loads(line) for line in data.split(b"\n")[:-1]]
        return data.endswith(b"\n") and bool(enough(whole))

    drive(world.loop, read)
    return [json.loads(line) for line in data.splitlines()]


def test_to_a_door_that_does_not_read_only_the_begun_and_the_newest_table_are_kept(world: World) -> None:
    world.open()
    assert lines(world, bool) == [[]]
    for number in range(1, 101):
        world.keeper.tell(table(number))
    kept = len(world.keeper._rest) + len(world.keeper._next)
    assert kept < 2 * 300_100
    found = lines(world, lambda read: read[-1][0]["name"] == "v100")
    assert [one[0]["name"] for one in found] == ["v1", "v100"]


def test_every_table_arrives_at_a_door_that_reads(world: World) -> None:
    world.open()
    assert lines(world, bool) == [[]]
    for number in range(5):
        world.keeper.tell(table(number, 10))
        assert lines(world, bool) == [table(number, 10)]


def test_the_next_door_gets_the_newest_table_whole(world: World) -> None:
    world.open()
    for number in range(3):
        world.keeper.tell(table(number))
    old = world.channel
    os.kill(world.pids[-1], signal.SIGKILL)
    drive(world.loop, lambda: len(world.pids) == 2)
    os.close(old)
    found = lines(world, bool)
    assert [one[0]["name"] for one in found] == ["v2"]
