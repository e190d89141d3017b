"""Lines for systemd's journal, on a socket of the test's."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.journal import Journal
from emperor.system import journald
from emperor.system.journald import Journald, datagram, is_journal


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """One whose standard error is said to be systemd's."""
    there = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    monkeypatch.setattr(journald.Journald.__init__, "__defaults__", (str(tmp_path / "socket"),))
    one = Journal()
    assert one._journald is not None
    yield one
    one._journald.close()


def test_a_value_cannot_end_its_field() -> None:
    assert datagram({"MESSAGE": "grün", "WORKER": "2"}) == "MESSAGE=grün\nWORKER=2\n".encode()
    value = b"a\nPRIORITY=0"
    assert datagram({"MESSAGE": value.decode()}) == b"MESSAGE\n" + struct.pack("<Q", len(value)) + value + b"\n"
    assert datagram({"MESSAGE": "\udcff"}) == b"MESSAGE=\\udcff\n"


@pytest.mark.parametrize("stream", ["", "1", "1:2", ":", "x:y"])
def test_whose_standard_error_is_something_else_writes_to_no_journal(stream: str) -> None:
    there = os.fstat(2)
    assert not is_journal(stream, 2)
    assert is_journal(f"{there.st_dev}:{there.st_ino}", 2)
    assert not is_journal("1:2", 9999)


def test_a_vassals_line_is_under_its_own_identifier_with_its_worker(listening: socket.socket, journal: Journal) -> None:
    journal.line("blog", "[2] hello \x1b[2J\nPRIORITY=0")
    journal.line("blog", "worker 2: died")
    first, second = listening.recv(9999).decode().splitlines(), listening.recv(9999).decode().splitlines()
    assert first == [
        "MESSAGE=[2] hello \\x1b[2J\\nPRIORITY=0",
        *("PRIORITY=6", "SYSLOG_IDENTIFIER=emperor/blog", "VASSAL=blog", "WORKER=2"),
    ]
    assert second == ["MESSAGE=worker 2: died", "PRIORITY=6", "SYSLOG_IDENTIFIER=emperor/blog", "VASSAL=blog"]


def test_lines_of_our_own_go_where_they_went(
    listening: socket.socket, journal: Journal, capfd: pytest.CaptureFixture[str]
) -> None:
    journal.warning("blog", "is ill")
    assert "blog: warning: is ill" in capfd.readouterr().err
    with pytest.raises(BlockingIOError):
        listening.recv(9999)


def test_a_journal_that_is_full_or_gone_costs_no_line_and_no_time(
    listening: socket.socket, journal: Journal, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(5000):
        journal.line("blog", f"line {number}")
        if "blog| " in (said := capfd.readouterr().err):
            break
    assert said.endswith(f"blog| line {number}\n")
    listening.close()
    journal.line("blog", "nobody listens")
    assert capfd.readouterr().err.endswith("blog| nobody listens\n")


def test_a_log_in_json_is_in_one_place(journal: Journal) -> None:
    assert Journal("json")._journald is None
    assert Journal("text", lambda: os.dup(2))._journald is None


def test_an_unbounded_value_is_refused_by_the_kernel_and_not_raised(tmp_path: Path, listening: socket.socket) -> None:
    one = Journald(str(tmp_path / "socket"))
    assert not one.send({"MESSAGE": "x" * 10_000_000})
    one.close()
