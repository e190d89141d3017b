"""A connection that speaks FastCGI: one request after another while the web server keeps it open.

It promises: ``advance`` never waits for a request, only (with a deadline) for the body that the app reads and
for the peer to take the answer; between requests the connection costs a descriptor and nothing else. A
response cut short never looks whole where the protocol allows to say so.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Any, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.responder import Abort, BodyEnd, Reply, Request, ServerEvent, ServerMachine, Stdin
from emperor.serving.connection import Connection
from emperor.serving.lingering import DRAIN_LIMIT, Lingering, part
from emperor.serving.settings import Settings, Tally, report
from emperor.wsgi.body import EMPTY, Body, Disconnected
from emperor.wsgi.environ import content_length
from emperor.wsgi.gateway import Gateway, Outcome
from emperor.wsgi.response import error_page

__all__ = ["LINE", "FastcgiPeer"]

LINE = "Status: "

Watched = Union["FastcgiPeer", Lingering, None]


class FastcgiPeer:
    """``deadline`` (monotonic) is when a request that has begun must be whole; None: idle between requests."""

    __slots__ = (
        "_events", "_gateway", "_id", "_machine", "_settings", "_tally", "connection", "deadline",
    )  # fmt: skip

    def __init__(self, connection: Connection, gateway: Gateway, settings: Settings, tally: Tally, now: float) -> None:
        self.connection = connection
        self._gateway = gateway
        self._settings = settings
        self._tally = tally
        self._machine = ServerMachine(settings.buffer_size, settings.threads)
        self._events: deque[ServerEvent] = deque()
        self._id = 0
        self.deadline: Optional[float] = now + settings.header_seconds

    def advance(self, thread: int, draining: bool) -> Watched:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.connection.receive_now()
            if data is None:
                return self
            if data:
                self._events.extend(self._machine.receive(data))
                return self._handle(thread, draining)
        except Disconnected:
            pass
        except ProtocolError as error:
            return self._refuse(error)
        self.connection.close()
        return None

    def _handle(self, thread: int, draining: bool) -> Watched:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Request):
                keep, watched = self._count(event, thread, draining)
                if not keep:
                    return watched
                self.deadline = None
            elif isinstance(event, Reply):
                self.connection.send(event.data)
                if event.close:
                    return part(self.connection, None)
        return self._rest()

    def _rest(self) -> Watched:
        """Between requests."""
        machine = self._machine
        if machine.error is not None:
            raise machine.error
        if machine.ignored > DRAIN_LIMIT:
            return part(self.connection, None)
        if machine.partial and self.deadline is None:
            self.deadline = time.monotonic() + self._settings.header_seconds
        return self

    def _count(self, request: Request, thread: int, draining: bool) -> tuple[bool, Optional[Lingering]]:
        """Serve it. True: the connection is kept, else what is left of it is to be watched."""
        self._tally.begin(thread)
        failed = True
        try:
            outcome = self._serve(request)
            failed = outcome.failed
        finally:
            self._tally.end(thread, failed)
        in_body = self._machine.in_body
        if outcome.cut:
            self._cut(outcome)
        else:
            self._forget_events()
            self._machine.finish()
            if request.keep and not draining:
                return True, None
        return False, part(self.connection, None if in_body else 0)

    def _serve(self, request: Request) -> Outcome:
        self._id = request.request_id
        try:
            environ = self._gateway.environ(request.params.names, request.params.values)
            environ["wsgi.input"] = self._body(environ)
        except ProtocolError as error:
            report(f"{error} -- answered with {error.status}")
            self._send(b"".join(error_page(LINE, error.status)), True)
            return Outcome(False, False, True)
        return self._gateway.respond(environ, self._send)

    def _body(self, environ: dict[str, Any]) -> Body:
        length = content_length(environ)
        limit = self._settings.limit_post
        if length and limit and length > limit:
            raise ProtocolError(f"request: a body of {length} bytes, the limit (limit-post) is {limit}", 413)
        if not length and self._events and isinstance(self._events[0], BodyEnd):
            return EMPTY
        return Body(self._more, length, limit)

    def _more(self) -> bytes:
        """The next piece of the body; it ends with the STDIN stream (FastCGI 1.0 section 6.2)."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, Stdin):
                    return event.data
                if isinstance(event, BodyEnd):
                    return b""
                if isinstance(event, Abort):
                    raise Disconnected("the web server aborted the request")
                if isinstance(event, Reply):
                    self.connection.send(event.data)
            self._read_on()

    def _read_on(self) -> None:
        data = self.connection.receive()
        if not data:
            raise Disconnected("request body: the connection ends before it")
        try:
            self._events.extend(self._machine.receive(data))
        except ProtocolError as error:
            raise Disconnected(str(error)) from None

    def _forget_events(self) -> None:
        """What came of the body unread is thrown away; what was to be answered beside it is answered."""
        for event in self._events:
            if isinstance(event, Reply):
                self.connection.send(event.data)
        self._events.clear()

    def _send(self, data: bytes, last: bool) -> None:
        """Records of STDOUT; the end of stream and request leave with the last of them."""
        number = self._id
        start = 0
        while len(data) - start > records.MAX_CONTENT:
            piece = data[start : start + records.MAX_CONTENT]
            self.connection.send(records.encode_record(records.STDOUT, number, piece))
            start += records.MAX_CONTENT
        rest = data[start:] if start else data
        out = records.encode_record(records.STDOUT, number, rest) if rest else b""
        if last:
            out += records.encode_record(records.STDOUT, number) + records.encode_end(number)
        if out:
            self.connection.send(out)

    def _cut(self, outcome: Outcome) -> None:
        """The app failed behind the head. nginx takes any END_REQUEST and any close for a whole response, so
        the peer is left to miss bytes of a Content-Length, and shown a broken record where there is none.
        """
        ending = records.encode_end(self._id, 1) if outcome.counted else records.INVALID
        with contextlib.suppress(Disconnected):
            self.connection.send(ending)

    def _refuse(self, error: ProtocolError) -> Optional[Lingering]:
        """A request whose parameters have begun can be answered; anything else can only be hung up on."""
        number = self._machine.request_id
        report(f"{error} -- " + (f"answered with {error.status}" if number else "connection closed"))
        if number:
            self._id = number
            with contextlib.suppress(Disconnected):
                self._send(b"".join(error_page(LINE, error.status)), True)
        return part(self.connection, None)
