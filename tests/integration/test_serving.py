"""The native server on real sockets: what an app and a web server see, over both protocols."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.lint import LintMiddleware

from emperor.errors import EmperorError
from emperor.protocol import fastcgi, records, uwsgi
from emperor.serving.lingering import DRAIN_LIMIT
from emperor.serving.native import Server, Settings
from tests.integration.serving_world import (
    PARAMS,
    PATIENCE,
    REFUSED,
    REFUSING,
    Held,
    Running,
    Start,
    Tally,
    echo,
    encode,
    listening,
    read_answer,
    serving,
    serving_threads,
)

both = pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
threads = pytest.mark.parametrize("threads", [1, 4])


def streaming(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield b"%d\n" % number


@both
@threads
def test_a_request_is_answered(tmp_path: Path, protocol: str, threads: int) -> None:
    with serving(tmp_path, protocol, echo, Settings(threads=threads)) as running:
        answer = running.ask(("PATH_INFO", "/caf\xc3\xa9"))
        assert (answer.status, answer.head.reason, answer.whole) == (200, "OK", True)
        assert answer.body == b"GET /caf\xc3\xa9 "
        assert running.ask(("REQUEST_METHOD", "POST"), body=b"data").body == b"POST / data"
    assert len(running.tally.ended) == 2 and not any(failed for _, failed in running.tally.ended)


@both
@pytest.mark.parametrize("app", [echo, streaming])
@pytest.mark.parametrize("lint", [validator, LintMiddleware])
@pytest.mark.filterwarnings("error")
def test_the_server_keeps_pep_3333_to_the_letter(tmp_path: Path, protocol: str, app: Any, lint: Any) -> None:
    with serving(tmp_path, protocol, lint(app)) as running:
        for answer in (
            running.ask(),
            running.ask(("SCRIPT_NAME", "/app"), ("PATH_INFO", "")),
            running.ask(("REQUEST_METHOD", "POST"), ("CONTENT_TYPE", "text/plain"), body=b"data"),
        ):
            assert answer.status == 200, answer.body


@both
def test_a_packet_may_come_byte_by_byte(tmp_path: Path, protocol: str) -> None:
    with serving(tmp_path, protocol, echo) as running, running.connect() as peer:
        for byte in encode(protocol, PARAMS, b""):
            peer.send(bytes((byte,)))
        assert read_answer(peer, protocol).body == b"GET / "


@both
def test_a_body_is_streamed_through(tmp_path: Path, protocol: str) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        digest = hashlib.sha256()
        for piece in iter(lambda: environ["wsgi.input"].read(65536), b""):
            digest.update(piece)
        start_response("200 OK", [])
        return [digest.hexdigest().encode()]

    body = os.urandom(3_000_000)
    with serving(tmp_path, protocol, app) as running:
        assert running.ask(body=body).body == hashlib.sha256(body).hexdigest().encode()


@both
def test_a_large_response_arrives_whole(tmp_path: Path, protocol: str) -> None:
    block = os.urandom(5_000_000)

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [block, block[:70_000]]

    with serving(tmp_path, protocol, app) as running:
        answer = running.ask()
    assert answer.whole and answer.body == block + block[:70_000]


def test_a_fastcgi_body_ends_with_its_stream_whatever_the_length_says(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    with serving(tmp_path, "fastcgi", app) as running:
        assert running.ask(body=b"chunked", length=False).body == b"chunked"
        assert running.ask(("CONTENT_LENGTH", "3"), body=b"longer").body == b"lon"
        assert running.ask(("CONTENT_LENGTH", "9"), body=b"shorter").status == 500


@both
def test_what_the_app_leaves_of_a_body_does_not_cost_the_answer(tmp_path: Path, protocol: str) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("403 Forbidden", [])
        return [b"no"]

    with serving(tmp_path, protocol, app) as running, running.connect() as peer:
        data = encode(protocol, [*PARAMS, ("CONTENT_LENGTH", "60000")], b"b" * 60_000)
        peer.sendall(data[:500])
        answer = read_answer(peer, protocol)
        assert (answer.status, answer.body) == (403, b"no")
        # A reset would raise here: the rest is still read, then comes the end of the stream.
        peer.sendall(data[500:])
        assert peer.recv(1) == b""


@both
def test_a_refused_upload_is_a_413_although_nobody_reads_it(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, protocol, echo, Settings(limit_post=1000)) as running:
        assert running.ask(body=b"b" * 3_000_000).status == 413


@both
def test_a_peer_that_sends_on_for_ever_is_closed(tmp_path: Path, protocol: str) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    pairs = [*PARAMS, ("CONTENT_LENGTH", "1" + "0" * 12)]
    piece = fastcgi.encode_stdin(b"b" * 30_000)
    with serving(tmp_path, protocol, app) as running, running.connect() as peer:
        peer.sendall(uwsgi.encode_request(pairs) if protocol == "uwsgi" else fastcgi.encode_begin(pairs, keep=True))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(3 * DRAIN_LIMIT // len(piece)):
                peer.sendall(piece)


@both
def test_failures_of_the_app_leave_the_worker_alive(
    tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit(3)
        if environ["PATH_INFO"] == "/fail":
            raise ValueError("the reason")
        return echo(environ, start_response)

    with serving(tmp_path, protocol, app) as running:
        for path in ("/fail", "/exit"):
            answer = running.ask(("PATH_INFO", path))
            assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
        assert running.ask().status == 200
    assert [failed for _, failed in running.tally.ended] == [True, True, False]


def broken_off(headers: list[tuple[str, str]]) -> Any:
    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", headers)
        yield b"half"
        raise ValueError("behind the head")

    return app


def test_a_fastcgi_response_cut_short_does_not_look_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """nginx takes any END_REQUEST, and the end of the connection, for a whole response; not a record of version 0."""
    with serving(tmp_path, "fastcgi", broken_off([])) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS))
        data = b"".join(iter(lambda: peer.recv(65536), b""))
    assert data == records.encode_record(records.STDOUT, 1, b"Status: 200 OK\r\n\r\nhalf") + bytes(8)


@both
def test_a_response_shorter_than_its_length_lets_the_length_tell(tmp_path: Path, protocol: str) -> None:
    with serving(tmp_path, protocol, broken_off([("Content-Length", "8")])) as running:
        answer = running.ask()
    assert answer.body == b"half"


@both
@pytest.mark.parametrize("params, status", REFUSED)
def test_a_request_that_no_app_should_see_is_answered(
    tmp_path: Path, protocol: str, params: list[tuple[str, str]], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, protocol, echo, REFUSING) as running:
        assert running.ask(*params).status == status
        assert running.ask().status == 200


@both
def test_a_body_that_tells_no_length_is_bounded_too(tmp_path: Path, protocol: str) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        return [environ["wsgi.input"].read()]

    with serving(tmp_path, protocol, app, Settings(limit_post=100)) as running:
        chunked = ("HTTP_TRANSFER_ENCODING", "chunked")
        assert running.ask(chunked, body=b"x" * 200, length=False).status == 413


@both
@pytest.mark.parametrize("status, answered", [("500 Internal Server Error", 413), ("400 Bad Request", 400)])
def test_a_framework_that_makes_a_500_of_a_body_too_long_answers_413(
    tmp_path: Path, protocol: str, status: str, answered: int
) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError:
            start_response(status, [("Content-Length", "8")])
            return [b"sorry", b"!!!"]
        start_response("500 Internal Server Error", [])
        return [b"ours"]

    with serving(tmp_path, protocol, app, Settings(limit_post=100)) as running:
        chunked = ("HTTP_TRANSFER_ENCODING", "chunked")
        answer = running.ask(chunked, body=b"x" * 101, length=False)
        assert (answer.status, answer.whole) == (answered, True)
        assert answer.body == (b"413 Request Entity Too Large\n" if answered == 413 else b"sorry!!!")
        if protocol == "fastcgi":
            # Exactly as long as allowed, and an app that fails for reasons of its own. Over uwsgi only closing ends it.
            answer = running.ask(chunked, body=b"x" * 100, length=False)
            assert (answer.status, answer.body) == (500, b"ours")


@both
@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 100, b"\0", b"\1\1", b"\0\3\0\0\1\0A", b""]
)
def test_a_bad_packet_costs_nobody_else_anything(
    tmp_path: Path, protocol: str, garbage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, protocol, echo) as running:
        with running.connect() as peer:
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
        assert running.ask().status == 200
    assert capsys.readouterr().err.count("\n") <= 1


def test_http_on_a_uwsgi_socket_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path, "uwsgi", echo) as running, running.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(peer, "uwsgi").status == 400
    assert "this is HTTP" in capsys.readouterr().err


@both
@threads
def test_a_silent_connection_pins_no_thread_and_is_closed_in_time(tmp_path: Path, protocol: str, threads: int) -> None:
    with serving(tmp_path, protocol, echo, Settings(threads=threads, header_seconds=0.2)) as running:
        silent = [running.connect() for _ in range(20)]
        for peer in silent[:10]:
            peer.sendall(encode(protocol, PARAMS)[:5])
        assert running.ask().status == 200
        for peer in silent:
            assert peer.recv(1) == b""
            peer.close()


# --- kept FastCGI connections ---


@threads
def test_a_kept_connection_answers_again_and_again(tmp_path: Path, threads: int) -> None:
    with serving(tmp_path, "fastcgi", echo, Settings(threads=threads)) as running, running.connect() as peer:
        for number in range(50):
            body = b"b" * number
            params = [*PARAMS, ("CONTENT_LENGTH", str(number))]
            peer.sendall(encode("fastcgi", params, body, keep=True))
            assert read_answer(peer, "fastcgi").body == b"GET / " + body
    assert len(running.tally.ended) == 50


@threads
def test_idle_kept_connections_pin_no_thread(tmp_path: Path, threads: int) -> None:
    with serving(tmp_path, "fastcgi", echo, Settings(threads=threads)) as running:
        kept = [running.connect() for _ in range(20)]
        for _ in range(3):
            for peer in kept:
                peer.sendall(encode("fastcgi", PARAMS, keep=True))
            for peer in kept:
                assert read_answer(peer, "fastcgi").status == 200
            assert running.ask().status == 200
        for peer in kept:
            peer.close()


def test_an_unread_body_does_not_leak_into_the_next_request(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with serving(tmp_path, "fastcgi", app) as running, running.connect() as peer:
        for path in ("/one", "/two"):
            params = [*PARAMS[:2], ("PATH_INFO", path), ("CONTENT_LENGTH", "30000")]
            peer.sendall(encode("fastcgi", params, b"b" * 30_000, keep=True))
            assert read_answer(peer, "fastcgi").body == path.encode()


def test_an_aborted_request_ends_and_the_connection_lives_on(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    with serving(tmp_path, "fastcgi", app) as running, running.connect() as peer:
        begin = fastcgi.encode_begin(PARAMS, keep=True)
        peer.sendall(begin + fastcgi.encode_stdin(b"half") + records.encode_record(records.ABORT_REQUEST, 1))
        assert read_answer(peer, "fastcgi").whole
        peer.sendall(begin + fastcgi.encode_stdin(b"whole") + fastcgi.encode_stdin(b""))
        assert read_answer(peer, "fastcgi").body == b"whole"


def test_a_second_request_on_a_busy_connection_is_refused_and_the_first_completes(tmp_path: Path) -> None:
    with serving(tmp_path, "fastcgi", echo) as running, running.connect() as peer:
        first = fastcgi.encode_begin(PARAMS)
        peer.sendall(first + fastcgi.encode_begin(PARAMS, request_id=2)[:16] + fastcgi.encode_stdin(b""))
        data = b"".join(iter(lambda: peer.recv(65536), b""))
        assert fastcgi.ClientResponse(2).receive(data) == [fastcgi.End(0, records.CANT_MPX_CONN)]
        assert fastcgi.ClientResponse(1).receive(data)[-1] == fastcgi.End(0, records.REQUEST_COMPLETE)


# --- threads and the way out ---


def test_the_thread_that_hears_signals_serves_nobody(tmp_path: Path) -> None:
    # Python runs handlers in the main thread only; while that one waits for the lead it may miss a TERM.
    served: set[str] = set()

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        served.add(threading.current_thread().name)
        return echo(environ, start_response)

    with serving(tmp_path, "fastcgi", app, Settings(threads=3)) as running:
        for _ in range(30):
            assert running.ask().status == 200
        assert serving_threads(3) == ["wsgi-0", "wsgi-1", "wsgi-2"]
    assert served <= {"wsgi-0", "wsgi-1", "wsgi-2"}


def test_as_many_requests_run_at_once_as_there_are_threads(tmp_path: Path) -> None:
    app = Held()
    with serving(tmp_path, "uwsgi", app, Settings(threads=3)) as running:
        asking = [threading.Thread(target=running.ask) for _ in range(6)]
        for thread in asking:
            thread.start()
        assert all(app.is_entered() for _ in range(3))
        assert not app.entered.acquire(blocking=False)
        app.go.set()
        for thread in asking:
            thread.join(PATIENCE)
    assert running.tally.most_at_once == 3
    assert set(running.tally.begun) == {0, 1, 2}


@both
@threads
def test_a_drain_finishes_what_is_in_flight_and_loses_nobody_who_comes_later(
    tmp_path: Path, protocol: str, threads: int
) -> None:
    app = Held()
    with serving(tmp_path, protocol, app, Settings(threads=threads, drain_seconds=PATIENCE)) as running:
        with running.connect() as peer, running.connect() as late:
            peer.sendall(encode(protocol, PARAMS))
            assert app.is_entered()
            running.server.drain()
            running.server.drain()
            waiting = running.connect()
            waiting.sendall(encode(protocol, PARAMS))
            app.go.set()
            assert read_answer(peer, protocol).status == 200
            late.close()
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()
        # Whoever comes as the drain begins is answered, or waits in the backlog of a socket that still listens.
        running.listener.setblocking(False)
        try:
            running.listener.accept()[0].close()
        except BlockingIOError:
            assert read_answer(waiting, protocol).status == 200
        waiting.close()


@both
@threads
def test_a_drain_without_an_end_cuts_nothing(tmp_path: Path, protocol: str, threads: int) -> None:
    app = Held()
    with serving(tmp_path, protocol, app, Settings(threads=threads, drain_seconds=0.1)) as running:
        with running.connect() as peer, running.connect() as behind:
            peer.sendall(encode(protocol, PARAMS))
            assert app.is_entered()
            running.server.drain(bounded=False)
            running.thread.join(0.6)
            assert running.thread.is_alive()
            app.go.set()
            assert read_answer(peer, protocol).status == 200
            behind.close()
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()


def test_a_drain_without_an_end_may_be_given_one(tmp_path: Path) -> None:
    app = Held()
    with serving(tmp_path, "uwsgi", app, Settings(threads=2, drain_seconds=0.3)) as running, running.connect() as peer:
        peer.sendall(encode("uwsgi", PARAMS))
        assert app.is_entered()
        running.server.drain(bounded=False)
        running.thread.join(0.6)
        began = time.monotonic()
        running.drain()
        assert 0.3 <= time.monotonic() - began < PATIENCE / 2
        app.go.set()


@threads
def test_a_drain_without_an_end_answers_once_more_on_a_kept_connection_and_closes_an_idle_one(
    tmp_path: Path, threads: int
) -> None:
    settings = Settings(threads=threads, drain_seconds=PATIENCE, kept_seconds=0.3)
    with (
        serving(tmp_path, "fastcgi", echo, settings) as running,
        running.connect() as peer,
        running.connect() as idle,
    ):
        for one in (peer, idle):
            one.sendall(encode("fastcgi", PARAMS, keep=True))
            read_answer(one, "fastcgi")
        running.server.drain(bounded=False)
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        assert read_answer(peer, "fastcgi").whole
        assert peer.recv(1) == idle.recv(1) == b""
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()


@threads
def test_a_draining_server_answers_once_more_on_a_kept_connection(tmp_path: Path, threads: int) -> None:
    settings = Settings(threads=threads, drain_seconds=PATIENCE)
    with serving(tmp_path, "fastcgi", echo, settings) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        read_answer(peer, "fastcgi")
        running.server.drain()
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        assert read_answer(peer, "fastcgi").whole
        assert peer.recv(1) == b""


@pytest.mark.parametrize(("software", "behind"), [("nginx/1.22.1", records.NO_VALUES), ("Apache/2.4.62", b"")])
def test_the_last_answer_on_a_kept_connection_makes_nginx_let_go_of_it(
    tmp_path: Path, software: str, behind: bytes
) -> None:
    """nginx keeps a connection only if END_REQUEST is the last that it read (ngx_http_fastcgi_input_filter). It would
    send a POST into one that we are about to close, and answer 502."""
    params = [*PARAMS, ("SERVER_SOFTWARE", software)]
    with (
        serving(tmp_path, "fastcgi", echo, Settings(drain_seconds=PATIENCE)) as running,
        running.connect() as peer,
    ):
        peer.sendall(encode("fastcgi", params, keep=True))
        assert peer.recv(65536).endswith(records.encode_close(1))
        running.server.drain()
        peer.sendall(encode("fastcgi", params, keep=True))
        assert peer.recv(65536).endswith(records.encode_close(1) + behind)
        assert peer.recv(1) == b""


@threads
def test_an_idle_kept_connection_does_not_hold_up_a_drain_for_ever(tmp_path: Path, threads: int) -> None:
    settings = Settings(threads=threads, drain_seconds=PATIENCE * 2, kept_seconds=0.2)
    with serving(tmp_path, "fastcgi", echo, settings) as running, running.connect() as peer:
        peer.sendall(encode("fastcgi", PARAMS, keep=True))
        read_answer(peer, "fastcgi")
        running.drain()
        assert peer.recv(1) == b""


def test_a_drain_is_over_when_its_time_is(tmp_path: Path) -> None:
    app = Held()
    settings = Settings(threads=2, drain_seconds=0.3)
    with serving(tmp_path, "uwsgi", app, settings) as running, running.connect() as silent, running.connect() as peer:
        silent.sendall(b"\0")
        peer.sendall(encode("uwsgi", PARAMS))
        assert app.is_entered()
        app.go.set()
        assert read_answer(peer, "uwsgi").status == 200
        running.drain()


def test_a_drain_before_the_start_returns_at_once(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as listener:
        server = Server([(listener, "uwsgi")], echo, Settings(), Tally())
        server.drain()
        server.run()


def test_several_sockets_and_protocols_are_served_by_one_server(tmp_path: Path) -> None:
    with listening(tmp_path / "one") as one, serving(tmp_path, "uwsgi", echo) as running:
        running.drain()
        with running.listener.dup() as two:
            server = Server([(one, "fastcgi"), (two, "uwsgi")], echo, Settings(), Tally())
            thread = threading.Thread(target=server.run)
            thread.start()
            try:
                first = Running(str(tmp_path / "one"), "fastcgi", server, running.tally, one, thread)
                assert first.ask().status == running.ask().status == 200
            finally:
                first.drain()


def test_tcp_is_served_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = Server([(listener, "uwsgi")], echo, Settings(), Tally())
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), PATIENCE) as peer:
                peer.sendall(uwsgi.encode_request(PARAMS))
                assert read_answer(peer, "uwsgi").body == b"GET / "
        finally:
            server.drain()
            thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_protocol_that_is_not_ours_is_refused_in_words(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match="gopher"):
        Server([(listener, "gopher")], echo, Settings(), Tally())


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    with serving(tmp_path, "fastcgi", echo, Settings(threads=2)) as running:
        kept = running.connect()
        kept.sendall(encode("fastcgi", PARAMS, keep=True))
        read_answer(kept, "fastcgi")
        for _ in range(30):
            running.ask()
        kept.close()
    assert count() == before
