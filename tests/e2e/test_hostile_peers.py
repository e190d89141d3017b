"""Whoever may connect, and whoever visits, against real workers: every protocol, raw and behind nginx."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from emperor.protocol import fastcgi, uwsgi
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.e2e.harness.web import Nginx
from tests.e2e.harness.wire import connect, params
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data")

HEADER_SECONDS = 2
ENGINES = ("uwsgi", "fastcgi", "http", "flup")
NATIVE = ENGINES[:3]
PROTOCOL = {"flup": "fastcgi"}
CROWD = 100
"""Silent peers, and as many that say a byte at a time: far more than there are threads."""
MEBIBYTE = 1 << 20

UNBUFFERED = "{0}_request_buffering off; {0}_buffering off; "
PASSES = {
    "uwsgi": UNBUFFERED.format("uwsgi") + "include /etc/nginx/uwsgi_params; uwsgi_pass unix:{0};",
    "fastcgi": UNBUFFERED.format("fastcgi") + "include /etc/nginx/fastcgi_params; fastcgi_pass unix:{0};",
    "http": UNBUFFERED.format("proxy") + "proxy_pass http://unix:{0}:; proxy_set_header Host $http_host;"
    ' proxy_http_version 1.1; proxy_set_header Connection "";',
}


class Answer(NamedTuple):
    """``status`` 0: there was none. ``raw``: all that came."""

    status: int
    body: bytes
    raw: bytes

    @property
    def seen(self) -> Any:
        assert self.status == 200, self.raw[:500]
        return json.loads(self.body)


class House(NamedTuple):
    """One vassal for each engine, all of them alice's, and one nginx, which finds them by the name of the host."""

    vassals: dict[str, Vassal]
    nginx: Nginx

    def raw(self, engine: str, data: bytes, end: bool = True) -> Answer:
        """Bytes straight to the socket. ``end``: and no more follow."""
        with contextlib.closing(connect(self.vassals[engine].socket)) as peer:
            return _exchange(peer, data, end, PROTOCOL.get(engine, engine))

    def ask(self, engine: str, target: str = "/seen", method: str = "GET", **more: str) -> Answer:
        return self.raw(engine, request(engine, target, method, **more))

    def visit(self, engine: str, target: str = "/seen", *lines: str, method: str = "GET", body: bytes = b"") -> Answer:
        """Through nginx; the head is sent as it is written."""
        head = [f"{method} {target} HTTP/1.1", f"Host: {engine}", "Connection: close", *lines, "", ""]
        with contextlib.closing(connect(f"127.0.0.1:{self.nginx.port}")) as peer:
            return _exchange(peer, "\r\n".join(head).encode("latin-1") + body, False, "http")

    def facts(self, engine: str) -> Any:
        return self.ask(engine, "/self").seen


def request(engine: str, target: str = "/seen", method: str = "GET", **more: str) -> bytes:
    """A whole request; ``more``: variables, which HTTP says as headers."""
    if engine == "http":
        said = {"Host": "h", "Connection": "close", **more}
        lines = [f"{name.replace('HTTP_', '', 1).replace('_', '-')}: {value}" for name, value in said.items()]
        return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")
    pairs = params(target, method, 0, **more)
    if engine == "uwsgi":
        return uwsgi.encode_request(pairs)
    return fastcgi.encode_begin(pairs) + fastcgi.encode_stdin(b"")


def _exchange(peer: socket.socket, data: bytes, end: bool, protocol: str) -> Answer:
    with contextlib.suppress(ConnectionError):
        peer.sendall(data)
        if end:
            peer.shutdown(socket.SHUT_WR)
    came = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := peer.recv(65536):
            came += piece
    return _answer(bytes(came), protocol)


def _answer(came: bytes, protocol: str) -> Answer:
    out = came
    if protocol == "fastcgi":
        events = fastcgi.ClientResponse().receive(came) if came else []
        out = b"".join(event.data for event in events if isinstance(event, fastcgi.Stdout))
    head, _, body = out.partition(b"\r\n\r\n")
    status = re.match(rb"(?:HTTP/1\.1|Status:) (\d{3})\b", head)
    return Answer(int(status[1]) if status else 0, body, came)


@pytest.fixture(scope="module")
def house(shared_emperor: Emperor, shared_folder: Path, users: Users) -> Iterator[House]:
    vassals = {}
    for engine in ENGINES:
        vassals[engine] = shared_emperor.add(
            engine,
            app="witness.py",
            protocol=PROTOCOL.get(engine, engine),
            fastcgi_engine="flup" if engine == "flup" else None,
            threads=4,
            header_timeout=HEADER_SECONDS,
            limit_post=1 << 31,
        )
    for vassal in vassals.values():
        vassal.running()
    sites = {
        engine: {"/": PASSES[PROTOCOL.get(engine, engine)].format(vassal.socket)} for engine, vassal in vassals.items()
    }
    nginx = Nginx(shared_folder / "nginx", {"/": "return 404;"}, sites=sites)
    try:
        yield House(vassals, nginx.start())
    finally:
        nginx.stop()


every_engine = pytest.mark.parametrize("engine", ENGINES)
every_native = pytest.mark.parametrize("engine", NATIVE)


@pytest.fixture(autouse=True)
def it_goes_on(house: House) -> Iterator[None]:
    """Whatever was done to them: the same processes serve, as alice, and hold nothing more of it."""
    before = {engine: house.facts(engine) for engine in ENGINES}
    yield
    for engine, then in before.items():
        now = wait_for(
            lambda engine=engine: house.facts(engine),  # type: ignore[misc]  # bound at once
            lambda now, then=then: now["descriptors"] <= then["descriptors"],  # type: ignore[misc]
            f"{engine}: descriptors as before",
        )
        assert (now["pid"], now["uid"], now["threads"]) == (
            then["pid"],
            house.vassals[engine].owner.uid,
            then["threads"],
        )


# --- what the app is told ---

LENGTHS = ("5_0", "+5", "-5", "0x5", "5, 6", "1e1", "9" * 19, "\xb2", "\u0665".encode().decode("latin-1"))


@every_engine
def test_a_length_that_is_no_number_is_a_400(house: House, engine: str) -> None:
    for text in LENGTHS:
        assert house.ask(engine, method="POST", CONTENT_LENGTH=text).status == 400, text
        assert house.visit(engine, "/seen", f"Content-Length: {text}", method="POST", body=b"hello").status == 400, text


@every_engine
def test_no_request_hides_in_another(house: House, engine: str) -> None:
    """However the front door reads it: it is one request, or none."""
    hidden = b"0\r\n\r\nGET /blind?hidden HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % engine.encode()
    for lines in (
        ("Content-Length: 6", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 6"),
        ("Transfer-Encoding : chunked", "Content-Length: 6"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Content-Length: 5", "Content-Length: 6"),
    ):
        answer = house.visit(engine, "/seen", *lines, method="POST", body=hidden)
        assert answer.raw.count(b"HTTP/1.1 ") == 1 and answer.status in (400, 501), (lines, answer.raw)
        if engine == "http":
            head = "\r\n".join(["POST /seen HTTP/1.1", "Host: h", *lines, "", ""]).encode()
            answer = house.raw(engine, head + hidden)
            assert answer.raw.count(b"HTTP/1.1 ") == 1 and answer.status in (400, 501), (lines, answer.raw)


@every_engine
def test_a_visitors_header_is_a_header_and_nothing_else(house: House, engine: str) -> None:
    lines = (
        "Proxy: http://evil", "X_Forwarded_For: 6.6.6.6", "Script-Name: /evil", "Remote-User: root", "Https: on",
        "Remote-Addr: 6.6.6.6", "Server-Software: evil", "Wsgi.Input: evil", "X-A: 1", "X-A: 2", "Cookie: a=1",
        "Cookie: b=2", "X-B: caf\xe9",
    )  # fmt: skip
    answers = [house.visit(engine, "/seen", *lines)]
    if engine == "http":
        head = "\r\n".join(["GET /seen HTTP/1.1", "Host: h", "Connection: close", *lines, "", ""])
        answers.append(house.raw(engine, head.encode("latin-1")))
    for answer in answers:
        told = answer.seen["environ"]
        assert (told["HTTP_X_A"], told["HTTP_COOKIE"], told["HTTP_X_B"]) == ("1, 2", "a=1; b=2", "caf\xe9")
        assert not told.keys() & {"HTTP_PROXY", "HTTP_X_FORWARDED_FOR", "HTTP_WSGI_INPUT"}
        assert (told["SCRIPT_NAME"], told.get("REMOTE_USER", ""), told.get("HTTPS", "")) == ("", "", "")
        assert told.get("REMOTE_ADDR") in ("127.0.0.1", "") and told["wsgi.url_scheme"] == "http"
        assert told["wsgi.input"] == "Body"


POISON = {
    "wsgi.input": "x", "wsgi.url_scheme": "ftp", "wsgi.errors": "x", "HTTP_PROXY": "http://evil",
    "UWSGI_FILE": "/etc/passwd", "UWSGI_CHDIR": "/", "UWSGI_SETENV": "A=B", "UWSGI_PYHOME": "/",
    "PHP_VALUE": "auto_prepend_file=/etc/passwd", "A B": "x", "A=B": "x", "A\0": "x", "\xe9": "x",
    "HTTP_CONTENT_LENGTH": "9", "SERVER_SOFTWARE": "evil",
}  # fmt: skip


@pytest.mark.parametrize("engine", ["uwsgi", "fastcgi", "flup"])
def test_a_web_servers_variables_are_text_and_nothing_else(house: House, engine: str) -> None:
    before = os.readlink(f"/proc/{house.facts(engine)['pid']}/cwd")
    told = house.ask(engine, "/seen", **POISON).seen["environ"]
    assert (told["wsgi.input"], told["wsgi.url_scheme"], told["wsgi.errors"]) == ("Body", "http", "ErrorStream")
    assert (told["UWSGI_FILE"], told["UWSGI_CHDIR"], told["PHP_VALUE"][:4]) == ("/etc/passwd", "/", "auto")
    assert not told.keys() & {"HTTP_PROXY", "A B", "A=B", "A\0", "\xe9", "HTTP_CONTENT_LENGTH"}
    assert os.readlink(f"/proc/{house.facts(engine)['pid']}/cwd") == before
    for control in "\n\r\0":
        assert house.ask(engine, "/seen", HTTP_X=f"a{control}b").status == 400


@every_engine
def test_odd_requests_are_answered(house: House, engine: str) -> None:
    """A long path, bytes beyond ASCII, methods that nobody knows, and TRACE, which nginx refuses itself."""
    # With its line it is just within nginx's own limit.
    query = "x" * 8160
    assert house.visit(engine, f"/seen?{query}").seen["environ"]["QUERY_STRING"] == query
    assert house.visit(engine, method="BREW").seen["environ"]["REQUEST_METHOD"] == "BREW"
    assert house.visit(engine, method="TRACE").status == 405
    assert house.ask(engine, "/blind", "TRACE").seen == "TRACE"
    told = house.visit(engine, "/seen/caf%C3%A9").seen["environ"]
    assert told["PATH_INFO"] == "/seen/caf\xc3\xa9"
    # RFC 9112 section 3.2: HTTP has no such bytes in its first line. nginx lets them through.
    raw = house.visit(engine, "/seen/caf\xe9")
    assert raw.status == 400 if engine == "http" else raw.seen["environ"]["PATH_INFO"] == "/seen/caf\xe9"
    for path in ("/seen%00x", "/seen%0d%0aX-Evil:%201"):
        assert house.visit(engine, path).status == 400


# --- what the app answers ---

A_500 = (
    "split-value", "split-line-feed", "split-name", "split-status", "nul", "two-lengths", "not-a-length", "raises",
    "interim", "switching", "text", "none",
)  # fmt: skip
BODILESS = (("no-content", "GET", 204), ("not-modified", "GET", 304), ("head", "HEAD", 200))


@every_engine
def test_a_misuse_is_a_500_that_tells_nothing(house: House, engine: str) -> None:
    for name in A_500:
        for answer in (house.visit(engine, f"/rude?{name}"), house.ask(engine, f"/rude?{name}")):
            assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n"), name
            assert not re.search(rb"evil|secret|Traceback|\.py", answer.raw), name


@every_engine
def test_no_response_hides_in_another(house: House, engine: str) -> None:
    """A body where there is none, and one longer than it says."""
    for name, method, status in BODILESS:
        answer = house.visit(engine, f"/rude?{name}", method=method)
        assert (answer.status, answer.body) == (status, b""), name
    answer = house.visit(engine, "/rude?over-long")
    assert (answer.status, answer.body) == (200, b"body")
    head = house.visit(engine, "/rude?hop-by-hop").raw.partition(b"\r\n\r\n")[0].lower()
    assert b"upgrade" not in head and b"9999" not in head and b"404" not in head


@every_engine
def test_a_response_cut_short_does_not_look_whole(house: House, engine: str) -> None:
    answer = house.visit(engine, "/rude?raises-within-length")
    assert len(answer.body) < 1000 and b"secret" not in answer.raw
    # uwsgi has no other end of a response than the connection's.
    if engine != "uwsgi":
        assert not house.visit(engine, "/rude?raises-later").raw.endswith(b"0\r\n\r\n")


# --- bodies and readers ---


@every_engine
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_256_mebibytes_is_held_by_nobody(house: House, engine: str, chunked: bool) -> None:
    """Streamed, through an nginx that does not gather it first."""
    piece, pieces = bytes(range(256)) * 4096, 256
    before = house.facts(engine)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (len(piece) * pieces)
    head = b"POST /seen HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n\r\n" % (engine.encode(), framing)
    digest, most = hashlib.sha256(), 0
    with contextlib.closing(connect(f"127.0.0.1:{house.nginx.port}")) as peer:
        peer.sendall(head)
        for _ in range(pieces):
            digest.update(piece)
            peer.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            most = max(most, _resident(before["pid"]))
        answer = _exchange(peer, b"0\r\n\r\n" if chunked else b"", False, "http")
    assert (answer.seen["size"], answer.seen["sha256"]) == (len(piece) * pieces, digest.hexdigest())
    assert most - before["resident"] < 8 * MEBIBYTE


@every_engine
def test_a_reader_that_takes_nothing_holds_back_the_app_and_nobody_else(house: House, engine: str) -> None:
    before = house.facts(engine)
    with contextlib.ExitStack() as readers:
        for _ in range(3):
            reader = readers.enter_context(contextlib.closing(connect(house.vassals[engine].socket)))
            reader.sendall(request(engine, "/big?1600"))
            assert reader.recv(1000)
        now = house.facts(engine)
        assert now["blocks"] < 60 and now["resident"] - before["resident"] < 8 * MEBIBYTE
        assert all(house.ask(engine).status == 200 for _ in range(20))
    wait_for(lambda: house.facts(engine)["closed"], lambda closed: closed == 3, "close() once for each that left")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- who says nothing, or nearly ---


@every_native
def test_silent_and_dripping_peers_cost_nobody_else_anything(house: House, engine: str) -> None:
    """All are closed at the deadline, however many bytes have come since; meanwhile visitors are served."""
    whole = request(engine, "/seen?" + "x" * 2000)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(contextlib.closing(connect(house.vassals[engine].socket))) for _ in range(2 * CROWD)
        ]
        over = threading.Event()
        dripping = threading.Thread(target=_drip, args=(peers[:CROWD], whole[:-2], over))
        dripping.start()
        try:
            end = time.monotonic() + DEADLINE
            while (open_ := _still_open(peers)) and time.monotonic() < end:
                assert house.ask(engine).status == 200
        finally:
            over.set()
            dripping.join()
    assert open_ == []


def test_flup_closes_who_drips_at_the_same_deadline(house: House) -> None:
    """But each of them pins a thread until then: no more than it has."""
    whole = request("flup", "/seen?" + "x" * 2000)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(contextlib.closing(connect(house.vassals["flup"].socket))) for _ in range(10)]
        over = threading.Event()
        dripping = threading.Thread(target=_drip, args=(peers, whole[:-2], over))
        dripping.start()
        try:
            wait_for(lambda: _still_open(peers), lambda left: not left, "all are closed")
        finally:
            over.set()
            dripping.join()


def _drip(peers: list[socket.socket], data: bytes, over: threading.Event) -> None:
    for byte in data:
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.send(bytes((byte,)))
        if over.wait(0.05):
            return


def _still_open(peers: list[socket.socket]) -> list[socket.socket]:
    """Those that have not been closed: nobody has asked for anything."""
    ready = set(select.select(peers, [], [], 0)[0])
    return [peer for peer in peers if peer not in ready]
