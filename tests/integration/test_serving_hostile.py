"""Peers and apps that do not keep to the rules, against a running server: nobody else notices."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from emperor.protocol import fastcgi, records
from emperor.serving.native import Settings
from tests.integration.serving_world import PARAMS, PATIENCE, Running, encode, read_answer, serving, serving_threads

Start = Callable[..., Any]

both = pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
threads = pytest.mark.parametrize("threads", [1, 4])

SHORT = [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "3")]


def reading(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


def rest(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65536), b""))


def settled(running: Running, descriptors: int) -> bool:
    """Is nothing left but what was open before? Each look is a request, so that the server does something meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert running.ask().status == 200
        if len(os.listdir("/proc/self/fd")) <= descriptors:
            return True
    return False


# --- requests that end, or stall, anywhere ---


@both
@threads
def test_a_request_may_end_behind_any_of_its_bytes(
    tmp_path: Path, protocol: str, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = encode(protocol, SHORT, b"abc")
    with serving(tmp_path, protocol, reading, Settings(threads=threads, drain_seconds=5.0)) as running:
        assert running.ask().status == 200
        before = len(os.listdir("/proc/self/fd"))
        for size in range(len(data)):
            with running.connect() as peer:
                peer.sendall(data[:size])
                if size % 2:
                    peer.shutdown(socket.SHUT_WR)
                    rest(peer)
        assert settled(running, before)
    assert running.tally.at_once == 0
    assert "Traceback" not in capsys.readouterr().err


@both
@threads
def test_a_request_may_stall_behind_any_of_its_bytes(
    tmp_path: Path, protocol: str, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = encode(protocol, SHORT, b"abc")
    settings = Settings(threads=threads, header_seconds=0.2, patience=0.05, drain_seconds=5.0)
    with serving(tmp_path, protocol, reading, settings) as running, contextlib.ExitStack() as open_ones:
        assert running.ask().status == 200
        before = len(os.listdir("/proc/self/fd"))
        stalled = [open_ones.enter_context(running.connect()) for _ in range(len(data))]
        for size, peer in enumerate(stalled):
            peer.sendall(data[:size])
        assert running.ask().status == 200
        for peer in stalled:
            answer = rest(peer)
            assert not answer or b"500 Internal" in answer or b"200 OK" in answer
            peer.close()
        assert settled(running, before)
    assert running.tally.at_once == 0
    assert "Traceback" not in capsys.readouterr().err


# --- bodies that are not as long as they say ---


@both
@threads
def test_a_body_shorter_than_its_length_is_no_whole_body(
    tmp_path: Path, protocol: str, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [*PARAMS, ("CONTENT_LENGTH", "9")]
    with serving(tmp_path, protocol, reading, Settings(threads=threads, drain_seconds=5.0)) as running:
        with running.connect() as peer:
            peer.sendall(encode(protocol, pairs, b"four"))
            peer.shutdown(socket.SHUT_WR)
            answer = read_answer(peer, protocol)
            assert (answer.status, b"four" in answer.body) == (500, False)
            assert peer.recv(1) == b""
        assert running.ask(body=b"whole").body == b"whole"
    assert "ends 5 bytes before its CONTENT_LENGTH" in capsys.readouterr().err
    assert running.tally.at_once == 0


@both
@threads
@pytest.mark.parametrize("more", [1, 50_000, 1_000_000])
def test_of_a_body_longer_than_its_length_the_app_sees_no_more(
    tmp_path: Path, protocol: str, threads: int, more: int
) -> None:
    pairs = [*PARAMS, ("CONTENT_LENGTH", "3")]
    with serving(tmp_path, protocol, reading, Settings(threads=threads, drain_seconds=5.0)) as running:
        with running.connect() as peer:
            with contextlib.suppress(BrokenPipeError):
                peer.sendall(encode(protocol, pairs, b"abc" + b"x" * more))
            answer = b""
            # uwsgi is closed behind the body that was told: what was sent beyond may cost a reset, but not the answer.
            with contextlib.suppress(ConnectionResetError):
                for data in iter(lambda: peer.recv(65536), b""):
                    answer += data
            assert b"200 OK" in answer and b"\r\n\r\nabc" in answer and b"abcx" not in answer
        assert running.ask(body=b"whole").body == b"whole"


@threads
@pytest.mark.parametrize("body", [b"four", b"longer than nine"])
def test_a_wrong_length_does_not_reach_the_next_request_of_a_kept_connection(
    tmp_path: Path, threads: int, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of STDIN frames a FastCGI body, so the connection is whole again behind it."""
    settings = Settings(threads=threads, drain_seconds=5.0)
    expected = (200, body[:9]) if len(body) > 9 else (500, b"500 Internal Server Error\n")
    with serving(tmp_path, "fastcgi", reading, settings) as running, running.connect() as peer:
        for _ in range(3):
            peer.sendall(encode("fastcgi", [*PARAMS, ("CONTENT_LENGTH", "9")], body, keep=True))
            answer = read_answer(peer, "fastcgi")
            assert (answer.status, answer.body) == expected
            peer.sendall(encode("fastcgi", [*PARAMS, ("CONTENT_LENGTH", "4")], b"next", keep=True))
            assert read_answer(peer, "fastcgi").body == b"next"


# --- refused requests ---


def damaged(block: bytes, *, begin: bytes = b"\1\1\0\1\0\x08\0\0", keep: bool = True) -> bytes:
    """A FastCGI request with these parameters as they are."""
    ends = records.encode_record(records.PARAMS, 1) + records.encode_record(records.STDIN, 1)
    begin += bytes((0, 1, keep)) + bytes(5 + begin[6])
    return begin + records.encode_record(records.PARAMS, 1, block) + ends


REFUSED_BLOCKS = {
    "a length that lies": (b"\x01\x09AB", 400),
    "an empty name": (b"\0\1A", 400),
    "too many": (b"".join(b"\4\0%04d" % number for number in range(1001)), 431),
    "too long": (records.encode_pairs([("HTTP_X", "x" * 20_000)]), 431),
}


@threads
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("way", ["in one look", "record by record", "in two reads"])
@pytest.mark.parametrize("name", REFUSED_BLOCKS)
def test_a_refused_fastcgi_request_is_answered_whichever_way_it_came(
    tmp_path: Path, threads: int, keep: bool, way: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    block, status = REFUSED_BLOCKS[name]
    # A padded BEGIN_REQUEST is nothing for the quick way.
    begin = b"\1\1\0\1\0\x08\4\0" if way == "record by record" else b"\1\1\0\1\0\x08\0\0"
    data = damaged(block, begin=begin, keep=keep)
    settings = Settings(threads=threads, buffer_size=16_000, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", reading, settings) as running:
        with running.connect() as peer:
            if way == "in two reads":
                peer.sendall(data[:20])
                # Heard behind it, so the first part has been read when this one is answered (by a lone thread).
                assert running.ask().status == 200
                data = data[20:]
            peer.sendall(data)
            answer = read_answer(peer, "fastcgi")
            assert (answer.status, answer.whole) == (status, True)
            # Closed on our side, and read on: a reset would raise here.
            assert peer.recv(1) == b""
            with contextlib.suppress(BrokenPipeError):
                peer.sendall(damaged(b""))
        assert running.ask().status == 200
    assert capsys.readouterr().err.count(f"answered with {status}") == 1
    # Counted as any other.
    assert len(running.tally.ended) == (3 if way == "in two reads" else 2)


def test_a_refused_request_whose_peer_has_left_keeps_no_thread_busy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go, entered = threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/held":
            entered.set()
            assert go.wait(PATIENCE)
        return reading(environ, start_response)

    with serving(tmp_path, "fastcgi", app) as running:
        with running.connect() as held:
            held.sendall(encode("fastcgi", [*PARAMS, ("PATH_INFO", "/held")]))
            assert entered.wait(PATIENCE)
            with running.connect() as peer:
                peer.sendall(encode("fastcgi", [*PARAMS, ("HTTP_X", "a\nb")]))
            go.set()
            assert read_answer(held, "fastcgi").status == 200
        assert running.ask().status == 200
    assert running.tally.at_once == 0 and len(running.tally.ended) == 3


# --- apps that keep what is not theirs any more ---


@both
@threads
def test_a_body_that_the_app_kept_gives_nothing_of_a_later_request(
    tmp_path: Path, protocol: str, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[Any] = []
    found: list[Any] = []

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        if kept:
            try:
                found.append(kept[0].read(6))
            except OSError as error:
                found.append(error)
            return reading(environ, start_response)
        kept.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return [b"unread"]

    pairs = [*PARAMS, ("CONTENT_LENGTH", "6")]
    settings = Settings(threads=threads, drain_seconds=5.0)
    with serving(tmp_path, protocol, app, settings) as running, running.connect() as peer:
        for number, expected in enumerate((b"unread", b"secret", b"again!")):
            if number and protocol == "uwsgi":
                assert running.ask(body=expected).body == expected
                continue
            peer.sendall(encode(protocol, pairs, expected if number else b"first!", keep=True))
            assert read_answer(peer, protocol).body == expected
    assert len(found) == 2
    assert not any(piece in (b"secret", b"again!") for piece in found), found


def test_a_broken_record_behind_part_of_a_body_ends_it_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The peer sends nothing more, and waits: so would we, for as long as its patience lasts."""
    pairs = [*PARAMS, ("CONTENT_LENGTH", "6")]
    settings = Settings(patience=PATIENCE * 10, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", reading, settings) as running, running.connect() as peer:
        peer.sendall(fastcgi.encode_begin(pairs) + fastcgi.encode_stdin(b"abc") + b"\x09" + bytes(7))
        assert read_answer(peer, "fastcgi").status == 500
        assert peer.recv(1) == b""


def test_another_threads_lines_do_not_fall_into_the_middle_of_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = threading.Event()
    line = "e" * 50_000 + "\n"

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        def chatter() -> None:
            assert go.wait(PATIENCE)
            for _ in range(50):
                environ["wsgi.errors"].write(line)

        background = threading.Thread(target=chatter)
        background.start()
        start_response("200 OK", [])
        yield b"x" * 10_000_000
        background.join()
        environ["wsgi.errors"].write("own\n")
        yield b"end"

    settings = Settings(stderr=True, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", app, settings) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS))
        response = fastcgi.ClientResponse()
        # Something has come, and far more than a socket holds is to come: the server is in the middle of it.
        events = list(response.receive(peer.recv(1)))
        go.set()
        while not (events and isinstance(events[-1], fastcgi.End)):
            data = peer.recv(65536)
            assert data
            events += response.receive(data)
    page = b"".join(event.data for event in events if isinstance(event, fastcgi.Stdout))
    assert page.endswith(b"xend") and len(page) > 10_000_000
    told = b"".join(event.data for event in events if isinstance(event, fastcgi.Stderr))
    assert told.count(b"e\n") == 50 and b"own\n" in told


def test_a_refused_request_does_not_end_the_error_stream_of_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        print("a line", file=environ["wsgi.errors"])
        return reading(environ, start_response)

    settings = Settings(stderr=True, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", app, settings) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        assert read_answer(peer, "fastcgi").status == 200
        peer.sendall(damaged(b"\0\1A"))
        answer = rest(peer)
    assert b"400 Bad Request" in answer and records.encode_record(records.STDERR, 1) not in answer


# --- files that tell no size ---


@both
@pytest.mark.parametrize("path", ["/proc/self/limits", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_file_of_the_kernel_is_sent_whole(tmp_path: Path, protocol: str, path: str) -> None:
    if not os.path.exists(path):
        path = "/proc/version"

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        file = Path(path).open("rb")  # noqa: SIM115 -- the server closes it
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    with serving(tmp_path, protocol, app) as running:
        answer = running.ask()
    assert answer.whole and answer.body.splitlines()[:1] == Path(path).read_bytes().splitlines()[:1]


@both
def test_a_file_that_the_kernel_cannot_send_arrives_all_the_same(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(500_000)
    (tmp_path / "file").write_bytes(content)

    def unknown(out: int, fd: int, offset: int, count: int) -> int:
        raise OSError(22, "Invalid argument")

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "500000")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return wrapped

    monkeypatch.setattr(os, "sendfile", unknown)
    with serving(tmp_path, protocol, app) as running:
        answer = running.ask()
    assert answer.whole and answer.body == content


@both
def test_a_file_that_cannot_be_read_breaks_its_response_off(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"x" * 500_000)

    def damaged_disk(*arguments: Any) -> Any:
        raise OSError(5, "Input/output error")

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "500000")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return wrapped

    monkeypatch.setattr(os, "sendfile", damaged_disk)
    monkeypatch.setattr(os, "pread", damaged_disk)
    with serving(tmp_path, protocol, app) as running, running.connect() as peer:
        peer.sendall(encode(protocol, PARAMS))
        data = rest(peer)
    # No END_REQUEST that a record left short would take for its content.
    assert b"200 OK" in data and b"\1\3\0\1\0\x08" not in data
    assert "Input/output error" in capsys.readouterr().err
    assert running.tally.ended == [(0, True)]


class _NoRoom:
    """An epoll that has no room for one descriptor, as epoll(7) says of max_user_watches."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def register(self, fd: int, mask: int) -> None:
        if not self.refused:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.real.register(fd, mask)


@both
@threads
def test_a_connection_that_cannot_be_watched_is_closed_and_costs_no_thread(
    tmp_path: Path, protocol: str, threads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, protocol, reading, Settings(threads=threads, drain_seconds=5.0)) as running:
        assert running.ask().status == 200
        full = running.server._reactor.waiting._epoll = _NoRoom(running.server._reactor.waiting._epoll)
        # It may be closed before a byte has come.
        with running.connect() as peer, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(encode(protocol, PARAMS, b"")[:20])
            assert rest(peer) == b""
        assert full.refused == 1
        for _ in range(threads + 1):
            assert running.ask().status == 200
        expected = threads if threads > 1 else 0
        assert len(serving_threads(expected)) == expected
    assert "cannot be watched: No space left on device -- connection closed" in capsys.readouterr().err
