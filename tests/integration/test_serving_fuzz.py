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
from typing import Any, Callable, NamedTuple

import pytest

from emperor.serving.native import Settings
from tests.integration.serving_world import PATIENCE, Running, serving
from tests.unit.codec_mutants import mutants, seeds

INPUTS = 8000

LINE = re.compile(r"worker: (request|parameters|fastcgi|uwsgi packet): .+ -- (answered with \d{3}|connection closed)")
"""The documented form of what the server itself reports; anything else on stderr is a bug of ours."""


class Fuzzed(NamedTuple):
    """``is_answer``: is this one of the answers that the protocol allows (b"" always is: the connection was closed)?"""

    stock: Callable[[], Sequence[bytes]]
    is_answer: Callable[[bytes], bool]


def _is_http(answer: bytes) -> bool:
    return re.match(rb"HTTP/1\.1 [2-5]\d\d ", answer) is not None


def _is_fastcgi(answer: bytes) -> bool:
    """Records of ours to the last byte; those of management, and refusals of other requests, among them."""
    while answer:
        size = 8 + int.from_bytes(answer[4:6], "big") + answer[6]
        if len(answer) < size or answer[0] != 1 or answer[1] not in (3, 6, 7, 10, 11):
            return False
        answer = answer[size:]
    return True


PROTOCOLS = {
    "uwsgi": Fuzzed(lambda: seeds("uwsgi"), _is_http),
    "fastcgi": Fuzzed(lambda: seeds("server"), _is_fastcgi),
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


class Holdings(NamedTuple):
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> Holdings:
        return cls(threading.active_count(), len(os.listdir("/proc/self/fd")))


def resident() -> int:
    """Bytes of memory in use now (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def settled(before: Holdings) -> Holdings:
    """What is held once the server has closed what its peers have left."""
    end = time.monotonic() + PATIENCE
    while (now := Holdings.now()) != before and time.monotonic() < end:
        select.select([], [], [], 0.01)
    return now


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
        assert running.ask(body=b"before").body == b"before"
        gc.collect()
        before, memory = Holdings.now(), resident()
        answered = 0
        for data in mutants(stock, INPUTS // threads, seed=10 + threads):
            answer = exchange(running, data)
            assert not answer or fuzzed.is_answer(answer), data
            answered += bool(answer)
        assert running.ask(body=b"behind").body == b"behind"
        assert settled(before) == before
        gc.collect()
        assert resident() - memory < 8 * 1024 * 1024
        assert answered > INPUTS // threads // 4
    assert running.tally.at_once == 0
    errors = capsys.readouterr().err.splitlines()
    assert errors and [line for line in errors if not LINE.fullmatch(line)] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_cut_anywhere_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str) -> None:
    """Every prefix of a valid request, then the end of the stream."""
    data = min(PROTOCOLS[protocol].stock(), key=lambda item: (b"CONTENT_LENGTH\x0218" not in item, len(item)))
    with serving(tmp_path, protocol, echo) as running:
        assert running.ask(body=b"before").body == b"before"
        before = settled(Holdings.now())
        for size in range(len(data)):
            exchange(running, data[:size])
        assert running.ask(body=b"behind").body == b"behind"
        assert settled(before) == before
    assert [line for line in capsys.readouterr().err.splitlines() if not LINE.fullmatch(line)] == []
