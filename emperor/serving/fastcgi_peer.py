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
from emperor.protocol.params import Params
from emperor.protocol.responder import BODY_END, Abort, BodyEnd, Reply, Request, ServerEvent, ServerMachine, Stdin
from emperor.serving.connection import Connection
from emperor.serving.lingering import DRAIN_LIMIT, Lingering, part
from emperor.serving.settings import Settings, Tally, report
from emperor.wsgi.body import EMPTY, Body, Disconnected
from emperor.wsgi.environ import content_length
from emperor.wsgi.errors import ErrorStream
from emperor.wsgi.gateway import Gateway, Outcome
from emperor.wsgi.response import error_page

__all__ = ["LINE", "FastcgiPeer"]

LINE = "Status: "

Watched = Union["FastcgiPeer", Lingering, None]

_CLOSE_ONE = records.encode_close(1)
_LOST = Outcome(True, True, False)
_IOV_MAX = 1024
"""writev(2): as many pieces in one call; an even number, so that a record and its head stay together."""


class _Stderr:
    """The STDERR stream of one request: what the app writes to ``wsgi.errors``, for the web server's log."""

    __slots__ = ("_connection", "_number", "_opened", "_over")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._opened = self._over = False

    def write(self, text: str) -> None:
        """A web server that has left must not fail the app's log; behind END_REQUEST nothing may follow."""
        if self._over or not text:
            return
        self._opened = True
        data = text.encode("utf-8", "backslashreplace")
        with contextlib.suppress(Disconnected):
            self._connection.send(records.encode_stream(records.STDERR, self._number, data))

    def end(self) -> bytes:
        """A stream that was opened is closed (FastCGI 1.0 section 3.3)."""
        self._over = True
        return records.encode_record(records.STDERR, self._number) if self._opened else b""


class FastcgiPeer:
    """``deadline`` (monotonic) is when a request that has begun must be whole; None: idle between requests."""

    __slots__ = (
        "_closing", "_events", "_fresh", "_gateway", "_id", "_machine", "_settings", "_stderr", "_tally",
        "connection", "deadline",
    )  # fmt: skip

    def __init__(self, connection: Connection, gateway: Gateway, settings: Settings, tally: Tally) -> None:
        self.connection = connection
        self._gateway = gateway
        self._settings = settings
        self._tally = tally
        self._machine = ServerMachine(settings.buffer_size, settings.threads)
        self._events: deque[ServerEvent] = deque()
        self._id = 1
        self._closing = _CLOSE_ONE
        self._fresh = True
        self._stderr: Optional[_Stderr] = None
        self.deadline: Optional[float] = None

    def advance(self, thread: int, draining: bool) -> Watched:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.connection.receive_now()
            if data:
                self._events.extend(self._machine.receive(data))
                return self._handle(thread, draining)
            if data is None:
                return self._rest()
        except Disconnected:
            pass
        except ProtocolError as error:
            return self._refuse(error)
        self.connection.close()
        return None

    def _handle(self, thread: int, draining: bool) -> Watched:
        events = self._events
        while events:
            event = events.popleft()
            if type(event) is Request:
                keep, watched = self._answer(event, thread, draining)
                if not keep:
                    return watched
                self._fresh = False
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
        if self.deadline is None and (self._fresh or machine.partial):
            self.deadline = time.monotonic() + self._settings.header_seconds
        return self

    def _answer(self, request: Request, thread: int, draining: bool) -> tuple[bool, Optional[Lingering]]:
        """Serve it. True: the connection is kept, else what is left of it is to be watched."""
        number = request.request_id
        if number != self._id:
            self._id, self._closing = number, records.encode_close(number)
        # The last request's is closed; one that is refused has none.
        self._stderr = None
        outcome = self._serve(request.params, thread)
        in_body = self._machine.in_body
        if outcome.cut:
            self._cut(outcome)
        else:
            if self._events:
                self._forget_events()
            self._machine.finish()
            if request.keep and not draining:
                return True, None
        return False, part(self.connection, None if in_body else 0)

    def _serve(self, params: Params, thread: int) -> Outcome:
        try:
            gateway = self._gateway
            environ = gateway.environ_of(params.fields, params.displaced)
            if len(self._events) != 1 or self._events[0] is not BODY_END or environ.get("CONTENT_LENGTH"):
                environ["wsgi.input"] = self._body(environ)
        except ProtocolError as error:
            report(f"{error} -- answered with {error.status}")
            self._tally.begin(thread, "")
            self._send(b"".join(error_page(LINE, error.status)), True)
            self._tally.end(thread, False)
            return Outcome(False, False, True)
        if self._settings.stderr:
            self._stderr = _Stderr(self.connection, self._id)
            environ["wsgi.errors"] = ErrorStream(gateway.errors, self._stderr.write)
        tally = self._tally
        tally.begin(thread, f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI') or environ['PATH_INFO']}")
        outcome = _LOST
        try:
            outcome = gateway.respond(environ, self._send)
        finally:
            tally.end(thread, outcome.failed)
        return outcome

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
        size = len(data)
        if size > records.MAX_CONTENT:
            self._send_parts(data, last)
            return
        out = records.HEADER.pack(records.VERSION, records.STDOUT, self._id, size, 0) + data if size else b""
        if last:
            out += self._ending()
        if out:
            self.connection.send(out)

    def _send_parts(self, data: bytes, last: bool) -> None:
        parts: list[Union[bytes, memoryview]] = []
        for start in range(0, len(data), records.MAX_CONTENT):
            piece = memoryview(data)[start : start + records.MAX_CONTENT]
            parts += (records.HEADER.pack(records.VERSION, records.STDOUT, self._id, len(piece), 0), piece)
            if len(parts) == _IOV_MAX:
                self.connection.send_parts(parts)
                parts = []
        if last:
            parts.append(self._ending())
        if parts:
            self.connection.send_parts(parts)

    def _ending(self) -> bytes:
        return self._stderr.end() + self._closing if self._stderr is not None else self._closing

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
