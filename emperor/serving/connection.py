"""One accepted connection: bytes in, bytes out, with deadlines that cost nothing while the other end keeps up.

A peer is one that speaks a protocol.

It promises: a call waits for the peer only after the kernel said that it must, and then no longer than its patience,
or than a few where it is short; a peer that left is ``Disconnected``, whichever error the kernel calls it.
Deadlines stand in ``poll``, not on the socket: a timeout there would cost a system call for every piece.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import socket
import sys
import termios
from collections.abc import Sequence
from typing import Optional, Union

from emperor.wsgi.body import Disconnected

__all__ = ["Connection"]

_HEAD = 16384
"""Bytes asked of a connection first: more than a request without a body has, and a buffer four times as large costs a
third more."""
_PIECE = 65536
_FILE_PIECE = 1 << 30
"""sendfile(2) moves at most 2 GiB at once."""
_COPIED = 262144
"""Bytes of a file that pass through us at once, where sendfile(2) does not take it."""
_SHORT = 16.0
"""Seconds. What a peer takes shows only in steps, for the kernel frees whole buffers: on Linux 37 kB of a unix socket;
of TCP up to 130 kB, or a sixteenth of the peer's receive buffer, once that has grown by megabytes. In a patience as
long as this, whoever takes 8 kB a second has made such a step."""
_PATIENCES = 4
"""Of a shorter one, at most so many."""


class Connection:
    """Owns its descriptor, which is non-blocking: a socket object around it would cost a quarter of the whole request.

    ``patience``: seconds that the peer may neither send the body nor take the response. ``watcher``: the epoll that
    knows the descriptor. ``deadline`` (monotonic): when it is closed if what it waits for has not come.
    """

    __slots__ = ("_excused", "_patience", "deadline", "fd", "watcher")

    def __init__(self, fd: int, patience: float) -> None:
        self.fd = fd
        self._patience = patience
        self.deadline: Optional[float] = None
        self.watcher: Optional[select.epoll] = None

    @property
    def excused(self) -> bool:
        """Was its deadline prolonged already?"""
        # Not set for every connection: nearly none is ever asked.
        return getattr(self, "_excused", False)

    @excused.setter
    def excused(self, value: bool) -> None:
        self._excused = value

    def receive_now(self, size: int = _HEAD) -> Optional[bytes]:
        """What is there, b"" at the end of the stream, None if nothing is there yet. Raises ``Disconnected``."""
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return None
        except OSError:
            raise Disconnected() from None

    def receive(self) -> bytes:
        """Wait for the next piece; b"" at the end of the stream. Raises ``Disconnected``."""
        data = self.receive_now(_PIECE)
        while data is None:
            self._until(select.POLLIN)
            data = self.receive_now(_PIECE)
        return data

    def send(self, data: bytes, last: bool = False) -> None:
        """All of it. ``last`` means nothing here: a stream ends with its connection. Raises ``Disconnected``."""
        if not data:
            return
        try:
            sent = os.write(self.fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise Disconnected() from None
        if sent != len(data):
            self._send_slowly(memoryview(data)[sent:])

    def send_now(self, data: bytes) -> None:
        """All of it at once. Raises ``Disconnected`` if the peer would have to be waited for."""
        try:
            sent = os.write(self.fd, data)
        except OSError:
            raise Disconnected() from None
        if sent != len(data):
            raise Disconnected()

    def send_parts(self, parts: Sequence[Union[bytes, memoryview]]) -> None:
        """The same for pieces that need not be copied together; at most IOV_MAX of them."""
        left = list(parts)
        while left:
            try:
                sent = os.writev(self.fd, left)
            except BlockingIOError:
                self._until(select.POLLOUT)
                continue
            except OSError:
                raise Disconnected() from None
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if sent:
                left[0] = memoryview(left[0])[sent:]

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """``count`` bytes of a file without a copy through us; how many it had. Raises ``Disconnected``, and
        ``OSError`` for a file that cannot be read.
        """
        left = count
        while left:
            try:
                sent = os.sendfile(self.fd, fd, offset, min(left, _FILE_PIECE))
            except BlockingIOError:
                self._until(select.POLLOUT)
                continue
            except ConnectionError:
                raise Disconnected() from None
            except OSError:
                # EINVAL, ENOSYS, EOVERFLOW: not every filesystem's files can be sent so. Whatever else it was, to read
                # the file says whether it is at fault, and to write whether the peer is.
                return count - left + self._copy_file(fd, offset, left)
            if not sent:
                break
            offset, left = offset + sent, left - sent
        return count - left

    def _copy_file(self, fd: int, offset: int, count: int) -> int:
        left = count
        while left:
            piece = os.pread(fd, min(left, _COPIED), offset)
            if not piece:
                break
            self.send(piece)
            offset, left = offset + len(piece), left - len(piece)
        return count - left

    def _send_slowly(self, rest: memoryview) -> None:
        while rest:
            self._until(select.POLLOUT)
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Disconnected() from None

    def _until(self, event: int) -> None:
        poll = select.poll()
        poll.register(self.fd, event)
        if event == select.POLLIN:
            if not poll.poll(self._patience * 1000):
                raise Disconnected(f"the web server sends nothing for {self._patience:g} s")
            return
        queued, quiet = self._queued(), 0
        while not poll.poll(self._patience * 1000):
            # There is room only when most of the kernel's buffer is free: megabytes, minutes of a slow peer's.
            before, queued = queued, self._queued()
            quiet = quiet + 1 if queued == before else 0
            if quiet >= min(_PATIENCES, math.ceil(_SHORT / self._patience)):
                # An app may catch it and write on: nothing may follow what is missing here.
                self.hang_up()
                raise Disconnected(f"the web server takes nothing for {quiet * self._patience:g} s")

    def _queued(self) -> int:
        """Bytes that the kernel holds for the peer (unix(7), tcp(7): SIOCOUTQ); 0 where it does not tell."""
        try:
            return int.from_bytes(fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    def hang_up(self) -> None:
        """Tell the peer that no more bytes follow; it may still send. Raises nothing: it may be gone as well."""
        with contextlib.suppress(OSError):
            handle = socket.socket(fileno=self.fd)
            try:
                handle.shutdown(socket.SHUT_WR)
            finally:
                handle.detach()

    def close(self) -> None:
        """Twice is once: the number may be another connection's by then."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        if self.watcher is not None:
            # If a process that the app forked still holds the descriptor, it would be reported for ever.
            with contextlib.suppress(OSError, ValueError):
                self.watcher.unregister(fd)
        os.close(fd)
