"""One accepted connection: bytes in, bytes out, with deadlines that cost nothing while the peer keeps up.

It promises: a call waits for the peer only after the kernel said that it must, and then no longer than its
deadline; a peer that left is ``Disconnected``, whichever error the kernel calls it. Deadlines stand in
``poll``, not on the socket: a timeout there would cost a system call for every piece.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Optional

from emperor.wsgi.body import Disconnected

__all__ = ["IDLE_SECONDS", "Connection"]

IDLE_SECONDS = 60.0
"""How long a peer may neither send the body nor take the response; nginx's own default for both."""

_PIECE = 65536


class Connection:
    """Owns its socket, which is in blocking mode; every call on it says MSG_DONTWAIT instead.

    ``watched`` is the server's note that its epoll knows the descriptor.
    """

    __slots__ = ("_socket", "fd", "watched")

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self.fd = accepted.fileno()
        self.watched = False

    def receive_now(self) -> Optional[bytes]:
        """What is there, b"" at the end of the stream, None if nothing is there yet. Raises ``Disconnected``."""
        try:
            return self._socket.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            raise Disconnected() from None

    def receive(self, seconds: float = IDLE_SECONDS) -> bytes:
        """Wait for the next piece; b"" at the end of the stream. Raises ``Disconnected``."""
        data = self.receive_now()
        while data is None:
            self._wait(select.POLLIN, seconds)
            data = self.receive_now()
        return data

    def send(self, data: bytes) -> None:
        """All of it. Raises ``Disconnected``."""
        try:
            sent = self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise Disconnected() from None
        if sent != len(data):
            self._send_slowly(memoryview(data)[sent:])

    def _send_slowly(self, rest: memoryview) -> None:
        while rest:
            self._wait(select.POLLOUT, IDLE_SECONDS)
            try:
                rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Disconnected() from None

    def _wait(self, event: int, seconds: float) -> None:
        poll = select.poll()
        poll.register(self.fd, event)
        if not poll.poll(seconds * 1000):
            what = "sends nothing" if event == select.POLLIN else "takes nothing"
            raise Disconnected(f"the web server {what} for {seconds:g} s")

    def hang_up(self) -> None:
        """Tell the peer that no more bytes follow; it may still send. Raises nothing: it may be gone as well."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
