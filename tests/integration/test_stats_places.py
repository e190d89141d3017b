"""Where numbers are told: taken over from an older generation, tried again, and from nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.front import free_port
from emperor.errors import ListenError
from emperor.model import TCP, UNIX, Address
from emperor.system import statsserver
from emperor.system.statslistener import Taken, bind
from tests.integration.stats_world import MODE, World, connected

SOMEBODY_ELSE = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.bind(sys.argv[1])
one.listen(5)
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def world() -> Iterator[World]:
    with World() as one:
        yield one


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return Address(UNIX, str(tmp_path / "s"))


@pytest.fixture
def port() -> Address:
    return Address(TCP, host="127.0.0.1", port=free_port())


def test_the_younger_takes_the_file_over_and_the_older_leaves_it_alone(world: World, address: Address) -> None:
    older, younger = world.server(address, b"older"), world.server(address, b"younger")
    assert world.ask(address) == b"younger"
    older.close()
    assert world.ask(address) == b"younger"
    younger.close()
    assert os.listdir(os.path.dirname(address.path)) == []


def test_who_waits_as_the_older_goes_is_answered(world: World, address: Address) -> None:
    older = world.server(address, b"older")
    with connected(address) as waiting:
        world.server(address, b"younger")
        older.close()
        assert world.read(waiting) == b"older"


def test_a_port_is_taken_over_as_soon_as_the_older_lets_go(
    world: World, port: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statsserver, "TRY_EVERY", 0.01)
    older, younger = world.server(port, b"older"), world.server(port, b"younger")
    world.until(lambda: younger._tries > 3)
    assert world.ask(port) == b"older" and not world.lines
    older.close()
    world.until(lambda: younger._bound)
    assert world.ask(port) == b"younger" and not world.lines


def test_a_port_that_stays_taken_is_told_once_and_so_is_its_end(
    world: World, port: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statsserver, "TRY_EVERY", 0.001)
    with socket.create_server((port.host, port.port)):
        server = world.server(port)
        world.until(lambda: server._tries > statsserver.TAKEN_IS_NEWS + 5)
    world.until(lambda: server._bound)
    taken = "bind: Address already in use -- ss -ltnp shows who has it; the app serves, and this is tried again"
    assert world.lines == [f"stats {port}: {taken}", f"stats {port}: can be asked now"]


def test_a_folder_that_is_missing_is_told_at_once_and_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statsserver, "TRY_EVERY", 0.01)
    place = Address(UNIX, str(tmp_path / "no" / "s"))
    server = world.server(place, b"numbers")
    assert len(world.lines) == 1 and "No such file or directory" in world.lines[0]
    (tmp_path / "no").mkdir()
    world.until(lambda: server._bound)
    assert world.ask(place) == b"numbers" and len(world.lines) == 2


def test_a_socket_that_nobody_listens_at_any_more_is_replaced(address: Address) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.path)
    bind(address, MODE).sock.close()


def test_where_somebody_else_listens_nothing_is_replaced(address: Address) -> None:
    command = [sys.executable, "-c", SOMEBODY_ELSE, address.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"listens\n"
        before = os.lstat(address.path).st_ino
        with pytest.raises(Taken, match="somebody listens there"):
            bind(address, MODE)
        assert os.lstat(address.path).st_ino == before


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/run")])
def test_what_is_no_socket_is_left_alone(address: Address, make: Callable[[Path], None]) -> None:
    make(Path(address.path))
    with pytest.raises(ListenError, match="not this user's socket") as caught:
        bind(address, MODE)
    assert not isinstance(caught.value, Taken)
    assert os.listdir(os.path.dirname(address.path)) == ["s"]
