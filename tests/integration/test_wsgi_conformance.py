"""Every engine keeps every rule of the table; where flup as it comes does not, the row names the fault."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from emperor.serving.settings import Settings
from tests.integration.serving_world import PATIENCE, Answer, serving
from tests.integration.wsgi_apps import Notes
from tests.integration.wsgi_case import Case
from tests.integration.wsgi_cases import CASES
from tests.integration.wsgi_file_apps import FILE
from tests.integration.wsgi_theatre import ALIVE, PLAIN, Theatre, ask, send_and_receive, theatre
from tests.integration.wsgi_wires import NOT_IN_HTTP, can_carry, http_answer, received, request

ENGINES = [("uwsgi", "native"), ("http", "native"), ("fastcgi", "native"), ("fastcgi", "flup")]
"""A protocol of ``wsgi_wires`` and who speaks it."""

CUT_BY_LENGTH = "a body ends where its length says"
UNREAD = "3 MB that nobody reads cost no answer"
"""Rows behind whose request no other one can follow on a connection, and behind whose answer."""


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[tuple[str, str]], Theatre]]:
    """One server for each engine plays all the rows, one after another."""
    with contextlib.ExitStack() as opened:
        yield functools.cache(lambda engine: opened.enter_context(theatre(tmp_path_factory.mktemp("house"), *engine)))


@pytest.fixture
def house(houses: Callable[[tuple[str, str]], Theatre], request: pytest.FixtureRequest) -> Theatre:
    return houses(request.param)


def differences(case: Case, protocol: str, answer: Optional[Answer], log: str, notes: Notes) -> list[str]:
    """Where the performance is not what the table says."""
    found = [*_of_answer(case, protocol, answer), *_of_log(case, log)]
    if case.closed not in (None, notes.closed):
        found.append(f"closed {notes.closed} times")
    if not getattr(notes.file, "closed", True):
        found.append("the file is still open")
    return found


def _of_answer(case: Case, protocol: str, answer: Optional[Answer]) -> Iterator[str]:
    if answer is None:
        if not case.cut:
            yield "the answer is cut"
        return
    head, body = answer.head, b"" if case.bodiless and protocol == "http" else case.answer or b""
    if (head.status, head.reason) != (case.status, case.reason):
        yield f"status {head.status} {head.reason}"
    if case.headers is not None and case.headers != head.headers:
        yield f"headers {head.headers!r}"
    if answer.body != body:
        yield f"body {answer.body[:100]!r}, wanted {body[:100]!r}"
    if not (_is_seen_to_be_cut(answer, protocol) if case.cut else answer.whole):
        yield "it does not look cut" if case.cut else "it does not look whole"


def _of_log(case: Case, log: str) -> Iterator[str]:
    position = 0
    for text in case.log:
        position = log.find(text, position)
        if position < 0:
            yield f"not in the log, or not in this order: {text[:80]!r}"
            return
    if case.silent and log:
        yield f"the log says {log[:300]!r}"


def _is_seen_to_be_cut(answer: Answer, protocol: str) -> bool:
    """uwsgi has no end but the connection's: without a Content-Length nothing can be shown."""
    length = dict(answer.head.headers).get("Content-Length")
    if length is None:
        return protocol == "uwsgi" or not answer.whole
    return len(answer.body) < int(length)


everywhere = pytest.mark.parametrize("house", ENGINES, indirect=True, ids=" ".join)
ROWS = [
    pytest.param(engine, name, id=f"{' '.join(engine)}: {name}")
    for engine in ENGINES
    for name, case in CASES.items()
    if can_carry(engine[0], case)
]


@pytest.mark.parametrize("house, name", ROWS, indirect=["house"])
def test_every_engine_keeps_the_rule(house: Theatre, name: str) -> None:
    case = CASES[name].over(house.running.protocol)
    found, log, notes = house.play(case)
    assert differences(case, house.running.protocol, found, log, notes) == []


def test_every_exception_for_http_is_one_of_a_row() -> None:
    assert NOT_IN_HTTP.keys() <= {pair for case in CASES.values() for pair in case.params}


KEPT = [name for name, case in CASES.items() if can_carry("http", case) and not case.hang_up and name != CUT_BY_LENGTH]


@pytest.mark.parametrize("house", [("http", "native")], indirect=True, ids=" ".join)
@pytest.mark.parametrize("name", KEPT)
def test_the_next_request_of_a_kept_connection_gets_its_own_answer(house: Theatre, name: str) -> None:
    """Whatever the app did: only behind a cut answer, or a body that is still to come, the connection ends."""
    case = CASES[name].over("http")
    house.stage.app, house.stage.notes = case.app, Notes(house.file)
    with house.running.connect() as peer:
        came = send_and_receive(peer, request("http", case, keep=True) + request("http", ALIVE), received)
    found = http_answer(came, case)
    assert differences(case._replace(log=(), silent=False), "http", found, "", house.stage.notes) == []
    if case.cut or name == UNREAD:
        assert came.read() == b""
    else:
        following = http_answer(came, ALIVE)
        assert (following.body, following.whole, came.read()) == (b"alive", True, b"")


FAULTS = [name for name, case in CASES.items() if case.flup]


@pytest.mark.parametrize("name", FAULTS)
def test_flup_as_it_comes_does_not(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that each fault that a row names is one, and our adapter is what mends it."""
    case = CASES[name]
    (tmp_path / "file").write_bytes(FILE)
    notes, log = Notes(str(tmp_path / "file")), io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["test.notes"] = notes
        return case.app(environ, start_response)

    with plain_flup(app) as peer:
        got = ask(peer, "fastcgi", case)
    # What flup says of an exception it tells the web server alone.
    wanted = case._replace(log=(), silent=False)
    found = differences(wanted, "fastcgi", got, log.getvalue(), notes)
    if hasattr(notes.file, "close"):
        notes.file.close()
    assert found != []


@contextlib.contextmanager
def plain_flup(app: Any) -> Iterator[socket.socket]:
    fcgi_base = pytest.importorskip("flup.server.fcgi_base", reason="needs flup==1.0.3: pip install flup")
    server = fcgi_base.BaseFCGIServer(app, bindAddress="none")
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)

    def run() -> None:
        with contextlib.suppress(BaseException), theirs:
            fcgi_base.Connection(theirs, "", server, None).run()

    thread = threading.Thread(target=run)
    thread.start()
    with ours:
        yield ours
    thread.join(PATIENCE)
    assert not thread.is_alive()


@everywhere
def test_close_is_called_once_when_the_web_server_leaves(house: Theatre) -> None:
    blocks: list[int] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        try:
            start_response("200 OK", [])
            for number in itertools.count():
                blocks.append(number)
                yield b"x" * 65536
        finally:
            environ["test.notes"].close()

    house.stage.app, house.stage.notes = app, Notes()
    running, before = house.running, house.log.stat().st_size
    with running.connect() as peer:
        peer.sendall(request(running.protocol, PLAIN))
        assert peer.recv(100)
    assert house.stage.notes.close_called.wait(PATIENCE)
    assert house.is_alive()
    assert house.stage.notes.closed == 1
    assert house.log.stat().st_size == before, "it is no fault of the app's"


@everywhere
def test_a_slow_web_server_holds_the_app_back(house: Theatre) -> None:
    """The app is asked for a block when the last one has left, not before: memory stays as it is."""
    asked = threading.Semaphore(0)
    blocks: list[int] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(200):
            blocks.append(number)
            asked.release()
            yield b"x" * 1_000_000

    house.stage.app, house.stage.notes = app, Notes()
    running = house.running
    with running.connect() as peer:
        peer.sendall(request(running.protocol, PLAIN))
        assert asked.acquire(timeout=PATIENCE)
        received = 0
        while received < 20_000_000:
            received += len(peer.recv(1_000_000))
            # What is on its way: one block in hand, and what the kernel holds of a Unix socket.
            assert len(blocks) <= received // 1_000_000 + 3
    assert house.is_alive()


engines = pytest.mark.parametrize("protocol, engine", ENGINES)


@engines
def test_what_is_printed_and_what_is_logged_keeps_its_order(
    tmp_path: Path, protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's standard output and error are one pipe, both with a buffer for a line; here they are one file."""
    with (tmp_path / "log").open("a", buffering=1) as out, (tmp_path / "log").open("a", buffering=1) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            errors = environ["wsgi.errors"]
            print("one")
            errors.write("two\n")
            print("three", file=sys.stderr)
            errors.writelines(["four\n", "five\n"])
            print("six")
            errors.write("seven")
            errors.flush()
            start_response("200 OK", [])
            return [b"x"]

        with serving(tmp_path, protocol, app, engine=engine) as running, running.connect() as peer:
            assert ask(peer, protocol, PLAIN) is not None
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree\nfour\nfive\nsix\nseven"


@engines
def test_lines_from_several_threads_stay_whole(
    tmp_path: Path, protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(4)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        together.wait(PATIENCE)
        for size in (*[20] * 200, 9000, 70_000):
            environ["wsgi.errors"].write(environ["QUERY_STRING"] * size + "\n")
        start_response("200 OK", [])
        return [b"x"]

    with (tmp_path / "log").open("w", buffering=1) as log:
        monkeypatch.setattr(sys, "stderr", log)
        with serving(tmp_path, protocol, app, Settings(threads=4, drain_seconds=5.0), engine) as running:

            def visit(name: str) -> None:
                with running.connect() as peer:
                    ask(peer, protocol, PLAIN._replace(params=(("QUERY_STRING", name),)))

            asking = [threading.Thread(target=visit, args=(name,)) for name in "abcd"]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join(PATIENCE)
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(lines) == sorted(name * size for name in "abcd" for size in (*[20] * 200, 9000, 70_000))
