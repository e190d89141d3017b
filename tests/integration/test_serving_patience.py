"""Whom a server waits for, for how long, and whom it lets go: deadlines, room, aborts, and what an app forks."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.protocol import records
from emperor.serving import lone_thread, reactor
from emperor.serving.backlog import Backlog
from emperor.serving.lone_thread import accepted_first
from emperor.serving.native import Server, Settings
from tests.integration.serving_world import (
    PARAMS,
    PATIENCE,
    Held,
    Running,
    Start,
    Tally,
    echo,
    encode,
    read_answer,
    serving,
)

ROOT = Path(__file__).resolve().parents[2]

both = pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
threads = pytest.mark.parametrize("threads", [1, 4])


def until(condition: Any) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


# --- deadlines ---


@both
def test_a_request_that_came_in_time_is_answered_although_the_worker_was_busy(tmp_path: Path, protocol: str) -> None:
    app = Held()
    with serving(tmp_path, protocol, app, Settings(header_seconds=0.05)) as running, running.connect() as early:
        # Accepted, with its deadline running; then the only thread is busy until long after it.
        assert until(lambda: running.server._reactor.waiting.peers)
        (waiting,) = running.server._reactor.waiting.peers.values()
        with running.connect() as slow:
            slow.sendall(encode(protocol, PARAMS, b""))
            assert app.is_entered()
            early.sendall(encode(protocol, PARAMS, b""))
            assert until(lambda: time.monotonic() > waiting.deadline + 0.01)
            app.go.set()
            assert read_answer(slow, protocol).status == 200
        assert read_answer(early, protocol).status == 200


@both
@threads
def test_a_deadline_is_not_prolonged_by_byte_after_byte(tmp_path: Path, protocol: str, threads: int) -> None:
    data = encode(protocol, [*PARAMS, ("HTTP_X", "x" * 60000)], b"")
    with serving(tmp_path, protocol, echo, Settings(threads=threads, header_seconds=0.1)) as running:
        with running.connect() as peer:
            end = time.monotonic() + PATIENCE
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for number in range(len(data) - 1):
                    assert time.monotonic() < end, "it was still taken"
                    peer.sendall(data[number : number + 1])
                    # Until it was read, or closed: so that each look of the server finds something.
                    select.select([peer], [], [], 0.002)
        assert running.ask().status == 200


def test_the_rest_of_an_unread_body_leaves_no_deadline_behind(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"unread"]

    whole = encode("fastcgi", [*PARAMS, ("CONTENT_LENGTH", "4")], b"body", keep=True)
    with serving(tmp_path, "fastcgi", app, Settings(header_seconds=60)) as running, running.connect() as peer:
        # The answer comes before the body; a piece of a record stands there for a while.
        peer.sendall(whole[:-10])
        assert read_answer(peer, "fastcgi").body == b"unread"
        assert until(lambda: running.server._reactor.waiting.peers)
        (waiting,) = running.server._reactor.waiting.peers.values()
        assert until(lambda: waiting.deadline is not None)
        peer.sendall(whole[-10:])
        assert until(lambda: waiting.deadline is None)


# --- whom a lone thread takes in ---


class Ordered(Held):
    """Remembers whom it served, in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        return super().__call__(environ, start_response)


def path(name: str) -> list[tuple[str, str]]:
    return [*PARAMS[:2], ("PATH_INFO", name), *PARAMS[3:]]


@both
def test_a_request_that_follows_its_connection_soon_is_served_before_another_is_accepted(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lone_thread, "_SPEAKS_SOON", PATIENCE * 1000)
    accepted, accept = threading.Event(), Backlog.accept

    def seen(backlog: Backlog, fd: int) -> Any:
        peer = accept(backlog, fd)
        accepted.set()
        return peer

    monkeypatch.setattr(Backlog, "accept", seen)
    app = Ordered()
    app.go.set()
    with serving(tmp_path, protocol, app) as running, running.connect() as early, running.connect() as late:
        assert accepted.wait(PATIENCE)
        late.sendall(encode(protocol, path("/late"), b""))
        assert not select.select([late], [], [], 0.2)[0]
        early.sendall(encode(protocol, path("/early"), b""))
        assert read_answer(late, protocol).status == read_answer(early, protocol).status == 200
    assert app.paths == ["/early", "/late"]


@both
def test_who_was_accepted_is_served_before_another_is_accepted(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lone_thread, "_SPEAKS_SOON", 0)
    app = Ordered()
    with serving(tmp_path, protocol, app) as running, running.connect() as slow, running.connect() as early:
        assert until(lambda: len(running.server._reactor.waiting.peers) == 2)
        slow.sendall(encode(protocol, path("/slow"), b""))
        assert app.is_entered()
        early.sendall(encode(protocol, path("/early"), b""))
        with running.connect() as late:
            late.sendall(encode(protocol, path("/late"), b""))
            app.go.set()
            for peer in (slow, early, late):
                assert read_answer(peer, protocol).status == 200
    assert app.paths == ["/slow", "/early", "/late"]


def test_who_was_accepted_does_not_keep_others_out(tmp_path: Path) -> None:
    with serving(tmp_path, "uwsgi", echo) as running:
        running.drain()
        with running.listener.dup() as listener:
            server = Server([(listener, "uwsgi")], echo, Settings(), Tally())
            heard = [(900, 1), (listener.fileno(), 1), (901, 1)]
            server._reactor.waiting.peers = dict.fromkeys((900, 901))  # type: ignore[assignment]  # numbers are enough
            for both_times in ([(900, 1), (901, 1)], [(listener.fileno(), 1), (900, 1), (901, 1)]) * 2:
                server._reactor.pending = list(heard)
                assert accepted_first(server._reactor) == both_times
            server.drain()
            server._reactor.pending = list(heard)
            assert accepted_first(server._reactor) == heard
            server._reactor.waiting.peers = {}


def test_silent_connections_do_not_cost_a_worker_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "_SWEEP_SECONDS", 2 * PATIENCE)
    monkeypatch.setattr(lone_thread, "_IN_VAIN", 3)
    with serving(tmp_path, "uwsgi", echo, Settings(drain_seconds=0.2)) as running, contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(running.connect())
        assert until(lambda: len(running.server._reactor.waiting.peers) == 10)
        assert running.server._reactor.in_vain == 3
        assert running.ask().status == 200


# --- room ---


@threads
def test_idle_kept_connections_make_room_for_a_new_one(tmp_path: Path, threads: int) -> None:
    settings = Settings(threads=threads, connections=6, drain_seconds=5.0, kept_seconds=0.2)
    with serving(tmp_path, "fastcgi", echo, settings) as running:
        kept = [running.connect() for _ in range(5)]
        for peer in kept:
            peer.sendall(encode("fastcgi", PARAMS, b"", keep=True))
            assert read_answer(peer, "fastcgi").status == 200
        for _ in range(20):
            assert running.ask().status == 200
        # Not all of them had to go.
        assert any(_alive(peer) for peer in kept)
        for peer in kept:
            peer.close()


def test_room_made_for_a_late_comer_does_not_open_a_draining_server_again(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as clients:
        listener.bind(path)
        listener.listen(8)
        listener.setblocking(False)
        server = Server([(listener, "fastcgi")], echo, Settings(connections=2), Tally())
        taken = []
        for draining in (False, True):
            if draining:
                server.drain()
            clients.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
            peer = server._reactor.take(listener.fileno())
            assert peer is not None
            # Idle, as between two requests.
            server._reactor.waiting.watch(peer)
            taken.append(peer)
        assert taken[0].fd == -1, "it made room"
        assert not server._reactor._backlog.open
        server._reactor.close()


def _alive(peer: socket.socket) -> bool:
    peer.setblocking(False)
    try:
        return peer.recv(1) != b""
    except BlockingIOError:
        return True


def test_a_connection_that_somebody_else_holds_too_is_forgotten_by_epoll(tmp_path: Path) -> None:
    # As a process does that the app has forked: without its last close the kernel would report it for ever.
    with serving(tmp_path, "fastcgi", echo) as running:
        with running.connect() as peer:
            peer.sendall(encode("fastcgi", PARAMS, b"", keep=True))
            assert read_answer(peer, "fastcgi").status == 200
            assert until(lambda: running.server._reactor.waiting.peers)
            (fd,) = running.server._reactor.waiting.peers
            copy = os.dup(fd)
        try:
            assert until(lambda: not running.server._reactor.waiting.peers)
            watched = Path(f"/proc/self/fdinfo/{running.server._reactor._epoll.fileno()}").read_text()
            numbers = [int(line.split()[1]) for line in watched.splitlines() if line.startswith("tfd:")]
            assert fd not in numbers
        finally:
            os.close(copy)


# --- peers that want no answer ---


@threads
def test_an_aborted_response_ends(tmp_path: Path, threads: int) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 1000

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Endless()

    with serving(tmp_path, "fastcgi", app, Settings(threads=threads)) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, b""))
        assert peer.recv(65536)
        peer.sendall(records.encode_record(records.ABORT_REQUEST, 1))
        while peer.recv(65536):
            pass
        assert closed.wait(PATIENCE)


def test_who_takes_no_answers_and_makes_no_request_holds_up_nobody(tmp_path: Path) -> None:
    asked = records.encode_record(records.GET_VALUES, 0, records.encode_pairs([("FCGI_MAX_CONNS", "")])) * 300
    with serving(tmp_path, "fastcgi", echo, Settings(patience=3600.0)) as running, running.connect() as greedy:
        greedy.setblocking(False)
        end = time.monotonic() + PATIENCE
        # Until it is closed: its answers fill the socket, and nobody waits for it.
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < end:
                try:
                    greedy.send(asked)
                except BlockingIOError:
                    select.select([], [greedy], [], 0.01)
        assert running.ask().status == 200


@both
def test_an_upload_without_a_length_that_is_too_long_is_drained_before_the_close(tmp_path: Path, protocol: str) -> None:
    with serving(tmp_path, protocol, reading, Settings(limit_post=100)) as running:
        answer = running.ask(("HTTP_TRANSFER_ENCODING", "chunked"), body=bytes(1_000_000), length=False)
        assert (answer.status, answer.whole) == (413, True)


def reading(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


# --- what the app forks ---


@pytest.fixture(params=["uwsgi", "fastcgi"])
def protocol_of(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@threads
def test_what_the_app_forks_is_no_worker(tmp_path: Path, protocol_of: str, threads: int) -> None:
    path = tmp_path / "s"
    command = [sys.executable, str(ROOT / "tests/apps/forking_program.py"), protocol_of, str(path), str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            _, pid = process.stdout.readline().split()
            nobody: Any = None
            running = Running(str(path), protocol_of, nobody, Tally(), nobody, nobody)
            for target, outcome in (("/exit", "7"), ("/raise", "1"), ("/terminate", "-15")):
                answer = running.ask(("PATH_INFO", target))
                assert (answer.status, answer.body.decode()) == (200, f"{outcome} {pid}"), target
            # Both of them answer; only one of them stays.
            assert running.ask(("PATH_INFO", "/return")).status == 200
            for _ in range(50):
                assert running.ask().body.decode() == f"- {pid}"
            process.terminate()
            out, err = process.communicate(timeout=PATIENCE)
            assert (out, process.returncode) == ("drained\n", 0)
            assert err.count("ValueError: the child's own fault") == 1
        finally:
            process.kill()
