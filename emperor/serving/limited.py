"""The way out for a response to a request whose body may yet prove too long: one that told no length (chunked).

``limit-post`` is met while the app reads, as an exception. Frameworks make their 500 page of it, but the fault is the
client's: such a page is exchanged for the constant 413. Whatever else an app answers is its own decision.
"""

from __future__ import annotations

from typing import Any, Callable

from emperor.wsgi.body import Body
from emperor.wsgi.response import Send, error_page

__all__ = ["beneath", "limited"]


class _Limited:
    """A ``Send``."""

    __slots__ = ("_begun", "_body", "_exchanged", "_line", "_send")

    def __init__(self, body: Body, send: Send, line: str) -> None:
        self._body = body
        self._send = send
        self._line = line
        self._begun = self._exchanged = False

    def wrap(self, around: Callable[[Send], Send]) -> None:
        self._send = around(self._send)

    def __call__(self, data: bytes, last: bool) -> None:
        if not self._begun:
            self._begun = True
            self._exchanged = self._body.too_long and data.startswith(f"{self._line}500".encode("latin-1"))
            if self._exchanged:
                self._send(b"".join(error_page(self._line, 413)), True)
        if not self._exchanged:
            self._send(data, last)


def limited(environ: dict[str, Any], send: Send, line: str) -> Send:
    """``send`` itself, where no such body is."""
    body = environ["wsgi.input"]
    return _Limited(body, send, line) if body.may_be_too_long else send


def beneath(send: Send, around: Callable[[Send], Send]) -> Send:
    """``send`` with what ``around`` makes of its innermost: that sees what really leaves."""
    if type(send) is not _Limited:
        return around(send)
    send.wrap(around)
    return send
