"""Bodies and heads at the front door, without a socket."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import Any

import pytest

from emperor.front import parse_identity
from emperor.frontdoor.door import Door, InFlight, RequestError, open_body
from emperor.frontdoor.exchange import (
    VassalError,
    fastcgi_request,
    fastcgi_response,
    split_head,
    uwsgi_request,
)
from emperor.frontdoor.routing import Table, Vassal


def _body(data: bytes, **environ: str) -> tuple[bytes, int]:
    with ExitStack() as stack:
        pieces, length = open_body({"wsgi.input": io.BytesIO(data), **environ}, stack)
        return b"".join(pieces), length


def test_a_body_ends_at_its_length_and_not_before() -> None:
    assert _body(b"12345", CONTENT_LENGTH="3") == (b"123", 3)
    assert _body(b"12345") == (b"", 0)
    with pytest.raises(ConnectionAbortedError):
        _body(b"12", CONTENT_LENGTH="3")


def test_a_chunked_body_gets_a_length_and_the_one_it_came_with_is_ignored() -> None:
    """RFC 9112 section 6.3: Transfer-Encoding overrides the Content-Length."""
    assert _body(b"12345", HTTP_TRANSFER_ENCODING="Chunked", CONTENT_LENGTH="3") == (b"12345", 5)


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "1_0"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "gzip, chunked"}, 501),
    ],
)
def test_a_body_that_cannot_be_measured_is_refused(environ: dict[str, str], status: int) -> None:
    with pytest.raises(RequestError) as caught:
        _body(b"x", **environ)
    assert caught.value.status == status


def test_the_head_is_found_wherever_the_bytes_are_split() -> None:
    answer = b"HTTP/1.1 201 Made\r\nA: b\r\n\r\nbody"
    for cut in range(len(answer)):
        chunks = iter([answer[:cut], answer[cut:]])
        head, first = split_head(chunks)
        assert (head.status, head.reason, head.headers) == (201, "Made", (("A", "b"),))
        assert first + b"".join(chunks) == b"body"


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"nonsense\r\n\r\n"],
        [b"HTTP/1.1 101 Switching\r\n\r\n"],
        [b"HTTP/1.1 099 No\r\n\r\n"],
        [b"x" * 65536] * 3,
    ],
)
def test_an_answer_without_a_sound_head_is_the_vassals_fault(chunks: list[bytes]) -> None:
    with pytest.raises(VassalError) as caught:
        split_head(iter(chunks))
    assert caught.value.status == 502


STDOUT = b"\x01\x06\x00\x01\x00\x02\x00\x00hi"
STDERR = b"\x01\x07\x00\x01\x00\x03\x00\x00oh\n"
"""FastCGI section 3.3: version 1, type 6 (STDOUT) or 7 (STDERR), request id 1, content length, padding, 0."""
END = b"\x01\x03\x00\x01\x00\x08\x00\x00" + b"\0\0\0\0" + b"\0" + b"\0\0\0"
OVERLOADED = END[:-4] + b"\x02\0\0\0"
"""FastCGI section 5.5: app status in four bytes, protocol status in one (2 is OVERLOADED), three reserved."""


def test_a_fastcgi_answer_is_its_stdout_and_its_stderr_is_reported() -> None:
    reported: list[str] = []
    assert list(fastcgi_response(iter([STDOUT + STDERR, STDOUT, END]), reported.append)) == [b"hi", b"hi"]
    assert reported == ["oh\n"]


@pytest.mark.parametrize("end", [b"", OVERLOADED, b"GARBAGE!" * 2])
def test_a_fastcgi_answer_without_a_good_end_is_broken(end: bytes) -> None:
    with pytest.raises(VassalError):
        list(fastcgi_response(iter([STDOUT, end]), lambda text: None))


def test_requests_begin_with_the_variables_and_fastcgi_ends_the_body() -> None:
    params = [("A", "b")]
    # uwsgi protocol: modifier1, size (little endian, 16 bit), modifier2; each string after its size.
    assert b"".join(uwsgi_request(params, iter([b"xy"]))) == b"\0\x06\0\0\x01\0A\x01\0bxy"
    wire = b"".join(fastcgi_request(params, iter([b"xy"])))
    # FastCGI section 5.3: STDIN (5) of two bytes, then the empty one that ends the stream.
    assert wire.endswith(b"\x01\x05\x00\x01\x00\x02\x00\x00xy" + b"\x01\x05\x00\x01\x00\x00\x00\x00")


def _get(door: Door, path: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    answered: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answered.update(status=status, headers=dict(headers))

    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "a=b"}
    reply = door(environ, start_response)
    body = b"".join(reply)
    return answered["status"], answered["headers"], body


def _door(*vassals: Vassal) -> Door:
    door = Door()
    door.table = Table(vassals)
    return door


def test_its_own_pages() -> None:
    door = _door(Vassal("blog", "RUNNING", "uwsgi", "@b"))
    assert _get(door, "/")[0] == "200 OK"
    assert _get(door, "/nobody")[0] == "404 Not Found"
    status, headers, _ = _get(door, "/blog")
    assert (status, headers["Location"]) == ("307 Temporary Redirect", "/blog/?a=b")


def test_head_has_the_headers_of_get_and_no_body() -> None:
    door = _door()
    assert _get(door, "/", "HEAD") == (*_get(door, "/")[:2], b"")


@pytest.mark.parametrize("state", ["STOPPED", "FATAL", "INVALID"])
def test_a_vassal_that_is_down_is_not_asked(state: str) -> None:
    status, _, page = _get(_door(Vassal("blog", state, "uwsgi", "@b")), "/blog/")
    assert status == "502 Bad Gateway"
    assert state.encode() in page and b"emperorctl status blog" in page


def test_a_protocol_that_is_not_ours_is_named() -> None:
    status, _, page = _get(_door(Vassal("blog", "RUNNING", "scgi", "@b")), "/blog/")
    assert status == "502 Bad Gateway" and b"does not speak scgi" in page


def test_what_is_in_flight_is_counted() -> None:
    in_flight = InFlight()
    with in_flight, pytest.raises(ValueError), in_flight:
        raise ValueError
    assert in_flight.wait_for_none(0)
    with in_flight:
        assert not in_flight.wait_for_none(0)


def test_an_identity_is_numbers() -> None:
    who = parse_identity("33:34:34,35")
    assert (who.uid, who.gid, who.groups) == (33, 34, (34, 35))
    assert parse_identity("33:34:").groups == ()
    for text in ("", "33", "33:34", "www-data:33:", "1:2:3:4"):
        with pytest.raises(ValueError):
            parse_identity(text)
