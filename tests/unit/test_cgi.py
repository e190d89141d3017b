"""The head of a CGI response: one table, read whole and cut anywhere."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.cgi import HEAD_LIMIT, Head, parse_head
from emperor.wsgi.response import encode_head
from tests.unit.codec_world import Case, Result, cgi, cuts, pieces


def good(data: bytes, status: int, reason: str, *headers: tuple[str, str]) -> Case:
    return Case(data, [Head(status, reason, headers, len(data))])


HEADS = {
    # RFC 9112 section 4: what uwsgi servers send
    "a status line": good(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, "OK", ("A", "b")),
    "HTTP/1.0, and no header": good(b"HTTP/1.0 404 Not Found\r\n\r\n", 404, "Not Found"),
    "no reason": good(b"HTTP/1.1 299\r\nA:b\r\n\r\n", 299, "", ("A", "b")),
    "an empty reason": good(b"HTTP/1.1 299 \r\nA:b\r\n\r\n", 299, "", ("A", "b")),
    "bare line feeds": good(b"HTTP/1.1 200 OK\nA: b\n\n", 200, "OK", ("A", "b")),
    "a reason beyond ASCII": good(b"HTTP/1.1 200 \xe9\r\n\r\n", 200, "\xe9"),
    "a status line wins": good(b"HTTP/1.1 404 X\r\nStatus: 200 OK\r\n\r\n", 404, "X"),
    # RFC 3875 section 6.3.3: the status is a field like any other, anywhere
    "Status first": good(b"Status: 201 Created\r\nA: b\r\n\r\n", 201, "Created", ("A", "b")),
    "Status last, in small letters": good(b"A: b\r\nstatus: 503\r\n\r\n", 503, "", ("A", "b")),
    "Status beside a Location": good(b"Location: /x\r\nStatus: 201 Made\r\n\r\n", 201, "Made", ("Location", "/x")),
    # RFC 3875 section 6.2: none at all
    "no status": good(b"Content-Type: text/html\n\n", 200, "OK", ("Content-Type", "text/html")),
    "a Location": good(b"Location: /x\r\n\r\n", 302, "Found", ("Location", "/x")),
    "space around values": good(b"A:  b c \t\r\nX: \r\n\r\n", 200, "OK", ("A", "b c"), ("X", "")),
    "no space, and colons": good(b"A:b:c\r\n\r\n", 200, "OK", ("A", "b:c")),
    "a byte above 127": good(b"A: \xe9\r\n\r\n", 200, "OK", ("A", "\xe9")),
    "a name twice": good(b"Vary: a\r\nVary: b\r\n\r\n", 200, "OK", ("Vary", "a"), ("Vary", "b")),
    "mixed line ends": good(b"A: b\r\nB: c\n\r\n", 200, "OK", ("A", "b"), ("B", "c")),
    # RFC 9110 section 5.6.2: every character of a token
    "odd names": good(b"!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n", 200, "OK", ("!#$%&'*+-.^_`|~09azAZ", "b")),
}  # fmt: skip

FAULTS = {
    "nothing": b"\r\n\r\n",
    "no colon": b"no colon\r\n\r\n",
    "a folded line": b" A: folded\r\n\r\n",
    "a folded second line": b"A: b\r\n c\r\n\r\n",
    "a space in a name": b"A b: c\r\n\r\n",
    "a space behind a name": b"A : c\r\n\r\n",
    "no name": b": c\r\n\r\n",
    "a name beyond ASCII": b"\xe9: c\r\n\r\n",
    "a bare carriage return": b"A: b\rc\r\n\r\n",
    "two carriage returns": b"A: b\r\r\n\r\n",
    "a zero byte": b"A: b\0c\r\n\r\n",
    "a Status without digits": b"Status: fine\r\n\r\n",
    "a Status of four digits": b"Status: 2000 OK\r\n\r\n",
    "an empty Status": b"Status:\r\n\r\n",
    "a status line of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a carriage return in a reason": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "a zero byte in a reason": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "digits that are not ASCII": b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "a status line behind a field": b"A: b\r\nHTTP/1.1 200 OK\r\n\r\n",
}

ALL = {**HEADS, **{name: Case(data, status=502) for name, data in FAULTS.items()}}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("body", [b"", b"\r\n\r\nA: not mine\r\n\r\n", b"\n", b"\0\r"])
def test_a_head_means_the_same_wherever_it_is_cut_and_whatever_follows(name: str, body: bytes) -> None:
    case = ALL[name]
    for parts in cuts(case.data + body):
        assert cgi(parts) == case.result


@pytest.mark.parametrize("name", ALL)
def test_a_head_asks_for_more_at_every_byte_before_its_end(name: str) -> None:
    data = ALL[name].data
    assert [parse_head(data[:size]) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("body", [b"", b"\r\n\r\n"])
def test_a_head_means_the_same_where_no_byte_is_searched_twice(name: str, body: bytes) -> None:
    case = ALL[name]
    data = case.data + body

    def parse(parts: Iterable[bytes]) -> Result:
        searched, found = 0, b""
        for part in parts:
            found += part
            try:
                head = parse_head(found, searched)
            except ProtocolError as error:
                return Result([], error.status)
            if head is not None:
                return Result([head])
            searched = len(found)
        return Result([])

    assert all(parse(parts) == case.result for parts in cuts(data))


def test_what_was_searched_is_not_searched_again() -> None:
    data = b"A: b\r\n\r\n" + b"c" * 100
    assert parse_head(data, len(data)) is None


def test_a_head_without_an_end_is_given_up() -> None:
    assert parse_head(b"A" * (HEAD_LIMIT - 1)) is None
    for parts in ([b"A" * HEAD_LIMIT], pieces(b"A" * (HEAD_LIMIT + 5000), 4096)):
        assert cgi(parts) == Result([], 502)


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = b"A: " + b"b" * (HEAD_LIMIT - 7) + b"\r\n\r\n"
    (head,) = cgi(pieces(longest, 4096)).events
    assert head.size == HEAD_LIMIT
    for parts in ([b"A" + longest], pieces(b"A" + longest, 4096)):
        assert cgi(parts) == Result([], 502)


@pytest.mark.parametrize("line", ["HTTP/1.1 ", "Status: "])
def test_what_our_gateway_writes_is_read_as_it_was_meant(line: str) -> None:
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=\xe9"), ("X-Empty", "")]
    data, _ = encode_head(line, "404 Not Found", headers)
    for parts in cuts(data):
        assert cgi(parts) == Result([Head(404, "Not Found", tuple(headers), len(data))])
