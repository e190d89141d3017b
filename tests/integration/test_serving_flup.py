"""``fastcgi-engine = flup``: the same face, and by name the faults in which it differs from the native engine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from emperor.errors import EmperorError, ProtocolError
from emperor.serving.flup_engine import Server
from emperor.serving.settings import Settings
from tests.integration.serving_world import PARAMS, PATIENCE, Tally, encode, listening, read_answer, serving

pytest.importorskip("flup", reason="needs flup==1.0.3: pip install flup")

Start = Callable[..., Any]
engines = pytest.mark.parametrize("engine", ["native", "flup"])


def echo(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode("latin-1") + body]


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
    entered, go = threading.Semaphore(0), threading.Event()

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        entered.release()
        assert go.wait(PATIENCE)
        return echo(environ, start_response)

    with serving(tmp_path, "fastcgi", app, Settings(threads=threads, drain_seconds=5.0), engine) as running:
        asking = [threading.Thread(target=running.ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        assert all(entered.acquire(timeout=PATIENCE) for _ in range(threads))
        go.set()
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


def test_flup_takes_a_failure_behind_the_head_for_a_whole_response_and_native_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """fcgi_base.py, Request.run: END_REQUEST with status 0 after any exception."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise ValueError("behind the head")

    with serving(tmp_path, "fastcgi", app, engine="flup") as running:
        assert running.ask().whole
    (tmp_path / "fastcgi.sock").unlink()
    with serving(tmp_path, "fastcgi", app, engine="native") as running, pytest.raises(ProtocolError):
        running.ask()


def test_flup_passes_a_line_break_in_a_header_and_native_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """fcgi_base.py, start_response: no check of the characters."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("A", "b\r\nEvil: 1")])
        return [b"x"]

    with serving(tmp_path, "fastcgi", app, engine="flup") as running:
        assert ("Evil", "1") in running.ask().head.headers
    (tmp_path / "fastcgi.sock").unlink()
    with serving(tmp_path, "fastcgi", app, engine="native") as running:
        assert running.ask().status == 500


def test_flup_answers_get_values_with_nothing_and_native_with_the_truth(tmp_path: Path) -> None:
    """fcgi_base.py, _do_get_values: bytes are looked up among strings."""
    asked = b"\x01\x09\x00\x00\x00\x11\x00\x00\x0f\x00FCGI_MPXS_CONNS"
    answers = {}
    for engine in ("flup", "native"):
        with serving(tmp_path, "fastcgi", echo, engine=engine) as running, running.connect() as peer:
            peer.sendall(asked)
            answers[engine] = peer.recv(100)
        (tmp_path / "fastcgi.sock").unlink()
    assert answers["flup"][4:6] == b"\0\0"
    assert answers["native"][8:] == b"\x0f\x01FCGI_MPXS_CONNS0"


def test_another_protocol_is_refused_in_words(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match="FastCGI alone"):
        Server([(listener, "uwsgi")], echo, Settings(), Tally())


def test_a_missing_flup_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flup.server.fcgi_base", None)
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match=r"install flup==1\.0\.3"):
        Server([(listener, "fastcgi")], echo, Settings(), Tally())
