"""Requests as bytes, and answers judged: HTTP to a web server, uwsgi and FastCGI straight to an app's socket. Pure.

An answer is right if its status is 200, it is whole, and it is the answer to this very request.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

PADDING = 256 * 1024
"""Bytes that a big answer has behind its line; the apps' number."""

_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6
_RECORD = struct.Struct("!BBHHBx")


class Asked(NamedTuple):
    """One request. ``kind``: "r", or "big" for one with a long answer."""

    number: str
    kind: str = "r"
    body: bytes = b""

    @property
    def method(self) -> str:
        return "POST" if self.body else "GET"

    @property
    def path(self) -> str:
        return f"/{self.kind}/{self.number}"


class Stamp(NamedTuple):
    """Who answered: a worker's pid, when its code's import began (monotonic seconds), how long that took."""

    pid: int
    begun: float
    took: float
    version: str


class Wrong(Exception):
    """An answer that is none; the text says why."""


def over_http(asked: Asked) -> bytes:
    head = f"{asked.method} {asked.path} HTTP/1.1\r\nHost: campaign\r\n"
    if asked.body:
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(asked.body)}\r\n"
    return head.encode() + b"\r\n" + asked.body


def over_uwsgi(asked: Asked) -> bytes:
    block = b"".join(
        struct.pack("<H", len(one)) + one for pair in _variables(asked) for one in (pair[0].encode(), pair[1].encode())
    )
    return struct.pack("<BHB", 0, len(block), 0) + block + asked.body


def over_fastcgi(asked: Asked) -> bytes:
    """One connection, one request, as fastcgi_keep_conn off has it."""
    pairs = b"".join(
        struct.pack("!II", len(name) | 1 << 31, len(value) | 1 << 31) + name.encode() + value.encode()
        for name, value in _variables(asked)
    )
    parts = [(_BEGIN, b"\0\1\0\0\0\0\0\0"), (_PARAMS, pairs), (_PARAMS, b"")]
    parts += [(_STDIN, asked.body[at : at + 65535]) for at in range(0, len(asked.body), 65535)] + [(_STDIN, b"")]
    return b"".join(_RECORD.pack(1, kind, 1, len(data), 0) + data for kind, data in parts)


def _variables(asked: Asked) -> Iterable[tuple[str, str]]:
    yield from (
        ("REQUEST_METHOD", asked.method),
        ("REQUEST_URI", asked.path),
        ("PATH_INFO", asked.path),
        ("QUERY_STRING", ""),
        ("CONTENT_LENGTH", str(len(asked.body)) if asked.body else ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "campaign"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_SCHEME", "http"),
    )


def http_head(data: bytes) -> tuple[int, int, bool] | None:
    """(where the body begins, its length, kept open?) of an answer whose head is whole; None if it is not yet.

    Raises Wrong for a status other than 200, or no length.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if first.split()[1:2] != ["200"]:
        raise Wrong(f"status {' '.join(first.split()[1:])}")
    length = fields.get("content-length", "")
    if not length.isdecimal():
        raise Wrong("an answer without length")
    return end + 4, int(length), fields.get("connection", "").lower() != "close"


def stdout_of(data: bytes) -> bytes:
    """What a FastCGI connection carried. Raises Wrong where END_REQUEST is missing."""
    text, at = bytearray(), 0
    while at + 8 <= len(data):
        _, kind, _, length, padding = _RECORD.unpack_from(data, at)
        if kind == _STDOUT:
            text += data[at + 8 : at + 8 + length]
        if kind == _END:
            return bytes(text)
        at += 8 + length + padding
    raise Wrong(f"no END_REQUEST after {len(data)} bytes")


def cgi_body(data: bytes) -> bytes:
    """The body of a whole answer with a CGI or HTTP head. Raises Wrong."""
    head, blank, body = data.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if not blank or len(words) < 2:
        raise Wrong(f"no whole answer, {len(data)} bytes")
    if words[1] != b"200":
        raise Wrong(f"status {words[1].decode('latin-1')}")
    return body


def stamp_of(asked: Asked, body: bytes) -> Stamp:
    """Who sent this body. Raises Wrong if it is not the answer to this request."""
    line, _, rest = body.partition(b"\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 7 or words[0] != asked.number:
        raise Wrong(f"the answer to something else: {line[:60]!r}")
    if words[5:] != [str(len(asked.body)), str(zlib.crc32(asked.body))]:
        raise Wrong("the app read another body than was sent")
    if len(rest) != (PADDING if asked.kind == "big" else 0) or rest.strip(b"x"):
        raise Wrong(f"a body of {len(body)} bytes")
    return Stamp(int(words[1]), float(words[2]), float(words[3]), words[4])
