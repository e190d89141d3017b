"""The head of a CGI response."""

from __future__ import annotations

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.cgi import HEAD_LIMIT, Head, parse_head

HEADS: dict[bytes, tuple[int, str, tuple[tuple[str, str], ...]]] = {
    # RFC 9112 section 4: what uwsgi servers send
    b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n": (200, "OK", (("A", "b"),)),
    b"HTTP/1.0 404 Not Found\r\n\r\n": (404, "Not Found", ()),
    b"HTTP/1.1 299\r\nA:b\r\n\r\n": (299, "", (("A", "b"),)),
    # RFC 3875 section 6.3.3: the status is a field like any other, anywhere
    b"Status: 201 Created\r\nA: b\r\n\r\n": (201, "Created", (("A", "b"),)),
    b"A: b\r\nstatus: 503\r\n\r\n": (503, "", (("A", "b"),)),
    # RFC 3875 section 6.2: none at all
    b"Content-Type: text/html\n\n": (200, "OK", (("Content-Type", "text/html"),)),
    b"Location: /x\r\n\r\n": (302, "Found", (("Location", "/x"),)),
    b"A:  b c \t\r\nX: \r\n\r\n": (200, "OK", (("A", "b c"), ("X", ""))),
    b"A: \xe9\r\n\r\n": (200, "OK", (("A", "\xe9"),)),
}

NO_HEADS = [
    b"\r\n\r\n",
    b"no colon\r\n\r\n",
    b" A: folded\r\n\r\n",
    b"A b: c\r\n\r\n",
    b"A: b\rc\r\n\r\n",
    b"A: b\0c\r\n\r\n",
    b"Status: fine\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
]


@pytest.mark.parametrize("data", HEADS)
def test_a_head_is_read_whole_and_with_a_body_behind_it(data: bytes) -> None:
    expected = Head(*HEADS[data], size=len(data))
    assert parse_head(data) == expected
    assert parse_head(data + b"\r\n\r\nA: not mine\r\n\r\n") == expected


@pytest.mark.parametrize("data", HEADS)
def test_a_head_asks_for_more_at_every_byte_before_its_end(data: bytes) -> None:
    assert [parse_head(data[:size]) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("data", NO_HEADS)
def test_what_is_no_head_is_the_app_servers_fault(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_head(data)
    assert caught.value.status == 502


def test_a_head_without_an_end_is_given_up() -> None:
    assert parse_head(b"A" * (HEAD_LIMIT - 1)) is None
    with pytest.raises(ProtocolError):
        parse_head(b"A" * HEAD_LIMIT)
