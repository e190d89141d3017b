"""The head of a CGI response, as FastCGI and uwsgi servers send it to a web server.

It promises: ``None`` only while the head is not whole, a value or ``ProtocolError`` otherwise, wherever the
bytes are split. It never touches a socket. Source: RFC 3875 section 6 (CGI fields), RFC 9112 section 4 (a
status line in front of them).
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from emperor.errors import ProtocolError

__all__ = ["HEAD_LIMIT", "Head", "parse_head"]

HEAD_LIMIT = 65536
"""Bytes. No web server takes a longer head; more without an end is not a head."""

# A line feed first: the search leaps from one to the next, where an optional byte in front would cost 20 times as much.
_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(r"HTTP/\d\.\d (\d{3})(?: ([^\r\0]*))?", re.ASCII)
_STATUS_FIELD = re.compile(r"(\d{3})(?: (.*))?", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*", re.ASCII | re.DOTALL)


class Head(NamedTuple):
    """``reason`` may be empty; ``headers`` are without ``Status``; the body begins after ``size`` bytes."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    size: int


def parse_head(data: bytes, searched: int = 0) -> Optional[Head]:
    """Read the head at the front of ``data``; None: more bytes are needed.

    ``searched``: how many bytes an earlier call had, which found no end in them. Whoever reads from a stranger says it:
    64 KiB that come byte by byte would else be 2 GiB to search, some seconds of a processor.
    Without any status it is 200, or 302 beside a ``Location`` (RFC 3875 section 6.2).
    Raises ``ProtocolError`` (502) for what is no head.
    """
    end = _END.search(data, max(0, searched - 2), HEAD_LIMIT)
    if end is None:
        if len(data) >= HEAD_LIMIT:
            raise ProtocolError("response head: it does not end within 64 KiB", 502)
        return None
    lines = data[: end.start()].decode("latin-1").split("\n")
    lines = [line[:-1] if line.endswith("\r") else line for line in lines]
    status = _STATUS_LINE.fullmatch(lines[0])
    fields = [_field(line) for line in (lines[1:] if status else lines)]
    if status is None:
        status = _status_of(fields)
    headers = tuple(field for field in fields if field[0].lower() != "status")
    if status is not None:
        return Head(int(status[1]), status[2] or "", headers, end.end())
    if any(name.lower() == "location" for name, _ in headers):
        return Head(302, "Found", headers, end.end())
    return Head(200, "OK", headers, end.end())


def _field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None or "\r" in line or "\0" in line:
        raise ProtocolError("response head: a line is no header field", 502)
    return match[1], match[2]


def _status_of(fields: list[tuple[str, str]]) -> Optional[re.Match[str]]:
    for name, value in fields:
        if name.lower() == "status":
            match = _STATUS_FIELD.fullmatch(value)
            if match is None:
                raise ProtocolError("response head: Status is not three digits and a reason", 502)
            return match
    return None
