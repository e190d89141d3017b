"""FastCGI's STDERR stream of one request: what the app writes to ``wsgi.errors``, for the web server's log.

It promises: only the request's own thread sends, for it may be in the middle of a record when another one writes; what
the others wrote goes with its next text, or with the end. Source: FastCGI specification 1.0, sections 3.3 and 5.3.
"""

from __future__ import annotations

import contextlib
from collections import deque
from threading import get_ident

from emperor.protocol import records
from emperor.serving.connection import Connection
from emperor.wsgi.body import Disconnected

__all__ = ["StderrStream"]


class StderrStream:
    """Made by the thread that serves the request. ``number``: the request's id."""

    __slots__ = ("_connection", "_number", "_opened", "_others", "_over", "_thread")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._thread = get_ident()
        self._others: deque[str] = deque()
        self._opened = self._over = False

    def write(self, text: str) -> None:
        """A web server that has left must not fail the app's log; behind END_REQUEST nothing may follow."""
        if self._over or not text:
            return
        if get_ident() != self._thread:
            self._others.append(text)
            return
        with contextlib.suppress(Disconnected):
            self._connection.send(self._records(text))

    def end(self) -> bytes:
        """A stream that was opened is closed (FastCGI 1.0 section 3.3)."""
        self._over = True
        rest = self._records("")
        return rest + records.encode_record(records.STDERR, self._number) if self._opened else b""

    def _records(self, text: str) -> bytes:
        while self._others:
            text = self._others.pop() + text
        if not text:
            return b""
        self._opened = True
        return records.encode_stream(records.STDERR, self._number, text.encode("utf-8", "backslashreplace"))
