"""The native server speaks HTTP on real sockets: what an app and a client see."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable, Optional
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.lint import LintMiddleware

from emperor.errors import EmperorError
from emperor.protocol import http as adapter
from emperor.serving.native import Server, Settings
from emperor.system import library
from tests.integration.serving_world import PATIENCE, Running, Tally, listening, serving
from tests.requirements import needs

Start = Callable[..., Any]
Environ = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]

threads = pytest.mark.parametrize("threads", [1, 4])


def ask(target: str = "/", method: str = "GET", *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    fields = [f"{method} {target} HTTP/{version}", "Host: example.org", *headers]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*fields, "", ""]).encode("latin-1") + body


class Client:
    """A connection whose answers the standard library reads."""

    def __init__(self, running: Running) -> None:
        self.socket = running.connect()
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> tuple[int, bytes, http.client.HTTPResponse]:
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]  # all it asks of a socket is makefile
        response.begin()
        return response.status, response.read(), response

    def is_closed(self) -> bool:
        return self._file.read(1) == b""

    def makefile(self, mode: str) -> io.BufferedReader:
        """http.client closes the file that it is given; the next answer is behind it."""
        return _Unclosed(self._file)  # type: ignore[return-value]  # it passes everything else on

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class _Unclosed:
    def __init__(self, file: Any) -> None:
        self._file = file
        self.readline, self.read, self.readinto = file.readline, file.read, file.readinto

    def close(self) -> None:
        pass

    def flush(self) -> None:
        pass


@contextlib.contextmanager
def client(running: Running) -> Iterator[Client]:
    with contextlib.closing(Client(running)) as one:
        yield one


def everything(running: Running, data: bytes) -> bytes:
    """What comes back until the server closes."""
    with running.connect() as peer:
        peer.sendall(data)
        return b"".join(iter(lambda: peer.recv(65536), b""))


@contextlib.contextmanager
def tcp_serving(app: Any, host: str = "127.0.0.1", settings: Optional[Settings] = None) -> Iterator[tuple[str, int]]:
    """Where it listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        listener.setblocking(False)
        server = Server([(listener, "http")], app, settings or Settings(), Tally())
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield listener.getsockname()[:2]
        finally:
            server.drain()
            thread.join(PATIENCE)


def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode("latin-1") + body
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def streaming(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield b"%d\n" % number


def deaf(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Reads no body."""
    start_response("200 OK", [("Content-Length", "4")])
    return [b"deaf"]


@threads
def test_a_connection_answers_again_and_again(tmp_path: Path, threads: int) -> None:
    with serving(tmp_path, "http", echo, Settings(threads=threads)) as running, client(running) as one:
        for number in range(20):
            one.send(ask(f"/{number}", "POST", body=b"data"))
            status, body, response = one.answer()
            assert (status, body, response.version) == (200, f"POST /{number} data".encode(), 11)
            assert response.headers["Connection"] is None
    assert len(running.tally.ended) == 20 and not any(failed for _, failed in running.tally.ended)


@threads
def test_requests_that_come_at_once_are_answered_in_their_order(tmp_path: Path, threads: int) -> None:
    data = b"".join(ask(f"/{number}", "POST", body=b"x" * number) for number in range(200))
    with serving(tmp_path, "http", echo, Settings(threads=threads)) as running, client(running) as one:
        one.send(data)
        for number in range(200):
            assert one.answer()[1] == f"POST /{number} ".encode() + b"x" * number


def test_a_request_may_come_byte_by_byte(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo) as running, client(running) as one:
        for byte in ask("/a", "POST", body=b"data") + ask("/b"):
            one.send(bytes((byte,)))
        assert [one.answer()[1] for _ in range(2)] == [b"POST /a data", b"GET /b "]


def careful(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Reads as PEP 3333 has it: so many bytes as there are."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize("app", [careful, streaming])
@pytest.mark.parametrize("lint", [validator, LintMiddleware])
def test_the_server_keeps_pep_3333_to_the_letter(tmp_path: Path, app: Any, lint: Any) -> None:
    with serving(tmp_path, "http", lint(app)) as running, client(running) as one:
        one.send(ask() + ask("/x%20y?z", "POST", "Content-Type: text/plain", body=b"data"))
        assert [one.answer()[0] for _ in range(2)] == [200, 200]


def test_the_app_sees_what_was_asked(tmp_path: Path) -> None:
    seen: Environ = {}

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen.update(environ)
        return deaf(environ, start_response)

    headers = ("X-A: 1", "X_A: spoofed", "Cookie: a=b", "x-a: 2", "Cookie: c=d", "Proxy: evil", "Content-Type: t/t")
    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask("/caf%C3%A9//../x?a=%20b", "PUT", *headers, body=b"data"))
        assert one.answer()[1] == b"deaf"
    expected = {
        "REQUEST_METHOD": "PUT", "SCRIPT_NAME": "", "PATH_INFO": "/caf\xc3\xa9//../x", "QUERY_STRING": "a=%20b",
        "REQUEST_URI": "/caf%C3%A9//../x?a=%20b", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "example.org",
        "HTTP_X_A": "1, 2", "HTTP_COOKIE": "a=b; c=d", "CONTENT_TYPE": "t/t", "CONTENT_LENGTH": "4",
        "REMOTE_ADDR": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    assert seen["wsgi.input_terminated"] is True
    assert not seen.keys() & {"HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "REMOTE_PORT"}


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_addresses_are_those_of_the_connection(host: str, name: str) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        names = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT")
        start_response("200 OK", [])
        return [" ".join(environ[name] for name in names).encode()]

    with tcp_serving(app, host) as address, socket.create_connection(address, PATIENCE) as peer:
        peer.sendall(ask(version="1.0"))
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
        here, there = peer.getsockname()[1], address[1]
    assert answer.endswith(f"\r\n\r\n{host} {here} {name} {there}".encode())


# --- bodies ---


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_streamed_to_its_end(tmp_path: Path, chunked: bool) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        digest = hashlib.sha256()
        for piece in iter(lambda: environ["wsgi.input"].read(65536), b""):
            digest.update(piece)
        assert ("CONTENT_LENGTH" in environ) is not chunked
        start_response("200 OK", [])
        return [digest.hexdigest().encode()]

    body = os.urandom(3_000_000)
    with serving(tmp_path, "http", app) as running, client(running) as one:
        for _ in range(2):
            if chunked:
                one.send(ask("/", "POST", "Transfer-Encoding: chunked"))
                for at in range(0, len(body), 70_001):
                    piece = body[at : at + 70_001]
                    one.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                one.send(b"0\r\n\r\n")
            else:
                one.send(ask("/", "POST", body=body))
            assert one.answer()[1] == hashlib.sha256(body).hexdigest().encode()


def test_a_client_that_waits_is_told_to_go_on_when_the_app_reads(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo) as running, client(running) as one:
        one.send(ask("/", "POST", "Expect: 100-continue", "Content-Length: 4"))
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert one.makefile("rb").read(len(expected)) == expected
        one.send(b"data" + ask("/next"))
        assert [one.answer()[1] for _ in range(2)] == [b"POST / data", b"GET /next "]


def test_a_client_that_waits_is_not_told_so_by_an_app_that_does_not_read(tmp_path: Path) -> None:
    with serving(tmp_path, "http", deaf) as running, client(running) as one:
        one.send(ask("/", "POST", "Expect: 100-continue", "Content-Length: 4"))
        status, body, response = one.answer()
        assert (status, body, response.headers["Connection"]) == (200, b"deaf", "close")
        assert one.is_closed()


def test_a_body_that_nobody_read_is_not_the_next_request(tmp_path: Path) -> None:
    inner = ask("/smuggled")
    with serving(tmp_path, "http", deaf) as running, client(running) as one:
        one.send(ask("/", "POST", body=inner) + ask("/"))
        assert [one.answer()[1] for _ in range(2)] == [b"deaf", b"deaf"]
    assert len(running.tally.ended) == 2


def test_a_body_that_is_still_to_come_ends_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path, "http", deaf) as running, client(running) as one:
        one.send(ask("/", "POST", "Content-Length: 3000000"))
        status, body, response = one.answer()
        assert (status, body, response.headers["Connection"]) == (200, b"deaf", "close")
        one.send(b"x" * 3_000_000)
        assert one.is_closed()
    assert len(running.tally.ended) == 1


def test_a_body_whose_length_is_over_the_limit_is_a_413_before_it_comes(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo, Settings(limit_post=10)) as running, client(running) as one:
        one.send(ask("/", "POST", "Content-Length: 11"))
        assert one.answer()[0] == 413
        assert one.is_closed()


def test_a_chunked_body_is_a_413_as_soon_as_it_passes_the_limit(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo, Settings(limit_post=10)) as running, client(running) as one:
        one.send(ask("/", "POST", "Transfer-Encoding: chunked") + b"b\r\n12345678901\r\n")
        assert one.answer()[0] == 413
        assert one.is_closed()


def test_a_body_at_the_limit_is_none(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo, Settings(limit_post=10)) as running, client(running) as one:
        one.send(ask("/", "POST", body=b"1234567890"))
        assert one.answer()[:2] == (200, b"POST / 1234567890")


BEGUN = ask("/", "POST", "Transfer-Encoding: chunked") + b"4\r\nbody\r\n"


@pytest.mark.parametrize("rest", [b"", b"zz\r\n", b"4\r\nbodyX", b"ffffffffffffffffffffffffff\r\n"])
def test_a_body_that_breaks_off_is_the_clients_fault_and_costs_nobody_else_anything(
    tmp_path: Path, rest: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """RFC 9112 sections 2.2 and 8: 400, and the end of the connection."""
    with serving(tmp_path, "http", echo) as running:
        with client(running) as one:
            one.send(BEGUN + rest)
            one.socket.shutdown(socket.SHUT_WR)
            status, body, response = one.answer()
            assert (status, body, response.headers["Connection"]) == (400, b"400 Bad Request\n", "close")
            assert one.is_closed()
        with client(running) as one:
            one.send(ask())
            assert one.answer()[0] == 200
    assert running.tally.ended == [(0, False)] * 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("request: POST /: request body: ") and line.endswith(" -- the request was given up")


def test_a_body_that_stops_coming_is_a_408(tmp_path: Path) -> None:
    """RFC 9110 section 15.5.9."""
    with serving(tmp_path, "http", echo, Settings(patience=0.2)) as running, client(running) as one:
        one.send(BEGUN)
        assert one.answer()[:2] == (408, b"408 Request Timeout\n")
        assert one.is_closed()


def test_an_app_may_answer_a_body_that_breaks_off_itself(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        start_response("422 Mine", [("Content-Length", "4")])
        return [b"mine"]

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(BEGUN + b"zz\r\n")
        status, body, response = one.answer()
        assert (status, body, response.headers["Connection"]) == (422, b"mine", "close")
        assert one.is_closed()


def test_an_answer_that_has_begun_is_cut_where_the_body_breaks_off(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"half"
        yield environ["wsgi.input"].read()

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(BEGUN + b"zz\r\n")
        with pytest.raises(http.client.IncompleteRead):
            one.answer()
        assert one.is_closed()


# --- responses ---


def test_a_response_tells_date_and_server_unless_the_app_does(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        own = [("Server", "mine"), ("date", "today")] if environ["PATH_INFO"] == "/own" else []
        start_response("200 OK", own)
        return []

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask() + ask("/own"))
        ours, theirs = one.answer()[2].headers, one.answer()[2].headers
    assert ours["Server"] == "mini-emperor" and ours["Date"].endswith(" GMT")
    assert (theirs.get_all("Server"), theirs.get_all("Date")) == (["mine"], ["today"])


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", "200 OK", "4"), ("GET", "304 Not Modified", "4"), ("GET", "204 No", None)]
)
def test_a_response_without_a_body_has_none_whatever_the_app_gives(
    tmp_path: Path, method: str, status: str, length: Optional[str]
) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response(status, [("Content-Length", "4")])
        return [b"body"]

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask("/", method) * 2)
        for _ in range(2):
            code, body, response = one.answer(method)
            assert (code, body, response.headers["Content-Length"]) == (int(status[:3]), b"", length)


def test_a_response_without_a_length_is_chunked_or_ends_with_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path, "http", streaming) as running:
        with client(running) as one:
            one.send(ask())
            status, body, response = one.answer()
            assert (status, body, response.headers["Transfer-Encoding"]) == (200, b"0\n1\n2\n", "chunked")
        old = everything(running, ask("/", "GET", "Connection: keep-alive", version="1.0"))
    assert old.endswith(b"\r\n\r\n0\n1\n2\n") and b"\r\nConnection: close\r\n" in old and b"chunked" not in old


def test_a_large_response_arrives_whole(tmp_path: Path) -> None:
    block = os.urandom(3_000_000)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(block)))] if environ["PATH_INFO"] == "/told" else [])
        return [block]

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask("/told") + ask("/untold"))
        assert [one.answer()[1] == block for _ in range(2)] == [True, True]


@pytest.mark.parametrize("headers", [[], [("Content-Length", "9")]])
def test_a_response_cut_short_is_seen_to_be(
    tmp_path: Path, headers: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", headers)
        yield b"half"
        raise RuntimeError("in the middle")

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask() + ask())
        with pytest.raises(http.client.IncompleteRead):
            one.answer()
    assert running.tally.ended == [(0, True)]
    assert "in the middle" in capsys.readouterr().err


def given_up(address: tuple[str, int], data: bytes) -> Iterator[bytes]:
    """What comes for ``data`` on a connection that was not read from until the server had enough of that."""
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(2))
        first.sendall(data)
        yield first.recv(1)
        # It has one thread, which gets to this when it has done with the other.
        second.sendall(ask("/next"))
        second.recv(1)
        yield from iter(lambda: first.recv(65536), b"")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_behind_a_response_that_the_client_did_not_take_nothing_follows(version: str) -> None:
    """Its end is missing: the client would take the next response for it."""
    asked: list[str] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        asked.append(environ["PATH_INFO"])
        block = b"x" * (30_000_000 if environ["PATH_INFO"] == "/first" else 1)
        start_response("200 OK", [("Content-Length", str(len(block)))])
        return [block]

    with tcp_serving(app, settings=Settings(patience=0.2)) as address:
        came = b"".join(given_up(address, ask("/first", version=version) + ask("/second", version=version)))
    assert asked == ["/first", "/next"]
    assert came.count(b"HTTP/1.1 ") == 1 and len(came) < 30_000_000


def large(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"x" * 30_000_000 if environ["PATH_INFO"] == "/first" else b"x"]


def large_and_blind(environ: Environ, start_response: Start) -> Iterable[bytes]:
    write = start_response("200 OK", [])
    with contextlib.suppress(OSError):
        write(b"x" * 30_000_000 if environ["PATH_INFO"] == "/first" else b"x")
    return []


@pytest.mark.parametrize("app", [large, large_and_blind])
def test_a_bare_response_that_the_client_did_not_take_is_a_reset(app: Any) -> None:
    with tcp_serving(app, settings=Settings(patience=0.2)) as address, pytest.raises(ConnectionResetError):
        list(given_up(address, ask("/first", version="1.0")))


def failing_midway(environ: Environ, start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "9")] if environ["PATH_INFO"] == "/told" else [])
    yield b"half"
    if environ["PATH_INFO"] == "/blocks":
        yield b"half"
    elif environ["PATH_INFO"] != "/whole":
        raise RuntimeError("in the middle")


def test_a_response_cut_short_without_any_framing_is_a_reset() -> None:
    """HTTP/1.0 has no other way to show it (RFC 9112 section 8), TCP has this one."""
    with tcp_serving(failing_midway) as address, socket.create_connection(address, PATIENCE) as peer:
        peer.sendall(ask(version="1.0"))
        with pytest.raises(ConnectionResetError):
            while peer.recv(65536):
                pass


DYING = """
import os, socket
from emperor.serving.native import Server, Settings
from tests.integration.serving_world import Tally

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"half"
    os._exit(1)

listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
print(listener.getsockname()[1], flush=True)
Server([(listener, "http")], app, Settings(), Tally()).run()
"""


def test_a_worker_that_dies_in_the_middle_is_a_reset() -> None:
    with subprocess.Popen([sys.executable, "-c", DYING], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline())), PATIENCE) as peer:
            peer.sendall(ask(version="1.0"))
            with pytest.raises(ConnectionResetError):
                while peer.recv(65536):
                    pass


@pytest.mark.parametrize(
    ("request_", "end"),
    [
        (ask("/whole", version="1.0"), b"\r\n\r\nhalf"),
        (ask("/blocks", version="1.0"), b"\r\n\r\nhalfhalf"),
        (ask("/told", version="1.0"), b"\r\n\r\nhalf"),
        (ask("/", "HEAD", version="1.0"), b"\r\n\r\n"),
        (ask(), b"\r\n\r\n4\r\nhalf\r\n"),
        (ask("/", "POST", body=b"x" * 1_000_000), b"\r\n\r\n4\r\nhalf\r\n"),
    ],
)
def test_no_other_response_is_a_reset(request_: bytes, end: bytes) -> None:
    """It could cost bytes that are on their way."""
    with tcp_serving(failing_midway) as address, socket.create_connection(address, PATIENCE) as peer:
        peer.sendall(request_)
        assert b"".join(iter(lambda: peer.recv(65536), b"")).endswith(end)


def test_a_response_shorter_than_its_length_is_seen_to_be(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        return [b"half"]

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask())
        with pytest.raises(http.client.IncompleteRead):
            one.answer()


def test_an_app_that_fails_is_a_500_on_a_connection_that_lives_on(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise SystemExit
        return echo(environ, start_response)

    with serving(tmp_path, "http", app) as running, client(running) as one:
        one.send(ask("/bad") + ask("/good"))
        assert [one.answer()[:2] for _ in range(2)] == [(500, b"500 Internal Server Error\n"), (200, b"GET /good ")]


# --- what is refused ---


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"nonsense\r\n\r\n", 400),
        (ask("/%0a"), 400),
        (ask("/%00"), 400),
        (ask("*", "OPTIONS"), 400),
        (ask("h:80", "CONNECT"), 501),
        (ask("/", "GET", "X: " + "x" * 70_000), 431),
        (ask("/", "POST", "Transfer-Encoding: gzip"), 501),
        (ask("/", "POST", "Transfer-Encoding: chunked", "Content-Length: 3"), 400),
        (ask("/", "POST", "Content-Length: 3", "Content-Length: 4"), 400),
        (ask("/", "POST", "Content-Length: " + "9" * 20), 400),
        (ask(version="2.0"), 505),
    ],
)
def test_what_no_app_should_see_is_answered_and_closed(tmp_path: Path, data: bytes, status: int) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        raise AssertionError("never called")

    with serving(tmp_path, "http", app) as running, client(running) as one:
        with contextlib.suppress(BrokenPipeError):
            one.send(data)
        answer, _, response = one.answer()
        assert (answer, response.headers["Connection"]) == (status, "close")
        assert one.is_closed()
    assert all(failed is False for _, failed in running.tally.ended)


@threads
def test_a_slow_head_pins_no_thread_and_is_closed_in_time(tmp_path: Path, threads: int) -> None:
    settings = Settings(threads=threads, header_seconds=0.5)
    with serving(tmp_path, "http", echo, settings) as running, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(client(running)) for _ in range(10)]
        for number, one in enumerate(slow):
            one.send(ask()[: number * 3])
        quick = stack.enter_context(client(running))
        quick.send(ask())
        assert quick.answer()[0] == 200
        assert all(one.is_closed() for one in slow)


def test_an_idle_connection_is_closed_in_time_and_a_slow_second_head_too(tmp_path: Path) -> None:
    with serving(tmp_path, "http", echo, Settings(header_seconds=0.5)) as running:
        for more in (b"", b"GET"):
            with client(running) as one:
                one.send(ask())
                assert one.answer()[0] == 200
                one.send(more)
                assert one.is_closed()


# --- the way out ---


@threads
def test_a_draining_server_answers_what_is_in_flight_and_closes(tmp_path: Path, threads: int) -> None:
    entered, go = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        entered.set()
        assert go.wait(PATIENCE)
        return echo(environ, start_response)

    settings = Settings(threads=threads, drain_seconds=5.0, kept_seconds=0.5, header_seconds=1.0)
    with serving(tmp_path, "http", app, settings) as running, client(running) as one:
        one.send(ask("/last"))
        assert entered.wait(PATIENCE)
        running.server.drain()
        go.set()
        assert one.answer()[:2] == (200, b"GET /last ")
        one.socket.shutdown(socket.SHUT_WR)


@threads
def test_a_draining_server_says_that_the_next_answer_is_the_last(tmp_path: Path, threads: int) -> None:
    settings = Settings(threads=threads, drain_seconds=10.0, kept_seconds=5.0)
    with serving(tmp_path, "http", echo, settings) as running, client(running) as one:
        one.send(ask())
        assert one.answer()[2].headers["Connection"] is None
        running.server.drain()
        one.send(ask())
        status, _, response = one.answer()
        assert (status, response.headers["Connection"]) == (200, "close")
        assert one.is_closed()


@threads
@pytest.mark.parametrize("keep_idle", [True, False])
def test_an_idle_connection_does_not_hold_up_a_drain(tmp_path: Path, threads: int, keep_idle: bool) -> None:
    settings = Settings(
        threads=threads, drain_seconds=60.0, kept_seconds=0.2 if keep_idle else 60.0, header_seconds=60.0
    )
    with serving(tmp_path, "http", echo, settings) as running, client(running) as one:
        one.send(ask())
        assert one.answer()[0] == 200
        running.server.drain(keep_idle)
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()
        assert one.is_closed()


def test_as_many_requests_run_at_once_as_there_are_threads(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        barrier.wait(PATIENCE)
        return echo(environ, start_response)

    with serving(tmp_path, "http", app, Settings(threads=4)) as running, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(running)) for _ in range(4)]
        for _ in range(5):
            for one in clients:
                one.send(ask())
            assert [one.answer()[0] for one in clients] == [200] * 4
    assert running.tally.most_at_once == 4


def test_a_missing_h11_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "h11", None)
    with listening(tmp_path / "s") as listener, pytest.raises(EmperorError, match="install h11"):
        Server([(listener, "http")], echo, Settings(), Tally())


def test_a_body_that_the_app_kept_gives_nothing_of_a_later_request(tmp_path: Path) -> None:
    kept: list[Any] = []
    found: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for body in kept:
            try:
                found.append(repr(body.read()))
            except OSError as error:
                found.append(str(error))
        kept.append(environ["wsgi.input"])
        body = environ["wsgi.input"].read() if found else b""
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(tmp_path, "http", app) as running, running.connect() as peer:
        for body in (b"first!", b"second"):
            peer.sendall(ask("/", "POST", body=body))
            with contextlib.closing(http.client.HTTPResponse(peer)) as response:
                response.begin()
                answer = response.read()
    assert found == ["request body: its request is over"]
    assert answer == b"second"


@pytest.mark.parametrize("python", [sys.executable, pytest.param("pypy3", marks=needs("pypy3"))])
def test_the_vassals_copy_speaks_http_with_the_h11_that_is_lent_to_it(tmp_path: Path, python: str) -> None:
    home = Path(library.install(str(tmp_path / "run"))).parent
    path = tmp_path / "s"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{home}:{home / library.EXTRA}"}
    command = [python, "-S", str(ROOT / "tests/apps/server_program.py"), "http", str(path), "4"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(PATIENCE)
                peer.connect(str(path))
                for number in range(20):
                    chunked = ask(f"/?{number}", "POST", "Transfer-Encoding: chunked") + b"4\r\nbody\r\n0\r\n\r\n"
                    peer.sendall(chunked)
                    with contextlib.closing(http.client.HTTPResponse(peer)) as response:
                        response.begin()
                        assert response.read().endswith(f" {number} body".encode())
            process.terminate()
            assert process.communicate(timeout=PATIENCE)[0] == "drained\n"
            assert process.returncode == 0
        finally:
            process.kill()
