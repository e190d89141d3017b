"""One document to whoever connects, and nobody who is held up by anybody."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.front import free_port
from emperor.crew.company import Living
from emperor.crew.stats import Stats
from emperor.model import ABSTRACT, TCP, UNIX, UWSGI, Address
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import Totals
from emperor.system import statsserver
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Scoreboard
from emperor.system.statsserver import StatsServer
from tests.integration.kernel_world import drive, fds_of, raise_it, unix, until, vassal_spec
from tests.integration.stats_world import MODE, World, connected

HUGE = 4 << 20
"""Bytes: more than any socket keeps of what nobody reads."""
SYSTEM = ("sockdiag", "statslistener", "statsserver")


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


def test_whoever_connects_is_told_and_the_connection_ends(world: World, address: Address, port: Address) -> None:
    abstract = Address(ABSTRACT, f"stats-of-{os.getpid()}")
    for number, one in enumerate((address, port, abstract)):
        text = b"document %d" % number
        world.server(one, text)
        assert world.ask(one) == text
    assert Path(address.path).stat().st_mode & 0o7777 == MODE


def test_with_http_who_asks_gets_a_head_that_lets_no_web_page_read_it(world: World, port: Address) -> None:
    world.server(port, b"numbers", http=True)
    with connected(port) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        world.until(lambda: world.servers[0]._clients)
        one.sendall(b"\r\n")
        head, _, body = world.read(one).partition(b"\r\n\r\n")
    assert body == b"numbers"
    first, *fields = head.decode().split("\r\n")
    assert first == "HTTP/1.0 200 OK"
    assert {"Connection: close", "Content-Type: application/json", "Content-Length: 7"} <= set(fields)
    assert "Access-Control" not in head.decode()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.0\n\n", b"x" * statsserver.LONGEST_HEAD])
def test_with_http_any_words_are_answered(world: World, address: Address, words: bytes) -> None:
    world.server(address, b"numbers", http=True)
    assert b"\r\n\r\nnumbers" in world.ask(address, words)


def test_who_asks_for_nothing_or_reads_nothing_is_let_go(
    world: World, address: Address, port: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statsserver, "PATIENCE", 0.1)
    server, http = world.server(address, bytes(HUGE)), world.server(port, http=True)
    with connected(address) as slow, connected(port) as silent:
        world.until(lambda: server._clients and http._clients)
        world.until(lambda: not server._clients and not http._clients)
        assert len(world.read(slow)) < HUGE
        assert world.read(silent) == b""


def test_many_who_do_not_read_cost_a_bounded_number_and_no_one_else_waits(world: World, address: Address) -> None:
    server = world.server(address, bytes(HUGE))
    before = len(fds_of())
    with ExitStack() as crowd:
        slow = [crowd.enter_context(connected(address)) for _ in range(50)]
        world.until(lambda: server._accepted >= 50)
        assert len(server._clients) == statsserver.MOST
        assert len(fds_of()) == before + len(slow) + statsserver.MOST
        assert len(world.ask(address)) == HUGE


def test_a_thousand_connections_are_rationed_and_share_their_documents(world: World, address: Address) -> None:
    server = world.server(address, b"numbers")
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(0.05)
                one.connect_ex(address.path)

    hostile = threading.Thread(target=flood)
    hostile.start()
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(world.loop.now())
        world.loop.call_at(world.loop.now() + 0.005, tick)

    tick()
    try:
        world.until(lambda: server._accepted == statsserver.RATION)
        made, since = world.made, server._second
        seen = len(ticks)
        world.until(lambda: len(ticks) > seen + 10)
        assert server._second > since or (server._accepted, world.made) == (statsserver.RATION, made)
        assert made <= 2 + (world.loop.now() - since) / statsserver.FRESH
        # The next second has its own ration.
        world.until(lambda: server._second > since)
    finally:
        stop.set()
        hostile.join()


def test_without_a_descriptor_for_one_more_the_loop_does_not_spin(world: World, address: Address) -> None:
    server = world.server(address, b"numbers")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connected(address) as one:
        fillers: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(fds_of()) + 1, hard))
            with contextlib.suppress(OSError):
                while True:
                    fillers.append(os.dup(0))
            world.until(lambda: server._timer is not None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in fillers:
                os.close(fd)
        assert world.read(one) == b"numbers"


def test_a_document_that_fails_costs_its_connection_alone(address: Address) -> None:
    errors: list[BaseException] = []
    loop = Loop(errors.append)
    texts = iter([b"fine"])
    server = StatsServer(address, MODE, False, loop, lambda: next(texts), lambda line: None)
    server.start()
    try:
        with connected(address) as first, connected(address) as second:
            drive(loop, lambda: server._accepted == 2)
            server._made = -1.0
            assert first.recv(10) == second.recv(10) == b"fine"
            with connected(address) as third:
                drive(loop, lambda: errors)
                assert third.recv(10) == b"" and not server._clients
        with connected(address), pytest.raises(StopIteration):
            server.close()
        assert not os.path.lexists(address.path) and not server._clients
    finally:
        server.close()
        loop.close()


class Crew:
    """One worker, ours, and what its seat has seen before."""

    def living(self) -> Iterator[Living]:
        yield Living(0, 0, os.getpid(), gen.born(1, Patience(1.0, 1.0), 0.0))

    def reports(self) -> tuple[WorkerReport, ...]:
        return (WorkerReport(1, os.getpid(), "busy", 1, 0, 4096, born=1.0),)

    def gone(self, seat: int) -> Totals:
        return Totals(requests=8)


@pytest.mark.parametrize("since", [float("inf"), float("nan"), -1.0, 1e300])
def test_what_an_app_scribbles_on_the_scoreboard_spoils_no_document(tmp_path: Path, since: float) -> None:
    board, loop = Scoreboard(1, 1), Loop(raise_it)
    board._memories[0][:8] = struct.pack("=d", since)
    spec = vassal_spec(tmp_path, unix(tmp_path / "a"), stats=Address(UNIX, str(tmp_path / "s")))
    with socket.socket(socket.AF_UNIX) as app:
        app.bind(str(tmp_path / "a"))
        app.listen(3)
        told = json.loads(Stats(spec, loop, Crew(), board, [(app, UWSGI)], lambda *words: None).document())  # type: ignore[arg-type]
    loop.close()
    (worker,), (queue,) = told["workers"], told["sockets"]
    assert (worker["requests"], worker["cores"][0]["req_info"]) == (9, {})
    assert queue == {
        **{"name": str(tmp_path / "a"), "proto": "uwsgi"},
        **{"queue": 0, "max_queue": 3, "shared": 0, "can_offload": 0},
    }


def test_numbers_are_not_told_where_the_app_itself_serves(tmp_path: Path) -> None:
    wanted, lines, loop = unix(tmp_path / "a"), [], Loop(raise_it)
    spec = vassal_spec(tmp_path, wanted, stats=wanted.address)
    Stats(spec, loop, Crew(), Scoreboard(1, 1), [], lambda index, said: lines.extend(said)).start()  # type: ignore[arg-type]
    loop.close()
    assert lines == [f"stats {tmp_path}/a: is where the app itself serves; its numbers are told nowhere"]
    assert os.listdir(tmp_path) == []


def test_a_vassal_loads_nothing_of_it_before_it_is_wanted() -> None:
    code = "import sys, emperor.vassal, emperor.serving.native; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "emperor.duty" in loaded
    ours = {"emperor.crew.stats", "emperor.supervision.uwsgi_stats", *(f"emperor.system.{one}" for one in SYSTEM)}
    assert not ours & loaded


def test_a_fork_keeps_nothing_of_it(world: World, address: Address) -> None:
    server = world.server(address, bytes(HUGE))
    with connected(address) as slow:
        world.until(lambda: server._clients)
        pid = os.fork()
        if pid == 0:
            ours = {one.fileno() for one in (server._bound.sock, *(c.sock for c in server._clients.values()))}  # type: ignore[union-attr]
            server.in_worker()
            os._exit(1 if ours & set(fds_of()) else 0)
        assert os.waitpid(pid, 0)[1] == 0
        until(lambda: slow.recv(1000))
        assert len(world.read(slow)) > HUGE - 100_000


def test_a_request_that_begins_while_we_look_is_in_its_core() -> None:
    """Its worker is told as busy, and one of its threads is what it is busy with."""
    stats = Stats.__new__(Stats)
    stats._board = cast(Any, SimpleNamespace(threads=lambda cell: [(3, time.monotonic()), (4, time.monotonic() + 60)]))
    stats._crew = cast(Any, SimpleNamespace(living=lambda: [SimpleNamespace(pid=102, cell=0)],
                                            reports=lambda: [WorkerReport(1, 102, "busy", 7, 0, 4096)]))  # fmt: skip
    before = time.monotonic()
    ((begun, coming),) = [worker.cores for worker in stats._workers(0.0)]
    assert begun.since is not None and begun.since >= before
    assert coming.since is None
