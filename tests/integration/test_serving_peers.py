"""The codecs and the server against other people's programs, and as a process of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from emperor.protocol import fastcgi
from emperor.protocol.cgi import parse_head
from emperor.serving.native import Settings
from tests.integration.serving_world import PARAMS, PATIENCE, encode, read_answer, serving
from tests.requirements import needs

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., Any]


def echo(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Query", environ["QUERY_STRING"])])
    return [environ["REQUEST_METHOD"].encode(), b" ", body]


# --- cgi-fcgi, the FastCGI developer's kit as a web server ---


@needs("cgi-fcgi")
@pytest.mark.parametrize("body", [b"", b"small", b"B" * 300_000])
def test_cgi_fcgi_gets_its_answer(tmp_path: Path, body: bytes) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "QUERY_STRING": "a=b",
        "CONTENT_LENGTH": str(len(body)),
        "LONG": "x" * 5000,
    }
    with serving(tmp_path, "fastcgi", echo) as running:
        done = subprocess.run(
            ["cgi-fcgi", "-bind", "-connect", running.path],
            env=environ,
            input=body,
            capture_output=True,
            timeout=PATIENCE,
        )
    head = parse_head(done.stdout)
    assert head is not None, done.stderr
    assert (head.status, head.reason) == (201, "Created")
    assert ("X-Query", "a=b") in head.headers
    assert done.stdout[head.size :] == b"POST " + body


@needs("cgi-fcgi")
@pytest.mark.parametrize("size", [1, 200_000])
def test_cgi_fcgi_gets_both_streams_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    """FCGI_STDERR flows between the pieces of the page when the option asks for it (FastCGI 1.0 section 5.3)."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        environ["wsgi.errors"].write("e" * size + "\n")
        start_response("200 OK", [])
        yield body
        environ["wsgi.errors"].write("behind\n")
        yield b"!" * size

    environ = {"REQUEST_METHOD": "POST", "QUERY_STRING": "", "CONTENT_LENGTH": "4"}
    command = ["cgi-fcgi", "-bind", "-connect"]
    with serving(tmp_path, "fastcgi", app, Settings(stderr=True)) as running:
        done = subprocess.run(
            [*command, running.path], env=environ, input=b"data", capture_output=True, timeout=PATIENCE
        )
    head = parse_head(done.stdout)
    assert head is not None and head.status == 200
    assert done.stdout[head.size :] == b"data" + b"!" * size
    assert done.stderr == b"e" * size + b"\nbehind\n"
    assert capsys.readouterr().err.count("behind") == 1


@needs("cgi-fcgi")
def test_cgi_fcgi_hears_of_a_failed_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        raise RuntimeError("on purpose")

    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    with serving(tmp_path, "fastcgi", app) as running:
        command = ["cgi-fcgi", "-bind", "-connect", running.path]
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    head = parse_head(done.stdout)
    assert head is not None and head.status == 500
    assert b"on purpose" not in done.stdout + done.stderr
    assert "RuntimeError: on purpose" in capsys.readouterr().err


# --- flup as it comes, as an application server ---


@contextlib.contextmanager
def flup_connection(app: Any) -> Iterator[socket.socket]:
    fcgi_base = pytest.importorskip("flup.server.fcgi_base", reason="needs flup==1.0.3: pip install flup")
    server = fcgi_base.BaseFCGIServer(app, bindAddress="none")
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    thread = threading.Thread(target=fcgi_base.Connection(theirs, "", server, None).run)
    thread.start()
    try:
        with ours, theirs:
            yield ours
            ours.shutdown(socket.SHUT_WR)
            thread.join(PATIENCE)
    finally:
        assert not thread.is_alive()


def test_our_client_role_is_understood_by_flup() -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("201 Created", [("X-Long", environ["LONG"])])
        return [body, b"!" * 100_000]

    pairs = [*PARAMS, ("CONTENT_LENGTH", "70000"), ("LONG", "\xe9" * 200)]
    with flup_connection(app) as peer:
        for _ in range(2):
            peer.sendall(encode("fastcgi", pairs, b"b" * 70_000, keep=True))
            answer = read_answer(peer, "fastcgi")
            assert (answer.status, answer.whole) == (201, True)
            assert ("X-Long", "\xe9" * 200) in answer.head.headers
            assert answer.body == b"b" * 70_000 + b"!" * 100_000


def test_flups_error_stream_and_refusals_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["wsgi.errors"].write("a line for the log")
        start_response("200 OK", [])
        return [b"page"]

    with flup_connection(app) as peer:
        begin = fastcgi.encode_begin(PARAMS, keep=True)
        authorizer = begin[:8] + b"\x00\x02" + begin[10:]
        events: list[fastcgi.Event] = []
        for data in (begin + fastcgi.encode_stdin(b""), authorizer + fastcgi.encode_stdin(b"")):
            peer.sendall(data)
            response = fastcgi.ClientResponse()
            while not (events and isinstance(events[-1], fastcgi.End)):
                events += response.receive(peer.recv(65536))
            events.append(fastcgi.Stdout(b"---"))
    assert fastcgi.Stderr(b"a line for the log") in events
    assert [event for event in events if isinstance(event, fastcgi.End)] == [fastcgi.End(0, 0), fastcgi.End(0, 3)]


def test_flups_streams_flow_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Larger than a record each, with a body that flup reads meanwhile."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for piece in iter(lambda: environ["wsgi.input"].read(40_000), b""):
            environ["wsgi.errors"].write("e" * len(piece))
            environ["wsgi.errors"].flush()
            yield piece

    body = bytes(range(256)) * 600
    with flup_connection(app) as peer:
        pairs = [*PARAMS, ("CONTENT_LENGTH", str(len(body)))]
        peer.sendall(encode("fastcgi", pairs, body, keep=True))
        response = fastcgi.ClientResponse()
        events: list[fastcgi.Event] = []
        while not (events and isinstance(events[-1], fastcgi.End)):
            events += response.receive(peer.recv(65536))
    page = b"".join(event.data for event in events if isinstance(event, fastcgi.Stdout))
    head = parse_head(page)
    assert head is not None and page[head.size :] == body
    assert sum(len(event.data) for event in events if isinstance(event, fastcgi.Stderr)) == len(body)


# --- as a process: signals, and the other interpreter ---


@contextlib.contextmanager
def program(python: str, protocol: str, path: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    command = [python, str(ROOT / "tests/apps/server_program.py"), protocol, str(path), str(threads)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def connect(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE)
    peer.connect(str(path))
    return peer


PYTHONS = [sys.executable, pytest.param("pypy3", marks=needs("pypy3"))]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
def test_a_process_serves_and_drains_on_term(tmp_path: Path, python: str, protocol: str, threads: int) -> None:
    path = tmp_path / "s"
    os.mkfifo(f"{path}.go")
    with program(python, protocol, path, threads) as process:
        assert process.stdout is not None
        for number in range(20):
            with connect(path) as peer:
                pairs = [*PARAMS, ("QUERY_STRING", str(number)), ("CONTENT_LENGTH", "4")]
                peer.sendall(encode(protocol, pairs, b"body"))
                assert read_answer(peer, protocol).body.endswith(f" {number} body".encode())
        with connect(path) as peer:
            peer.sendall(encode(protocol, [*PARAMS, ("PATH_INFO", "/slow")]))
            assert process.stdout.readline() == "entered\n"
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            Path(f"{path}.go").write_bytes(b"finished")
            assert read_answer(peer, protocol).body.endswith(b"finished")
        assert process.stdout.readline() == "drained\n"
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("threads", [1, 4])
def test_an_idle_process_drains_on_term(tmp_path: Path, python: str, threads: int) -> None:
    with program(python, "uwsgi", tmp_path / "s", threads) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
