"""``fastcgi-engine = flup``: the same face as the native engine, and by name the faults of flup that ours mends."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import EmperorError
from emperor.protocol import fastcgi, records
from emperor.protocol.params import pairs
from emperor.serving.flup_engine import Server
from emperor.serving.settings import Settings
from tests.integration.serving_world import (
    PARAMS,
    PATIENCE,
    REFUSED,
    REFUSING,
    Held,
    Start,
    Tally,
    echo,
    encode,
    listening,
    read_answer,
    serving,
)

pytest.importorskip("flup", reason="needs flup==1.0.3: pip install flup")

engines = pytest.mark.parametrize("engine", ["native", "flup"])


@engines
@pytest.mark.parametrize("threads", [1, 3])
def test_both_engines_answer(tmp_path: Path, engine: str, threads: int) -> None:
    settings = Settings(threads=threads, drain_seconds=5.0, kept_seconds=0.2)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running:
        assert running.ask(("PATH_INFO", "/a")).body == b"GET /a "
        assert running.ask(("REQUEST_METHOD", "POST"), body=b"data" * 50_000).body == b"POST / " + b"data" * 50_000
        with running.connect() as peer:
            for _ in range(5):
                peer.sendall(encode("fastcgi", PARAMS, keep=True))
                assert read_answer(peer, "fastcgi").status == 200
    assert len(running.tally.ended) == 7


@engines
def test_both_engines_put_a_parameter_together_that_lies_in_two_records(tmp_path: Path, engine: str) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["HTTP_COOKIE"].encode(), b" injected" if "INJECTED" in environ else b""]

    cookie = "x" * 100 + "\x08\x01INJECTED1" + "x" * 100
    data = encode("fastcgi", [*PARAMS, ("HTTP_COOKIE", cookie)])
    cut = data.index(b"\x08\x01INJECTED")
    # The one PARAMS record behind BEGIN_REQUEST, as two.
    content = data[24 : 24 + int.from_bytes(data[20:22], "big")]
    pieces = content[: cut - 24], content[cut - 24 :]
    split = b"".join(b"\x01\x04\x00\x01" + len(piece).to_bytes(2, "big") + b"\0\0" + piece for piece in pieces)
    with serving(tmp_path, "fastcgi", app, engine=engine) as running, running.connect() as peer:
        peer.sendall(data[:16] + split + data[24 + len(content) :])
        assert read_answer(peer, "fastcgi").body == cookie.encode("latin-1")


@engines
@pytest.mark.parametrize("threads", [1, 2])
def test_both_engines_let_so_many_requests_into_the_app_as_there_are_threads(
    tmp_path: Path, engine: str, threads: int
) -> None:
    app = Held()
    with serving(tmp_path, "fastcgi", app, Settings(threads=threads, drain_seconds=5.0), engine) as running:
        asking = [threading.Thread(target=running.ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        assert all(app.is_entered() for _ in range(threads))
        app.go.set()
        for thread in asking:
            thread.join(PATIENCE)
    assert running.tally.most_at_once == threads


@engines
def test_both_engines_end_although_a_kept_connection_is_idle(tmp_path: Path, engine: str) -> None:
    settings = Settings(drain_seconds=PATIENCE * 2, kept_seconds=0.2)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        read_answer(peer, "fastcgi")
        running.drain()


@engines
def test_both_engines_cut_nothing_in_a_drain_without_an_end(tmp_path: Path, engine: str) -> None:
    app, settings = Held(), Settings(threads=2, drain_seconds=0.1)
    with serving(tmp_path, "fastcgi", app, settings, engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS))
        assert app.is_entered()
        running.server.drain(bounded=False)
        running.thread.join(0.6)
        assert running.thread.is_alive()
        app.go.set()
        assert read_answer(peer, "fastcgi").status == 200
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()


@engines
def test_both_engines_answer_once_more_while_they_drain(tmp_path: Path, engine: str) -> None:
    settings = Settings(drain_seconds=PATIENCE)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        read_answer(peer, "fastcgi")
        running.server.drain()
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        assert read_answer(peer, "fastcgi").whole
        assert peer.recv(1) == b""


@engines
def test_a_failing_app_is_a_500_without_its_reason(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        raise ValueError("secret")

    with serving(tmp_path, "fastcgi", app, engine=engine) as running:
        answer = running.ask()
    assert answer.status == 500 and b"secret" not in answer.body
    assert [failed for _, failed in running.tally.ended] == [True]


# --- what flup as it comes gets wrong, and both engines get right; test_wsgi_conformance has what concerns WSGI ---


@engines
def test_both_engines_answer_get_values_with_the_truth(tmp_path: Path, engine: str) -> None:
    """flup looks bytes up among strings (fcgi_base.py, _do_get_values), and would answer with nothing."""
    names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]
    asked = records.encode_record(records.GET_VALUES, 0, records.encode_pairs((name, "") for name in names))
    # flup has a thread for each connection; ours hold more than they serve at once.
    connections = {"native": "50", "flup": "3"}[engine]
    settings = Settings(threads=3, connections=50)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running, running.connect() as peer:
        peer.sendall(asked)
        peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(1000), b""))
    assert answer[1] == records.GET_VALUES_RESULT
    found = pairs(records.decode_pairs(answer[8 : 8 + int.from_bytes(answer[4:6], "big")]))
    assert dict(found) == {"FCGI_MAX_CONNS": connections, "FCGI_MAX_REQS": "3", "FCGI_MPXS_CONNS": "0"}


@engines
@pytest.mark.parametrize("params, status", REFUSED)
def test_both_engines_refuse_what_no_app_should_see(
    tmp_path: Path, engine: str, params: list[tuple[str, str]], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """flup bounds and checks nothing."""
    with serving(tmp_path, "fastcgi", echo, REFUSING, engine) as running:
        assert running.ask(*params).status == status
        assert running.ask().status == 200


@engines
def test_both_engines_join_a_header_that_came_twice(tmp_path: Path, engine: str) -> None:
    """flup keeps the last one."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["HTTP_COOKIE"].encode(), b" ", environ["HTTP_X"].encode()]

    repeated = [("HTTP_COOKIE", "a=1"), ("HTTP_X", "1"), ("HTTP_COOKIE", "b=2"), ("HTTP_X", "2")]
    with serving(tmp_path, "fastcgi", app, engine=engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", [*PARAMS, *repeated]))
        assert read_answer(peer, "fastcgi").body == b"a=1; b=2 1, 2"


@engines
@pytest.mark.parametrize("begun", [0, 5, 40])
def test_both_engines_close_a_connection_that_says_nothing(tmp_path: Path, engine: str, begun: int) -> None:
    """flup lets it pin a thread for ever."""
    settings = Settings(header_seconds=0.2, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS)[:begun])
        assert peer.recv(1) == b""
        assert running.ask().status == 200


@engines
def test_both_engines_close_a_connection_that_says_a_byte_at_a_time(tmp_path: Path, engine: str) -> None:
    """Each of them would be another patience to flup."""
    data = encode("fastcgi", [*PARAMS, ("HTTP_X", "x" * 60000)])
    settings = Settings(header_seconds=0.2, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", echo, settings, engine) as running, running.connect() as peer:
        end = time.monotonic() + PATIENCE
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for number in range(len(data) - 1):
                assert time.monotonic() < end, "it was still taken"
                peer.sendall(data[number : number + 1])
                select.select([peer], [], [], 0.002)
        assert running.ask().status == 200


@engines
def test_both_engines_end_an_aborted_request_and_keep_the_connection(tmp_path: Path, engine: str) -> None:
    """flup sets a flag that nobody reads."""
    closed = threading.Event()

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        try:
            start_response("200 OK", [])
            yield environ["wsgi.input"].read()
        finally:
            closed.set()

    with serving(tmp_path, "fastcgi", app, engine=engine) as running, running.connect() as peer:
        begin = fastcgi.encode_begin(PARAMS, keep=True)
        peer.sendall(begin + fastcgi.encode_stdin(b"half") + records.encode_record(records.ABORT_REQUEST, 1))
        assert read_answer(peer, "fastcgi").whole
        assert closed.wait(PATIENCE)
        peer.sendall(begin + fastcgi.encode_stdin(b"whole") + fastcgi.encode_stdin(b""))
        assert read_answer(peer, "fastcgi").body == b"whole"


@engines
def test_both_engines_refuse_a_second_request_on_a_busy_connection(tmp_path: Path, engine: str) -> None:
    with serving(tmp_path, "fastcgi", echo, engine=engine) as running, running.connect() as peer:
        first = fastcgi.encode_begin([*PARAMS, ("CONTENT_LENGTH", "4")])
        second = fastcgi.encode_begin(PARAMS, request_id=2)
        peer.sendall(first + second[:16] + fastcgi.encode_stdin(b"body") + fastcgi.encode_stdin(b""))
        data = b"".join(iter(lambda: peer.recv(65536), b""))
    assert fastcgi.ClientResponse(2).receive(data) == [fastcgi.End(0, records.CANT_MPX_CONN)]
    assert fastcgi.ClientResponse(1).receive(data)[-1] == fastcgi.End(0, records.REQUEST_COMPLETE)


@engines
def test_both_engines_write_what_the_app_logs_once(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """flup writes it to the log and, in addition, to the web server's."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["wsgi.errors"].write("a line for the log\n")
        start_response("200 OK", [])
        return [b"page"]

    with serving(tmp_path, "fastcgi", app, engine=engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS))
        data = b"".join(iter(lambda: peer.recv(65536), b""))
    assert not any(isinstance(event, fastcgi.Stderr) for event in fastcgi.ClientResponse().receive(data))
    assert capsys.readouterr().err == "a line for the log\n"


@engines
def test_both_engines_write_it_to_the_web_server_too_when_asked(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "l" * 200_000

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"page "
        environ["wsgi.errors"].write(f"caf\xe9\n{long}")
        yield b"* " * 100_000

    settings = Settings(stderr=True, drain_seconds=5.0)
    with serving(tmp_path, "fastcgi", app, settings, engine) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS))
        data = b"".join(iter(lambda: peer.recv(65536), b""))
    events = fastcgi.ClientResponse().receive(data)
    told = b"".join(event.data for event in events if isinstance(event, fastcgi.Stderr))
    page = b"".join(event.data for event in events if isinstance(event, fastcgi.Stdout))
    assert told == f"caf\xe9\n{long}".encode()
    assert page.endswith(b"\r\n\r\npage " + b"* " * 100_000)
    assert events[-1] == fastcgi.End(0, records.REQUEST_COMPLETE)
    assert capsys.readouterr().err == f"caf\xe9\n{long}"


@engines
def test_both_engines_leave_garbage_behind_with_one_line(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, "fastcgi", echo, engine=engine) as running:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\x01\x01\x00\x01\x00\x01\x00\x00x"):
            with running.connect() as peer:
                peer.sendall(garbage)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
            assert running.ask().status == 200
    assert capsys.readouterr().err.count("\n") <= 3


def test_another_protocol_is_refused_in_words(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match="FastCGI alone"):
        Server([(listener, "uwsgi")], echo, Settings(), Tally())


def test_a_missing_flup_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flup.server.fcgi_base", None)
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match=r"install flup==1\.0\.3"):
        Server([(listener, "fastcgi")], echo, Settings(), Tally())
