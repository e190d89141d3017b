"""What can be wrong with an app's address: something is there, it is too long, taken, or full."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.hostile import settled_descriptors
from tests.e2e.harness.waiting import wait_for

LONGEST = 107
"""Bytes of a socket's path, unix(7), with which a NUL still fits."""


@pytest.fixture
def daemon(shared_emperor: Emperor) -> Emperor:
    return shared_emperor


@contextmanager
def removed_afterwards(vassal: Vassal) -> Iterator[Vassal]:
    try:
        yield vassal
    finally:
        vassal.ini.unlink()
        vassal.until(lambda row: not row, "gone")


def test_what_lies_at_an_address_is_named_and_left_alone_and_the_app_comes_up_once_it_is_gone(daemon: Emperor) -> None:
    place = daemon.root / "occupied"
    place.mkdir()
    bound = place / "bound.sock"
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(bound))
        (place / "file").write_text("precious")
        (place / "folder").mkdir()
        (place / "link").symlink_to(bound)
        (place / "dangling").symlink_to(place / "nowhere")
        before = {one.name: one.lstat().st_ino for one in place.iterdir()}
        with ExitStack() as stack:
            sites = [
                stack.enter_context(removed_afterwards(daemon.add(f"at-{name.partition('.')[0]}", socket=place / name)))
                for name in before
            ]
            for site in sites:
                row = site.state("BACKOFF", "FATAL", "INVALID")
                assert f"{site.socket}: bind: " in row["error"]
            assert {one.name: one.lstat().st_ino for one in place.iterdir()} == before
            assert (place / "file").read_text() == "precious"
            first = next(site for site in sites if site.name == "at-file")
            (place / "file").unlink()
            daemon.ctl("start", first.name, "--no-wait")
            first.running()
            assert first.get().status == 200


def test_a_path_of_107_bytes_is_served_and_a_longer_one_is_refused_before_anything_starts(daemon: Emperor) -> None:
    room = daemon.run
    for length in (LONGEST, LONGEST + 1, 200):
        path = f"{room}/{'x' * (length - len(str(room)) - 1)}"
        assert len(path) == length
        with removed_afterwards(daemon.add(f"long{length}", socket=path)) as site:
            if length == LONGEST:
                site.running()
                assert site.get().status == 200
                continue
            row = site.state("INVALID")
            assert "longer than 107 bytes" in row["error"]
            assert daemon.ctl("reload", site.name).returncode != 0
            assert site.import_pids() == []


def test_a_port_in_use_is_tried_again_until_it_is_free(daemon: Emperor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        site = daemon.add("port", socket=address)
        row = site.state("BACKOFF")
        assert f"{address}: bind: Address already in use -- " in row["error"]
    with removed_afterwards(site):
        site.running()
        assert site.get().status == 200


def test_a_full_queue_refuses_for_as_long_as_nobody_accepts_and_leaks_nothing(daemon: Emperor) -> None:
    with removed_afterwards(daemon.add("full", listen=4)) as site:
        row = site.running()
        workers = procfs.children(row["pid"])
        assert workers
        before = settled_descriptors(daemon)
        stopped = [row["pid"], *procfs.descendants(row["pid"])]
        open_before = {pid: len(procfs.descriptors(pid)) for pid in workers}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            waiting, refused = _come(site.socket, 100)
            assert 0 < len(waiting) < 100
            assert refused == 100 - len(waiting)
            assert daemon.ctl("status").returncode in (0, 3)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        for one in waiting:
            one.close()
        wait_for(lambda: _status(site), lambda status: status == 200, "it serves again")
        assert settled_descriptors(daemon) == before
        wait_for(
            lambda: {pid: len(procfs.descriptors(pid)) for pid in workers},
            lambda now: all(now[pid] <= open_before[pid] for pid in workers),
            "its workers have let go of all of them",
        )
        assert site.row()["pid"] == row["pid"]


def _status(site: Vassal) -> int:
    """0: its queue is full."""
    try:
        return site.get().status
    except BlockingIOError:
        return 0


def _come(path: str, number: int) -> tuple[list[socket.socket], int]:
    """Those who wait, and how many heard at once that there is no room (EAGAIN, unix(7))."""
    waiting, refused = [], 0
    for _ in range(number):
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
            waiting.append(sock)
        except BlockingIOError:
            sock.close()
            refused += 1
    return waiting, refused
