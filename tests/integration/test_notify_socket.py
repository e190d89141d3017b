"""sd_notify over a real datagram socket, as systemd would hear it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.system.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """NOTIFY_SOCKET and the socket behind it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@emperor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0") if request.param == "abstract" else name)
        listener.settimeout(10)
        yield name, listener


def test_each_word_is_one_datagram(systemd: tuple[str, socket.socket]) -> None:
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("2 vassals")
    notifier.status("one line\nREADY=0")
    notifier.stopping()
    notifier.alive()
    heard = [listener.recv(4096) for _ in range(4)]
    assert heard == [b"READY=1\nSTATUS=2 vassals", b"STATUS=one line READY=0", b"STOPPING=1", b"WATCHDOG=1"]
    notifier.close()


def test_a_descriptor_is_stored_under_its_name_and_given_up_by_it(systemd: tuple[str, socket.socket]) -> None:
    """FDPOLL=0: systemd lets go of a descriptor that is hung up, as a listener that is shut down for a moment."""
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    with open(__file__, "rb") as file:
        assert notifier.store("a name", file.fileno())
        data, [copy], _, _ = socket.recv_fds(listener, 4096, 4)
        assert data == b"FDSTORE=1\nFDNAME=a name\nFDPOLL=0"
        assert os.path.sameopenfile(copy, file.fileno())
    os.close(copy)
    assert notifier.unstore("a name")
    assert socket.recv_fds(listener, 4096, 4)[:2] == (b"FDSTOREREMOVE=1\nFDNAME=a name", [])
    notifier.close()


def test_reloading_carries_the_monotonic_microseconds(systemd: tuple[str, socket.socket]) -> None:
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = listener.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= after
    notifier.close()


def fill(listener: socket.socket) -> None:
    """The kernel queues net.unix.max_dgram_qlen datagrams, and of one sender no more than its send buffer holds."""
    for _ in range(1000):
        sent = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while sent < 100_000:
                    sent += filler.sendto(b"x", listener.getsockname())
        if not sent:
            return
    pytest.fail("the queue never filled")


def test_a_service_manager_that_is_gone_or_deaf_costs_a_second_and_no_exception(
    systemd: tuple[str, socket.socket],
) -> None:
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    fill(listener)
    began, cpu = time.monotonic(), time.process_time()
    assert not notifier.store("blog", listener.fileno())
    assert 0.5 < time.monotonic() - began < 5
    assert time.process_time() - cpu < 0.3, "it waited by spinning"
    began = time.monotonic()
    for _ in range(200):
        assert not notifier.store("blog", listener.fileno())
    assert time.monotonic() - began < 1, "it waits once, not for each word"
    listener.close()
    notifier.ready()
    assert not notifier.unstore("blog")
    notifier.close()
    notifier.ready()
    assert not notifier.store("blog", 0)


def test_its_socket_does_not_survive_an_exec(systemd: tuple[str, socket.socket]) -> None:
    before = _sockets()
    notifier = Notifier({"NOTIFY_SOCKET": systemd[0]})
    [fd] = _sockets() - before
    assert not os.get_inheritable(fd)
    notifier.close()
    assert _sockets() == before


def _sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_socket(fd)}


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
