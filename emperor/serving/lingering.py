"""A connection that has its answer while its request was not read to the end.

Closing it at once would reset it: the web server would lose the answer and log "104: Connection reset by
peer". So we hang up on our side and read on, a bounded amount for a bounded time, and pin no thread
meanwhile.
"""

from __future__ import annotations

import time
from typing import Optional

from emperor.serving.connection import Connection
from emperor.wsgi.body import Disconnected

__all__ = ["DRAIN_LIMIT", "Lingering", "part"]

DRAIN_LIMIT = 16 * 1024 * 1024
"""Bytes that are read and thrown away before the connection is closed under a peer that goes on. nginx sends the
whole body before it looks for an answer: with less, a refused upload (403, 413) would be a 502."""

_SECONDS = 5.0


def part(connection: Connection, unread: Optional[int]) -> Optional[Lingering]:
    """Close, now or (what is returned is to be watched) soon. ``unread``: bytes still to come, None if
    unknown.
    """
    if unread == 0:
        connection.close()
        return None
    connection.hang_up()
    return Lingering(connection, DRAIN_LIMIT if unread is None else min(unread, DRAIN_LIMIT)).advance(0, False)


class Lingering(Connection):
    """Takes a connection over, and behaves as a peer that never makes a request."""

    __slots__ = ("_left",)

    def __init__(self, connection: Connection, left: int) -> None:
        super().__init__(connection.fd, 0.0)
        self.watcher = connection.watcher
        connection.fd = -1
        self._left = left
        self.deadline = time.monotonic() + _SECONDS

    def advance(self, thread: int, draining: bool) -> Optional[Lingering]:
        """Throw away what is there. Itself: to be watched again; None: closed."""
        while True:
            try:
                data = self.receive_now()
            except Disconnected:
                data = b""
            if data is None:
                return self
            self._left -= len(data)
            if not data or self._left <= 0:
                self.close()
                return None
