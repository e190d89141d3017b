"""Thousands of damaged streams against a running server: it answers as before, says what it must, and keeps nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import resource
import select
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import pytest

from emperor.protocol.cgi import parse_head
from emperor.serving.native import Settings
from tests.integration.serving_world import PATIENCE, Running, serving
from tests.integration.wsgi_theatre import PLAIN, ask
from tests.unit.codec_mutants import mutants, seeds

INPUTS = 8000

LINE = re.compile(
    r"worker: (request|request head|parameters|fastcgi|uwsgi packet): .+ -- (answered with \d{3}|connection closed)"
)
"""The documented form of what the server itself reports; anything else on stderr is a bug of ours."""


class Fuzzed(NamedTuple):
    """``is_answer``: is this one of the answers that the protocol allows (b"" always is: the connection was closed)?"""

    stock: Callable[[], Sequence[bytes]]
    is_answer: Callable[[bytes], bool]


def _is_cgi(answer: bytes) -> bool:
    return re.match(rb"HTTP/1\.1 [2-5]\d\d ", answer) is not None


def _is_http(answer: bytes) -> bool:
    """Whole responses of ours to the last byte: one behind the other, interim ones among them."""
    rest: Optional[bytes] = answer
    while rest:
        rest = _behind_one(rest)
    return rest is not None


def _behind_one(answer: bytes) -> Optional[bytes]:
    """What follows the first response; None: that is none."""
    head = parse_head(answer)
    if head is None or not re.match(rb"HTTP/1\.1 (100|[2-5]\d\d) ", answer):
        return None
    body, said = answer[head.size :], {name.lower(): value for name, value in head.headers}
    if head.status == 100 or not body or body.startswith(b"HTTP/1.1 "):
        # Behind the interim one, or what was asked with HEAD.
        return body
    if "content-length" in said:
        length = int(said["content-length"])
        return body[length:] if len(body) >= length else None
    if "transfer-encoding" in said:
        chunks = _CHUNKS.match(body)
        return body[chunks.end() :] if chunks else None
    return b"" if said["connection"] == "close" else None


_CHUNKS = re.compile(rb"(?s:[1-9a-f][0-9a-f]*\r\n.*?\r\n)??0\r\n\r\n")
"""``echo`` gives at most one block."""


def _is_fastcgi(answer: bytes) -> bool:
    """Records of ours to the last byte; those of management, and refusals of other requests, among them."""
    while answer:
        size = 8 + int.from_bytes(answer[4:6], "big") + answer[6]
        if len(answer) < size or answer[0] != 1 or answer[1] not in (3, 6, 7, 10, 11):
            return False
        answer = answer[size:]
    return True


_HTTP = (
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /caf%C3%A9/..//x?a=b&c=%20 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: Mozilla/5.0 (X11)\r\n"
    b"Accept: text/html,*/*;q=0.8\r\nCookie: a=1; b=2\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD http://h:80/x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\neighteen bytes now",
    b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"4\r\nbody\r\n1a;a=b\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-T: 1\r\n\r\n",
    b"PUT /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /old HTTP/1.0\nContent-Length: 4\n\nbody",
    b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
    b"GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
)

PROTOCOLS = {
    "uwsgi": Fuzzed(lambda: seeds("uwsgi"), _is_cgi),
    "fastcgi": Fuzzed(lambda: seeds("server"), _is_fastcgi),
    "http": Fuzzed(lambda: _HTTP, _is_http),
}


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    try:
        body = environ["wsgi.input"].read()
    except OSError:
        # A body that ends before its length, or never comes: the app's to handle, and this one does.
        body = b"(cut)"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", ascii(environ.get("PATH_INFO", "")))])
    return [body]


def exchange(running: Running, data: bytes) -> bytes:
    """Send, say that no more comes, and read to the end. Raises ``TimeoutError`` when there is none."""
    with running.connect() as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := peer.recv(65536):
                answer += piece
        return answer


def echoed(running: Running, body: bytes) -> bytes:
    with running.connect() as peer:
        answer = ask(peer, running.protocol, PLAIN._replace(body=body))
        assert answer is not None
        return answer.body


class Holdings(NamedTuple):
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> Holdings:
        return cls(threading.active_count(), len(os.listdir("/proc/self/fd")))


def resident() -> int:
    """Bytes of memory in use now (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def nothing_more_than(before: Holdings) -> bool:
    """Once the server has closed what its peers have left. ``before`` may hold what it was just about to close."""
    end = time.monotonic() + PATIENCE
    while any(now > then for now, then in zip(Holdings.now(), before, strict=True)) and time.monotonic() < end:
        select.select([], [], [], 0.01)
    return all(now <= then for now, then in zip(Holdings.now(), before, strict=True))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_damaged_requests_cost_their_own_connection_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str, threads: int
) -> None:
    fuzzed = PROTOCOLS[protocol]
    stock = fuzzed.stock()
    with serving(tmp_path, protocol, echo, Settings(threads=threads)) as running:
        for data in mutants(stock, 300, seed=threads):
            exchange(running, data)
        assert echoed(running, b"before") == b"before"
        gc.collect()
        before, memory = Holdings.now(), resident()
        answered = 0
        for data in mutants(stock, INPUTS // threads, seed=10 + threads):
            answer = exchange(running, data)
            assert not answer or fuzzed.is_answer(answer), data
            answered += bool(answer)
        assert echoed(running, b"behind") == b"behind"
        assert nothing_more_than(before)
        gc.collect()
        assert resident() - memory < 8 * 1024 * 1024
        assert answered > INPUTS // threads // 4
    assert running.tally.at_once == 0
    errors = capsys.readouterr().err.splitlines()
    assert errors and [line for line in errors if not LINE.fullmatch(line)] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_cut_anywhere_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str) -> None:
    """Every prefix of a valid request, then the end of the stream."""
    stock = PROTOCOLS[protocol].stock()
    data = min(stock, key=lambda item: (b"CONTENT_LENGTH\x0218" not in item, b"chunked" not in item, len(item)))
    with serving(tmp_path, protocol, echo) as running:
        assert echoed(running, b"before") == b"before"
        before = Holdings.now()
        for size in range(len(data)):
            exchange(running, data[:size])
        assert echoed(running, b"behind") == b"behind"
        assert nothing_more_than(before)
    assert [line for line in capsys.readouterr().err.splitlines() if not LINE.fullmatch(line)] == []
