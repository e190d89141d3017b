"""Tells one document to everybody who connects, and closes: the server of a vassal's numbers.

It promises: nobody makes the vassal's loop wait, or work for more than a bounded share of a second: connections over
``RATION`` in a second wait in the kernel's queue, the document is made at most once in ``FRESH`` seconds, and who is
slow to ask or to read has ``PATIENCE``, or less if ``MOST`` others are slow too. An address that cannot be had is a
line in the log, and is tried again.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Callable, Optional

from emperor.errors import ListenError
from emperor.model import Address
from emperor.supervision.stats_word import ANSWERS, stats_word
from emperor.system import listeners
from emperor.system.eventloop import Loop, Timer
from emperor.system.listeners import Bound
from emperor.system.statslistener import Taken, bind
from emperor.text import printable

RATION = 100
BURST = 16
"""Connections in one round of the loop."""
FRESH = 0.1
PATIENCE = 2.0
MOST = 16
LONGEST_HEAD = 8192

TRY_EVERY = 1.0
TAKEN_IS_NEWS = 10
"""Tries. The generation before this one goes, and its address with it, soon after this one's first word."""

HEAD = (
    "HTTP/1.0 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: application/json\r\n"
    "Content-Length: {}\r\n\r\n"
)
"""Without uWSGI's ``Access-Control-Allow-Origin: *``: no web page that somebody visits here need read them."""


class _Client:
    """One that is slow: ``rest`` is what it has not read yet; None: it has not asked yet."""

    __slots__ = ("asked", "deadline", "rest", "sock")

    def __init__(self, sock: socket.socket, deadline: Timer) -> None:
        self.sock, self.deadline = sock, deadline
        self.asked = b""
        self.rest: Optional[memoryview] = None


class StatsServer:
    """``document``: makes it. ``say``: hears a line for the log. ``http``: who connects has to ask, and gets a head."""

    def __init__(
        self,
        address: Address,
        mode: int,
        http: bool,
        loop: Loop,
        document: Callable[[], bytes],
        say: Callable[[str], None],
    ) -> None:
        self._address, self._mode, self._http = address, mode, http
        self._loop, self._make, self._say = loop, document, say
        self._bound: Optional[Bound] = None
        self._tries = 0
        self._told = False
        self._timer: Optional[Timer] = None
        self._clients: dict[int, _Client] = {}
        self._second, self._accepted = 0.0, 0
        self._made, self._text = -FRESH, b""

    def start(self) -> None:
        """From now on, or as soon as the address can be had."""
        self._timer = None
        self._tries += 1
        try:
            self._bound = bind(self._address, self._mode)
        except ListenError as error:
            self._perhaps_tell(error)
            self._timer = self._loop.call_at(self._loop.now() + TRY_EVERY, self.start)
            return
        if self._told:
            self._say(stats_word(str(self._address), ANSWERS))
        self._listen()

    def close(self) -> None:
        """Nobody new; who has come already has what is left of its time. The socket file goes, if it is still ours."""
        try:
            if self._bound is not None:
                # Whoever waits there would be cut off, and a younger generation has the file by now.
                self._on_listener()
        finally:
            self._shut()

    def _shut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._bound is not None:
            self._loop.unwatch(self._bound.sock.fileno())
            self._bound.sock.close()
            if self._bound.place is not None:
                listeners.unlink(self._address.path, self._bound.place)
            self._bound = None

    def in_worker(self) -> None:
        """In a fork: its loop is closed already, and none of this is its business."""
        if self._bound is not None:
            self._bound.sock.close()
        for client in self._clients.values():
            client.sock.close()

    def _perhaps_tell(self, error: ListenError) -> None:
        if not self._told and (self._tries >= TAKEN_IS_NEWS or not isinstance(error, Taken)):
            self._told = True
            reason = str(error).removeprefix(f"{printable(str(self._address))}: ")
            self._say(stats_word(str(self._address), f"{reason}; the app serves, and this is tried again"))

    def _listen(self) -> None:
        self._timer = None
        if self._bound is not None:
            self._loop.watch(self._bound.sock.fileno(), self._on_listener)

    def _on_listener(self) -> None:
        for _ in range(BURST):
            if self._rest_of_the_second() or not self._accept():
                return

    def _rest_of_the_second(self) -> bool:
        """Is it over for now?"""
        now = self._loop.now()
        if now - self._second >= 1.0:
            self._second, self._accepted = now, 0
        if self._accepted < RATION:
            return False
        self._pause(self._second + 1.0)
        return True

    def _pause(self, until: float) -> None:
        assert self._bound is not None
        self._loop.unwatch(self._bound.sock.fileno())
        self._timer = self._loop.call_at(until, self._listen)

    def _accept(self) -> bool:
        """False: nobody is there, or the kernel has no descriptor for one more."""
        assert self._bound is not None
        try:
            sock, _ = self._bound.sock.accept()
        except (BlockingIOError, ConnectionError):
            return False
        except OSError:
            # It would be heard again at once, and again.
            self._pause(self._loop.now() + 1.0)
            return False
        self._accepted += 1
        try:
            sock.setblocking(False)
            client = _Client(sock, self._loop.call_at(self._loop.now() + PATIENCE, partial(self._drop, sock.fileno())))
            self._clients[sock.fileno()] = client
            if self._http:
                self._loop.watch(sock.fileno(), partial(self._hear, client))
            else:
                self._answer(client)
        except BaseException:
            self._drop(sock.fileno())
            raise
        if len(self._clients) > MOST:
            self._drop(next(iter(self._clients)))
        return True

    def _hear(self, client: _Client) -> None:
        try:
            data = client.sock.recv(LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client.sock.fileno())
            return
        client.asked += data
        if not data or len(client.asked) >= LONGEST_HEAD or b"\r\n\r\n" in client.asked or b"\n\n" in client.asked:
            self._answer(client)

    def _answer(self, client: _Client) -> None:
        try:
            client.rest = memoryview(self._document())
        except BaseException:
            self._drop(client.sock.fileno())
            raise
        self._send(client)

    def _send(self, client: _Client) -> None:
        fd = client.sock.fileno()
        assert client.rest is not None
        try:
            client.rest = client.rest[client.sock.send(client.rest) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)
            return
        if client.rest:
            self._loop.watch(fd, partial(self._send, client), write=True)
        else:
            self._drop(fd)

    def _document(self) -> bytes:
        now = self._loop.now()
        if now - self._made >= FRESH:
            text = self._make()
            self._text = HEAD.format(len(text)).encode("ascii") + text if self._http else text
            self._made = now
        return self._text

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd, None)
        if client is not None:
            self._loop.unwatch(fd)
            client.deadline.cancel()
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
            client.sock.close()
