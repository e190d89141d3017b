"""A connection that speaks FastCGI: one request after another while the web server keeps it open.

It promises: ``advance`` never waits for a request, only (with a deadline) for the body that the app reads and
for the peer to take the answer; between requests the connection costs a descriptor and nothing else. A
response cut short never looks whole where the protocol allows to say so.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.params import Params
from emperor.protocol.responder import Abort, BodyEnd, Reply, Request, ServerEvent, ServerMachine, Stdin
from emperor.serving.connection import Connection
from emperor.serving.limited import limited
from emperor.serving.lingering import DRAIN_LIMIT, Lingering, part
from emperor.serving.service import Service
from emperor.serving.settings import report
from emperor.serving.stderr_stream import StderrStream
from emperor.wsgi.body import EMPTY, Body, Disconnected
from emperor.wsgi.environ import adopt, settle
from emperor.wsgi.errors import ErrorStream
from emperor.wsgi.gateway import Outcome
from emperor.wsgi.response import Send, error_page

__all__ = ["LINE", "FastcgiPeer"]

LINE = "Status: "

Watched = Union["FastcgiPeer", Lingering, None]
EnvironOf = Callable[[dict[str, Any], Sequence[tuple[str, Any]], Mapping[str, Any]], dict[str, Any]]

_CLOSE_ONE = records.encode_close(1)
_LOST = Outcome(True, True, False)
_HEED_SECONDS = 1.0
_FILE_RECORD = 15 * 4096
"""Bytes of a file in one record: whole pages."""
_IOV_MAX = 1024
"""writev(2): as many pieces in one call; an even number, so that a record and its head stay together."""


class FastcgiPeer(Connection):
    """``deadline`` is when a request that has begun must be whole; None: idle between requests."""

    __slots__ = ("_closing", "_events", "_fresh", "_heed_at", "_id", "_machine", "_service", "_stderr")

    def __init__(self, fd: int, service: Service) -> None:
        settings = service.settings
        super().__init__(fd, settings.patience)
        self._service = service
        self._machine = ServerMachine(settings.buffer_size, settings.threads, settings.connections)
        self._events: deque[ServerEvent] = deque()
        self._id = 1
        self._closing = _CLOSE_ONE
        self._fresh = True
        self._stderr: Optional[StderrStream] = None
        self._heed_at = 0.0

    def advance(self, thread: int, draining: bool) -> Watched:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.receive_now()
            if data:
                own = self._service.gateway.own
                params = self._machine.whole(data, own.copy())
                if params is None:
                    self._events.extend(self._machine.receive(data))
                    return self._handle(thread, draining)
                return self if self._answer(settle, params, thread, draining) else self._leave()
            if data is None:
                return self._rest()
        except Disconnected:
            pass
        except ProtocolError as error:
            return self._refuse(error, thread)
        self.close()
        return None

    def _handle(self, thread: int, draining: bool) -> Watched:
        events = self._events
        while events:
            event = events.popleft()
            if isinstance(event, Request):
                if not self._answer(adopt, event.params, thread, draining):
                    return self._leave()
            elif isinstance(event, Reply):
                # Who makes no request holds up nobody, if he does not take his answers either.
                self.send_now(event.data)
                if event.close:
                    return part(self, None)
        return self._rest()

    def _rest(self) -> Watched:
        """Between requests."""
        machine = self._machine
        if machine.error is not None:
            raise machine.error
        if machine.ignored > DRAIN_LIMIT:
            return part(self, None)
        if not (self._fresh or machine.partial):
            self.deadline = None
        elif self.deadline is None:
            self.deadline = time.monotonic() + self._service.settings.header_seconds
            self.excused = False
        return self

    def _leave(self) -> Optional[Lingering]:
        return part(self, None if self._machine.in_body else 0)

    def _answer(self, environ_of: EnvironOf, params: Params, thread: int, draining: bool) -> bool:
        """Serve the request that the machine is at. Is the connection to be kept?"""
        machine = self._machine
        if machine.request_id != self._id:
            self._id, self._closing = machine.request_id, records.encode_close(machine.request_id)
        outcome = self._serve(environ_of, params, thread, draining and machine.keep)
        if outcome.cut:
            self._cut(outcome)
            return False
        if self._events:
            self._forget_events()
        if draining or not machine.keep:
            return False
        machine.finish()
        self._fresh = False
        self.deadline = None
        return True

    def _serve(self, environ_of: EnvironOf, params: Params, thread: int, parting: bool) -> Outcome:
        """``parting``: the connection will be closed, although it was to be kept."""
        service = self._service
        gateway, tally = service.gateway, service.tally
        # The last request's is closed; one that is refused has none.
        self._stderr = None
        send: Send = self._send
        try:
            environ = environ_of(params[0], params[1], gateway.own)
            if parting and str(environ.get("SERVER_SOFTWARE", "")).startswith("nginx"):
                # It keeps no connection on which something came behind END_REQUEST (ngx_http_fastcgi_input_filter);
                # one that it keeps while we close it costs a POST, which nginx sends but once.
                self._closing += records.NO_VALUES
            if self._events or self._machine.in_body or environ.get("CONTENT_LENGTH"):
                environ["wsgi.input"] = self._body(environ)
                send = limited(environ, send, LINE)
        except ProtocolError as error:
            report(f"{error} -- answered with {error.status}")
            # Whatever becomes of the answer, the thread is not busy with it for ever.
            tally.begin(thread)
            tally.end(thread, False)
            self._send(b"".join(error_page(LINE, error.status)), True)
            return Outcome(False, False, True)
        if service.settings.stderr:
            self._stderr = StderrStream(self, self._id)
            environ["wsgi.errors"] = ErrorStream(gateway.errors, self._stderr.write)
        tally.begin(thread, f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI') or environ['PATH_INFO']}")
        outcome = _LOST
        try:
            outcome = gateway.respond(environ, send, self._send_file)
        finally:
            tally.end(thread, outcome.failed)
        return outcome

    def _body(self, environ: dict[str, Any]) -> Body:
        length = self._service.length(environ)
        if not (length or self._machine.in_body or (self._events and isinstance(self._events[0], Stdin))):
            return EMPTY
        return Body(functools.partial(self._more, self._machine.begun), length, self._service.settings.limit_post)

    def _more(self, begun: int) -> bytes:
        """The next piece of the body. ``begun``: whose. An app may keep it for longer than its request."""
        if self._machine.begun != begun or not self._machine.request_id:
            raise Disconnected("request body: its request is over")
        return self._piece()

    def _piece(self) -> bytes:
        """It ends with the STDIN stream (FastCGI 1.0 section 6.2)."""
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
                    self.send(event.data)
            if not self._machine.in_body:
                return b""
            self._read_on()

    def _read_on(self) -> None:
        error = self._machine.error
        if error is not None:
            raise Disconnected(str(error))
        data = self.receive()
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
                self.send(event.data)
        self._events.clear()

    def _send(self, data: bytes, last: bool) -> None:
        """Records of STDOUT; the end of stream and request leave with the last of them."""
        if not last and data:
            self._heed()
        size = len(data)
        if size > records.MAX_CONTENT:
            self._send_parts(data, last)
            return
        out = records.HEADER.pack(records.VERSION, records.STDOUT, self._id, size, 0) + data if size else b""
        if last:
            out += self._ending()
        if out:
            self.send(out)

    def _heed(self) -> None:
        """ABORT_REQUEST ends a response that would go on (FastCGI 1.0 section 5.4). Looked for once a second, behind
        the body; raises ``Disconnected``.
        """
        now = time.monotonic()
        if now < self._heed_at or self._machine.in_body:
            return
        self._heed_at = now + _HEED_SECONDS
        data = self.receive_now()
        if data:
            try:
                self._events.extend(self._machine.receive(data))
            except ProtocolError as error:
                raise Disconnected(str(error)) from None
            if any(isinstance(event, Abort) for event in self._events):
                raise Disconnected("the web server aborted the request")

    def _send_parts(self, data: bytes, last: bool) -> None:
        # Of one size: the usual block of 64 KiB would else be a record of all but one byte, and one of that.
        size = -(-len(data) // -(-len(data) // records.MAX_CONTENT))
        parts = records.parts_of_stream(records.STDOUT, self._id, data, size)
        if last:
            parts.append(self._ending())
        for start in range(0, len(parts), _IOV_MAX):
            self.send_parts(parts[start : start + _IOV_MAX])

    def _send_file(self, fd: int, offset: int, count: int) -> int:
        """The same of a file, whose bytes go from kernel to kernel: ``SendFile``."""
        left = count
        while left:
            size = min(left, _FILE_RECORD)
            self.send(records.HEADER.pack(records.VERSION, records.STDOUT, self._id, size, 0))
            sent = 0
            try:
                sent = self.send_file(fd, offset, size)
            finally:
                if sent < size:
                    # The record has said more: nothing that follows could be told from its content.
                    self.hang_up()
            if sent < size:
                raise Disconnected("the file became shorter while it was sent")
            offset, left = offset + size, left - size
        return count

    def _ending(self) -> bytes:
        return self._stderr.end() + self._closing if self._stderr is not None else self._closing

    def _cut(self, outcome: Outcome) -> None:
        """The app failed behind the head. nginx takes any END_REQUEST and any close for a whole response, so
        the peer is left to miss bytes of a Content-Length, and shown a broken record where there is none.
        """
        ending = records.encode_end(self._id, 1) if outcome.counted else records.INVALID
        with contextlib.suppress(Disconnected):
            self.send(ending)

    def _refuse(self, error: ProtocolError, thread: int) -> Optional[Lingering]:
        """A request whose parameters have begun can be answered; anything else can only be hung up on."""
        number = self._machine.request_id
        report(f"{error} -- " + (f"answered with {error.status}" if number else "connection closed"))
        if number:
            self._id = number
            self._stderr = None
            self._service.tally.begin(thread)
            self._service.tally.end(thread, False)
            with contextlib.suppress(Disconnected):
                self._send(b"".join(error_page(LINE, error.status)), True)
        return part(self, None)
