"""One connection on real sockets: odd files, and peers that stall."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.serving.connection import Connection
from emperor.wsgi.body import Disconnected
from tests.integration.serving_world import PATIENCE

UNKNOWN_TO_SENDFILE = "/proc/self/limits"


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.socket()
        # Else it grows, and the kernel's steps with it.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.connect(listener.getsockname())
        return listener.accept()[0], peer


FAMILIES: dict[str, Callable[[], tuple[socket.socket, socket.socket]]] = {"unix": socket.socketpair, "tcp": tcp_pair}


@contextlib.contextmanager
def pair(
    patience: float = PATIENCE, made: Callable[[], tuple[socket.socket, socket.socket]] = socket.socketpair
) -> Iterator[tuple[Connection, socket.socket]]:
    ours, peer = made()
    ours.setblocking(False)
    connection = Connection(ours.detach(), patience)
    peer.settimeout(PATIENCE)
    with peer:
        try:
            yield connection, peer
        finally:
            connection.close()


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def drained(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65536), b""))


def test_a_file_that_sendfile_does_not_know_is_read() -> None:
    with pair() as (connection, peer), opened(UNKNOWN_TO_SENDFILE) as fd:
        content = Path(UNKNOWN_TO_SENDFILE).read_bytes()
        with pytest.raises(OSError):
            os.sendfile(connection.fd, fd, 0, 100)
        # More than it has, a part from the middle, and what lies behind its end.
        assert connection.send_file(fd, 0, len(content) + 100) == len(content)
        assert connection.send_file(fd, 4, 6) == 6
        assert connection.send_file(fd, len(content), 9) == 0
        connection.hang_up()
        assert drained(peer) == content + content[4:10]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOVERFLOW, errno.EIO])
def test_sendfile_may_fail_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    real, calls = os.sendfile, []

    def failing(out: int, fd: int, offset: int, count: int) -> int:
        calls.append(offset)
        if len(calls) > 1:
            raise OSError(number, os.strerror(number))
        return real(out, fd, offset, 1000)

    monkeypatch.setattr(os, "sendfile", failing)
    got: list[bytes] = []
    with pair() as (connection, peer), opened(str(tmp_path / "file")) as fd:
        reader = threading.Thread(target=lambda: got.append(drained(peer)))
        reader.start()
        assert connection.send_file(fd, 0, len(content) - 1) == len(content) - 1
        connection.hang_up()
        reader.join(PATIENCE)
    assert got == [content[:-1]] and calls == [0, 1000]


def test_a_peer_that_left_is_no_reason_to_read_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pair() as (connection, peer), opened(str(tmp_path / "file")) as fd:
        peer.close()
        with pytest.raises(Disconnected):
            connection.send_file(fd, 0, 7)


def test_a_file_that_cannot_be_read_is_not_the_peers_leaving(tmp_path: Path) -> None:
    with pair() as (connection, _), opened(str(tmp_path)) as folder, pytest.raises(IsADirectoryError):
        connection.send_file(folder, 0, 7)


def test_nothing_follows_a_gap(tmp_path: Path) -> None:
    """An app may catch what its write() raised, and go on: the bytes between are lost."""
    with pair(patience=0.05) as (connection, peer):
        with pytest.raises(Disconnected, match="takes nothing"):
            connection.send(b"x" * 10_000_000)
        while select.select([peer], [], [], 0)[0]:
            if not peer.recv(1 << 20):
                break
        with pytest.raises(Disconnected):
            connection.send(b"behind the gap")
        assert drained(peer) == b""


_POLL = select.poll


class Minutes:
    """In select.poll's place: the patience is always over, and the peer has taken so much meanwhile."""

    def __init__(self, peer: socket.socket, takes: list[int], then_gone: bool = False) -> None:
        self._peer, self._takes, self._then_gone = peer, takes, then_gone

    def register(self, fd: int, event: int) -> None:
        self._real = _POLL()
        self._real.register(fd, event)

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        if not self._takes:
            return self._real.poll(milliseconds)
        left = self._takes[0]
        while left:
            left -= len(self._peer.recv(min(left, 65536)))
        # The kernel tells the other end of a TCP connection at its leisure.
        self._real.poll(20)
        # Only now: whoever waits for the last one reads himself.
        self._takes.pop(0)
        if self._then_gone and not self._takes:
            self._peer.close()
        return []


def test_a_peer_that_takes_little_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says for minutes that there is no room, though it is taking all the time."""
    size, step = 8_000_000, 60_000
    with pair(60.0) as (connection, peer):
        takes = [step] * 3
        monkeypatch.setattr("emperor.serving.connection.select.poll", lambda: Minutes(peer, takes))
        rest: list[bytes] = []
        reader = threading.Thread(target=lambda: rest.append(_so_many(peer, size - 3 * step)))
        sender = threading.Thread(target=connection.send, args=(bytes(size),))
        sender.start()
        _until_empty(takes)
        reader.start()
        sender.join(PATIENCE)
        reader.join(PATIENCE)
        assert [len(one) for one in rest] == [size - 3 * step]


@pytest.mark.parametrize(
    ("family", "patience", "speed", "times"),
    [("unix", 60.0, 700, 4), ("unix", 2.0, 5_000, 17), ("tcp", 60.0, 4_000, 10), ("tcp", 2.0, 20_000, 40)],
)
def test_so_slow_may_a_peer_be(
    family: str, patience: float, speed: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel frees whole buffers: it shows nothing of most of what a slow peer takes."""
    with pair(patience, FAMILIES[family]) as (connection, peer):
        takes = [round(patience * speed)] * times
        monkeypatch.setattr("emperor.serving.connection.select.poll", lambda: Minutes(peer, takes, then_gone=True))
        with pytest.raises(Disconnected) as caught:
            connection.send(bytes(20_000_000))
        assert takes == [] and "takes nothing" not in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("patience", "allowed"), [(2.0, 4), (5.0, 4), (10.0, 2), (16.0, 1), (60.0, 1)])
def test_a_peer_that_takes_nothing_any_more_is_left(
    family: str, patience: float, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took before does not count."""
    with pair(patience, FAMILIES[family]) as (connection, peer):
        takes = [150_000, *[0] * 100]
        monkeypatch.setattr("emperor.serving.connection.select.poll", lambda: Minutes(peer, takes, then_gone=True))
        with pytest.raises(Disconnected, match=f"takes nothing for {patience * allowed:g} s"):
            connection.send(bytes(20_000_000))
        assert takes


def _so_many(peer: socket.socket, size: int) -> bytes:
    out = bytearray()
    while len(out) < size and (data := peer.recv(65536)):
        out += data
    return bytes(out)


def _until_empty(takes: list[int]) -> None:
    end = time.monotonic() + PATIENCE
    while takes and time.monotonic() < end:
        time.sleep(0.001)
    assert not takes


def test_a_peer_that_stalls_in_its_body_can_still_be_answered() -> None:
    with pair(patience=0.05) as (connection, peer):
        with pytest.raises(Disconnected, match="sends nothing"):
            connection.receive()
        connection.send(b"answer")
        connection.hang_up()
        assert drained(peer) == b"answer"


def test_closing_twice_does_not_close_anothers_descriptor() -> None:
    with pair() as (connection, _):
        number = connection.fd
        connection.close()
        again = os.dup(1)
        try:
            if again != number:
                os.dup2(again, number)
            connection.close()
            os.fstat(number)
        finally:
            for fd in {again, number}:
                os.close(fd)
