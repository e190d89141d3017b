"""Who waits at a listening socket, asked of the kernel."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emperor.system import sockdiag
from emperor.system.sockdiag import Listener, Queue, listeners, queues


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as ends:
        yield ends


def listening(stack: ExitStack, family: int, where: object, backlog: int, waiting: int) -> socket.socket:
    """A listener with so many connections that nobody accepts."""
    one = stack.enter_context(socket.socket(family))
    one.bind(where)  # type: ignore[arg-type]
    one.listen(backlog)
    for _ in range(waiting):
        stack.enter_context(socket.socket(family)).connect(one.getsockname())
    return one


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


@pytest.mark.parametrize(
    ("family", "where"),
    [
        (socket.AF_UNIX, "path"),
        (socket.AF_UNIX, "\0abstract-of-test-sockdiag"),
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_INET6, ("::1", 0)),
    ],
)
def test_each_kind_of_listener_tells_who_waits_and_how_many_may(
    stack: ExitStack, tmp_path: Path, family: int, where: object
) -> None:
    address = str(tmp_path / "s") if where == "path" else where
    one = listening(stack, family, address, 7, 3)
    assert queues()[inode(one)] == queues((family,))[inode(one)] == Queue(3, 7)
    one.accept()[0].close()
    assert queues()[inode(one)] == Queue(2, 7)


def test_listeners_have_their_addresses_and_files(stack: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "s"
    unix = listening(stack, socket.AF_UNIX, str(path), 5, 1)
    tcp = listening(stack, socket.AF_INET, ("127.0.0.1", 0), 5, 0)
    found = {one.inode: one for one in listeners()}
    there = path.stat()
    place = (there.st_dev, there.st_ino & 0xFFFFFFFF)
    assert found[inode(unix)] == Listener(socket.AF_UNIX, inode(unix), Queue(1, 5), str(path), 0, place)
    port = tcp.getsockname()[1]
    assert found[inode(tcp)] == Listener(socket.AF_INET, inode(tcp), Queue(0, 5), "127.0.0.1", port)


def test_one_that_does_not_listen_or_is_of_another_family_is_not_there(stack: ExitStack, tmp_path: Path) -> None:
    bound = stack.enter_context(socket.socket(socket.AF_UNIX))
    bound.bind(str(tmp_path / "bound"))
    tcp = listening(stack, socket.AF_INET, ("127.0.0.1", 0), 5, 0)
    assert inode(bound) not in queues()
    assert inode(tcp) not in queues((socket.AF_UNIX,))


def test_more_listeners_than_one_datagram_holds_are_all_told(stack: ExitStack) -> None:
    many = [listening(stack, socket.AF_UNIX, f"\0test-sockdiag-{number}", number + 1, 0) for number in range(900)]
    found = queues()
    assert [found[inode(one)].most for one in many] == list(range(1, 901))


def test_where_netlink_is_forbidden_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*words: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", forbidden)
    assert queues() == {} and listeners() == []


def test_a_family_that_the_kernel_does_not_know_is_no_word_about_the_others(stack: ExitStack) -> None:
    one = listening(stack, socket.AF_UNIX, "\0test-sockdiag-other", 4, 0)
    assert queues((250, socket.AF_UNIX))[inode(one)] == Queue(0, 4)


class Kernel:
    """One that answers what it is told to, or nothing at all."""

    def __init__(self, end: socket.socket) -> None:
        self.settimeout, self.end = end.settimeout, end

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *words: object) -> None: ...

    def sendto(self, *words: object) -> None: ...

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        return self.end.recv(size), (0, 0)


@pytest.fixture
def kernel(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Where its answers are put."""
    ours, theirs = (stack.enter_context(one) for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    monkeypatch.setattr(sockdiag, "PATIENCE", 0.05)
    monkeypatch.setattr(socket, "socket", lambda *words: Kernel(theirs))
    return ours


def test_a_kernel_that_does_not_answer_costs_a_bounded_time(kernel: socket.socket) -> None:
    assert queues() == {}


CUT = struct.pack("=IHHII", 20, sockdiag.SOCK_DIAG_BY_FAMILY, 0, 1, 0) + bytes(4)


@pytest.mark.parametrize("data", [b"", bytes(40), CUT, CUT[:18], b"\x01" + CUT[1:], b"\xff" * 64])
def test_an_answer_that_is_cut_or_nonsense_names_nobody(kernel: socket.socket, data: bytes) -> None:
    kernel.send(data)
    assert listeners() == []
