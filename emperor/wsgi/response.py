"""One response as PEP 3333 builds it: ``start_response``, ``write`` and the rules between them.

It promises: nothing is sent before the first block of the body (or its end); head and first block leave
together; never more bytes than Content-Length says; no header can carry a line break. It knows no wire: bytes
go to a ``Send``. Source: PEP 3333 "The start_response() Callable", "Handling the Content-Length Header",
"Error Handling".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Callable, ClassVar, Optional, Union

__all__ = ["ExcInfo", "Response", "Send", "SendFile", "encode_head", "error_page"]

Send = Callable[[bytes, bool], None]
"""``send(data, last)``: data may be empty; after ``last`` nothing follows. Raises ``Disconnected``."""

SendFile = Callable[[int, int, int], int]
"""``send_file(fd, offset, count)``: bytes of a file, from kernel to kernel; how many the file had. Raises
``Disconnected``."""

ExcInfo = Union[tuple[type[BaseException], BaseException, TracebackType], tuple[None, None, None]]

_JOIN_LIMIT = 65536
"""Bytes of a block up to which copying it behind the head is cheaper than a second system call."""

_STATUS = re.compile(r"([1-9]\d\d)(?: ([^\0-\x08\x0a-\x1f\x7f]*))?", re.ASCII)
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)

# Hop-by-hop fields (RFC 9110 section 7.6.1) are the web server's to send, and "Status" is how CGI would say
# it again.
_NOT_THE_APPS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "status",
    "te", "trailer", "transfer-encoding", "upgrade") )  # fmt: skip

_BODILESS = ("204", "304")
"""RFC 9110 section 6.4.1: their responses never have a body."""
_USUAL_STATUS = frozenset(
    f"{one.value} {one.phrase}" for one in HTTPStatus if one >= 200 and str(one.value) not in _BODILESS
)
_USUAL_NAMES = frozenset(
    (
        "Content-Type", "Location", "Set-Cookie", "Vary", "Cache-Control", "ETag", "Last-Modified",
        "Expires", "Date", "Server", "Allow", "Age", "Link", "Content-Encoding", "Content-Language", "Content-Range",
        "Content-Disposition", "Content-Security-Policy", "Accept-Ranges", "Access-Control-Allow-Origin", "Retry-After",
        "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "WWW-Authenticate",
    )
)  # fmt: skip
"""What needs no second look: every other status and name is matched by a regular expression."""


class Response:
    """``line`` stands in front of the status: ``HTTP/1.1 `` or ``Status: ``.

    ``sent``: the head has left. ``ended``: the last byte has. ``counted``: Content-Length was declared.
    ``surplus``: the app gave more than it had declared, or than its status allows: ``too_much`` says it.
    """

    __slots__ = ("_head", "_left", "_line", "_send", "ended", "sent", "surplus")

    too_much: ClassVar[str] = "the app gave more than its Content-Length -- the rest was not sent"

    def __init__(self, send: Send, line: str) -> None:
        self._send = send
        self._line = line
        self._head: Optional[bytes] = None
        self._left: Optional[int] = None
        self.sent = self.ended = self.surplus = False

    @property
    def counted(self) -> bool:
        return self._left is not None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Optional[ExcInfo] = None
    ) -> Callable[[bytes], None]:
        """``start_response``. A second call needs ``exc_info``; once the head has left, it raises that
        exception.
        """
        if exc_info is not None:
            try:
                if self.sent and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame: PEP 3333 warns of the circle
            self._start_again()
        elif self._head is not None:
            raise AssertionError("start_response: called a second time without exc_info")
        if status not in _USUAL_STATUS:
            return self._start_unusual(status, headers)
        self._head, self._left = encode_head(self._line, status, headers)
        return self.write

    def _start_again(self) -> None:
        if self.sent:
            raise AssertionError("start_response: the head has left, and exc_info holds no exception")
        self.__class__ = Response

    def _start_unusual(self, status: Any, headers: list[tuple[str, str]]) -> Callable[[bytes], None]:
        checked = _checked_status(status)
        self._head, self._left = encode_head(self._line, checked, headers)
        if checked[:3] in _BODILESS:
            self.__class__ = _Bodiless
        return self.write

    def write(self, data: bytes, last: bool = False) -> None:
        """Send one block of the body, behind the head if that is still here.

        ``last``: no more will come. What was declared decides, if it was: a body cut short is for ``finish`` to say.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"response body: blocks are bytes, not {type(data).__name__}")
        head = self._head
        if head is None:
            raise AssertionError("response body: a block before start_response was called")
        if self.ended:
            self.surplus = self.surplus or bool(data)
            return
        left = self._left
        if left is not None:
            if len(data) > left:
                self.surplus = True
                data = data[:left]
            self._left = left = left - len(data)
            last = left == 0
        if not self.sent:
            self.sent = True
            if len(data) <= _JOIN_LIMIT:
                data = head + data
            else:
                self._send(head, False)
        self._send(data, last)
        self.ended = last

    def finish(self) -> None:
        """The app has given its last block."""
        if self._head is None:
            raise AssertionError("response: the app ended without calling start_response")
        if not self.ended:
            rest = b"" if self.sent else self._head
            self.sent = True
            self._send(rest, True)
            self.ended = True

    def write_file(self, fd: int, offset: int, count: int, send_file: SendFile) -> None:
        """The rest of the body from an open file: ``count`` bytes, or as many of them as Content-Length says (PEP 3333
        "Optional Platform-Specific File Handling").
        """
        self.write(b"")
        left = self._left
        if left is None:
            send_file(fd, offset, count)
        elif left:
            self._left = left - send_file(fd, offset, min(count, left))

    def replace(self, status: int) -> None:
        """Answer with the constant page of ``status``; only while the head is still here."""
        self.__class__ = Response
        self._head, page = error_page(self._line, status)
        self._left = len(page)
        self.ended = False
        self.write(page)


class _Bodiless(Response):
    """What a response becomes when its status has no body: to ask each block of all the others would cost them.

    What the app gives all the same is passed on, for the web server to drop.
    """

    __slots__ = ()

    too_much = "the app gave a body with a status that has none (204, 304) -- the web server drops it"

    def write(self, data: bytes, last: bool = False) -> None:
        super().write(data, last)
        self.surplus = self.surplus or bool(data)

    def write_file(self, fd: int, offset: int, count: int, send_file: SendFile) -> None:
        super().write_file(fd, offset, count, send_file)
        self.surplus = self.surplus or bool(count)


def encode_head(line: str, status: str, headers: Sequence[tuple[str, str]]) -> tuple[bytes, Optional[int]]:
    """The head as bytes, and what its Content-Length says. ``status``: a checked one.

    Raises ``TypeError`` or ``ValueError`` for what PEP 3333 forbids: the app hears of it where it made the
    mistake. Fields that are the web server's to send are left out.
    """
    if type(headers) is not list:
        raise TypeError(f"start_response: headers are a list, not {type(headers).__name__}")
    text = line + status
    length: Optional[int] = None
    for name, value in headers:
        if type(value) is not str or not value.isprintable():
            _check_value(value)
        if name == "Content-Length":
            length = _checked_length(value, length)
        elif name not in _USUAL_NAMES:
            field = _checked_name(name)
            if field in _NOT_THE_APPS:
                continue
            if field == "content-length":
                length = _checked_length(value, length)
        text += f"\r\n{name}: {value}"
    return (text + "\r\n\r\n").encode("latin-1"), length


def error_page(line: str, status: int) -> tuple[bytes, bytes]:
    """Head and body of a constant page: whoever reads it learns nothing but the status."""
    reason = HTTPStatus(status).phrase
    body = f"{status} {reason}\n".encode("ascii")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return encode_head(line, f"{status} {reason}", headers)[0], body


def _checked_name(name: Any) -> str:
    """The name in lower case, if it is one (RFC 9110 section 5.1)."""
    if not isinstance(name, str):
        raise TypeError("start_response: names and values of headers are str")
    if not _NAME.fullmatch(name):
        raise ValueError("start_response: a header's name holds characters that names may not hold")
    return name.lower()


def _check_value(value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError("start_response: names and values of headers are str")
    if _CONTROL.search(value):
        raise ValueError("start_response: a header holds a line break or another control character")


def _checked_status(status: Any) -> str:
    if not isinstance(status, str):
        raise TypeError(f"start_response: the status is str, not {type(status).__name__}")
    match = _STATUS.fullmatch(status)
    if match is None or match[1] < "200":
        raise ValueError("start_response: the status is three digits from 200 on, a space and a reason")
    if match[2]:
        return status
    try:
        return f"{match[1]} {HTTPStatus(int(match[1])).phrase}"
    except ValueError:
        return f"{match[1]} Unknown"


def _checked_length(value: str, before: Optional[int]) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ValueError("start_response: Content-Length is not a number")
    if before is not None and before != int(value):
        raise ValueError("start_response: Content-Length came twice with different values")
    return int(value)
