"""One client of the control socket: it asks once, and is answered now or later.

It promises: nothing here waits; a client that does not ask, does not read or goes away costs a bounded buffer
for a bounded time; what is said to one that left is dropped. No descriptor that a client sends is taken, and its
socket is closed by whoever may wait for that.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from emperor.control import messages
from emperor.control.messages import Peer, Request
from emperor.errors import ProtocolError
from emperor.system import passing
from emperor.system.eventloop import Loop, Timer

ASKING_SECONDS = 5.0
"""To send the request in."""

READING_SECONDS = 30.0
"""To take any byte of an answer in."""

LOOK_SECONDS = 5.0
"""Between two looks whether a client is still there that closed its writing half: nothing else tells that it left."""

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes that wait for a client; more, and a follower is too slow, or an answer too large."""

_TOO_LARGE = f"answer: larger than {ANSWER_LIMIT} bytes -- name fewer vassals, or ask for fewer lines"

_TOO_SLOW = f"answer: {ANSWER_LIMIT} bytes of it were not read -- nothing more is sent"


@dataclass(frozen=True)
class Caller:
    """A client that is handed over to the program that replaces us. ``inbox``, ``outbox``: each byte a character."""

    fd: int
    peer: Peer
    inbox: str
    outbox: str
    asked: bool
    finished: bool


class Connection:
    """``on_request`` is called at most once, ``on_close`` exactly once.

    ``close_for_us`` takes over a socket whose close may wait.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        peer: Peer,
        on_request: Callable[[Request, Connection], None],
        on_close: Callable[[Connection], None],
        close_for_us: Callable[[socket.socket, Peer], None],
    ) -> None:
        self.peer = peer
        self.closed = False
        self._loop = loop
        self._sock = sock
        self._on_request = on_request
        self._on_close = on_close
        self._close_for_us = close_for_us
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._asked = False
        self._finished = False
        self._look: Optional[Timer] = None
        passing.prepare(sock)
        self._deadline: Optional[Timer] = loop.call_at(loop.now() + ASKING_SECONDS, self._too_late)
        loop.watch(sock.fileno(), self._readable)

    @property
    def fd(self) -> int:
        return self._sock.fileno()

    @property
    def unread(self) -> int:
        return len(self._outbox)

    def export(self) -> Caller:
        inbox, outbox = self._inbox.decode("latin-1"), self._outbox.decode("latin-1")
        return Caller(self.fd, self.peer, inbox, outbox, self._asked, self._finished)

    def resume(self, caller: Caller) -> None:
        """Be as the connection was that ``caller`` was made of."""
        self._inbox += caller.inbox.encode("latin-1")
        self._outbox += caller.outbox.encode("latin-1")
        self._asked, self._finished = caller.asked, caller.finished
        if self._asked:
            self._set_deadline(None)
        if self._outbox:
            self._flush()

    def send(self, reply: Mapping[str, Any]) -> None:
        if self.closed or self._finished:
            return
        line = messages.encode_reply(reply)
        if len(line) > ANSWER_LIMIT:
            self.finish(messages.refusal(_TOO_LARGE, messages.FAILED))
        elif len(self._outbox) + len(line) > ANSWER_LIMIT:
            self.finish(messages.refusal(_TOO_SLOW, messages.FAILED))
        else:
            self._outbox += line
            self._flush()

    def finish(self, reply: Mapping[str, Any]) -> None:
        """The last word: once the client has it, the connection ends."""
        if self.closed or self._finished:
            return
        line = messages.encode_reply({**reply, "end": True})
        if len(line) > ANSWER_LIMIT:
            line = messages.encode_reply({**messages.refusal(_TOO_LARGE, messages.FAILED), "end": True})
        self._finished = self._asked = True
        self._outbox += line
        self._flush()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._set_deadline(None)
        if self._look is not None:
            self._look.cancel()
        self._loop.unwatch(self._sock.fileno())
        self._on_close(self)
        if passing.may_be_closed(self._sock):
            self._sock.close()
        else:
            self._close_for_us(self._sock, self.peer)

    def _too_late(self) -> None:
        if self._asked:
            self.close()
        else:
            self.finish(messages.refusal(f"request: not here after {ASKING_SECONDS:g} s", messages.USAGE))

    def _set_deadline(self, seconds: Optional[float]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if seconds is None:
            self._deadline = None
        else:
            self._deadline = self._loop.call_at(self._loop.now() + seconds, self._too_late)

    def _readable(self) -> None:
        try:
            data = passing.receive(self._sock, messages.LIMIT)
        except BlockingIOError:
            return
        except passing.Passed as error:
            self._heard_nonsense(f"request: {error} -- none is taken")
            return
        except OSError:
            self.close()
            return
        if self._asked:
            self._heard_after_request(data)
        elif data:
            self._inbox += data
            self._maybe_request()
        else:
            self.close()

    def _heard_nonsense(self, why: str) -> None:
        if self._asked:
            self.close()
        else:
            self.finish(messages.refusal(why, messages.USAGE))

    def _heard_after_request(self, data: bytes) -> None:
        """A client that closed its writing half still waits for the answer; anything else is a goodbye."""
        if data or self._hung_up():
            self.close()
        else:
            self._loop.unwatch(self._sock.fileno())
            self._look_later()

    def _look_later(self) -> None:
        if self._look is None:
            self._look = self._loop.call_at(self._loop.now() + LOOK_SECONDS, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        if self._hung_up():
            self.close()
        else:
            self._look_later()

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._sock.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def _maybe_request(self) -> None:
        end = self._inbox.find(b"\n") + 1
        if not end and len(self._inbox) < messages.LIMIT:
            return
        self._asked = True
        self._set_deadline(None)
        try:
            if not end or end > messages.LIMIT:
                raise ProtocolError(f"request: longer than {messages.LIMIT} bytes")
            if end < len(self._inbox):
                raise ProtocolError("request: something follows it -- one request a connection")
            request = messages.decode(bytes(self._inbox))
        except ProtocolError as error:
            self.finish(messages.refusal(str(error), messages.USAGE))
            return
        self._inbox.clear()
        self._on_request(request, self)

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._outbox)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._outbox[:sent]
        if not self._outbox and self._finished:
            self.close()
        elif self._outbox:
            if sent or self._deadline is None:
                self._set_deadline(READING_SECONDS)
            # Hanging up makes it writable as well, so this also hears of a client that leaves.
            self._loop.watch(self._sock.fileno(), self._flush, write=True)
        else:
            self._set_deadline(None)
            self._loop.watch(self._sock.fileno(), self._readable)


class Reply:
    """How the daemon answers one request, now or when the work is done. Once ``gone``, nothing is sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def gone(self) -> bool:
        """The client left, or has its last word already: nobody listens any more."""
        return self._connection.closed

    @property
    def peer(self) -> Peer:
        return self._connection.peer

    @property
    def unread(self) -> int:
        """Bytes that wait for the client to read on."""
        return self._connection.unread

    @property
    def fd(self) -> int:
        """Which client it is, as long as it is not gone."""
        return self._connection.fd

    def send(self, reply: Mapping[str, Any]) -> None:
        self._connection.send(reply)

    def finish(self, reply: Mapping[str, Any]) -> None:
        self._connection.finish(reply)
