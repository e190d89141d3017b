"""What is ours within flup: one request from its parameters to its end, and a connection's deadlines.

It promises: parameters are read as one stream, whatever records they come in; the app is called by the same gateway
as in the native engine; a response that was cut short does not look whole. It never waits without an end, but for the
next request of a connection that the web server keeps. flup's classes are handed in: this module imports none of it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any, NamedTuple, Optional, Protocol

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.params import Params
from emperor.serving.lingering import DRAIN_LIMIT
from emperor.serving.settings import Settings, report
from emperor.wsgi.body import Body, Disconnected
from emperor.wsgi.environ import adopt, content_length
from emperor.wsgi.errors import ErrorStream
from emperor.wsgi.gateway import Gateway, Outcome
from emperor.wsgi.response import error_page

__all__ = ["LINE", "PIECE", "Draining", "Turns", "connection_class", "request_class"]

LINE = "Status: "
PIECE = 65528
"""Bytes of a record's content: the most that need no padding."""

_STEP_SECONDS = 0.5
_LINGER_SECONDS = 5.0


class Turns(Protocol):
    """Lets so many requests into the app at once. ``request``: in words, for the tally."""

    def enter(self, request: str) -> int: ...

    def leave(self, number: int, failed: bool) -> None: ...


class Draining(Protocol):
    """What a connection asks its server."""

    @property
    def draining(self) -> bool: ...

    @property
    def patience_is_over(self) -> bool: ...


class _Exchange(NamedTuple):
    """One request of flup's and what answers it."""

    request: Any
    gateway: Gateway
    settings: Settings

    def answer(self, turns: Turns) -> Outcome:
        """Waits for its turn. Never raises."""
        environ: dict[str, Any] = {}
        refusal: Optional[ProtocolError] = None
        try:
            environ = adopt(*self._params(), self.gateway.own)
            environ["wsgi.input"] = self._body(environ)
        except ProtocolError as error:
            refusal = error
        asked = environ.get("REQUEST_URI") or environ.get("PATH_INFO")
        number = turns.enter("" if refusal else f"{environ['REQUEST_METHOD']} {asked}")
        outcome = Outcome(True, True, False)
        try:
            outcome = self._respond(environ) if refusal is None else self._refuse(refusal)
        finally:
            turns.leave(number, outcome.failed)
        return outcome

    def _respond(self, environ: dict[str, Any]) -> Outcome:
        if self.settings.stderr:
            environ["wsgi.errors"] = ErrorStream(self.gateway.errors, self.request.stderr.write)
        return self.gateway.respond(environ, self.send)

    def _refuse(self, refusal: ProtocolError) -> Outcome:
        report(f"{refusal} -- answered with {refusal.status}")
        with contextlib.suppress(Disconnected):
            self.send(b"".join(error_page(LINE, refusal.status)), True)
        return Outcome(False, False, True)

    def send(self, data: bytes, last: bool) -> None:
        """In pieces: flup copies what is left of a block for every record of it."""
        try:
            for start in range(0, len(data), PIECE):
                self.request.stdout.write(data[start : start + PIECE])
        except OSError:
            raise Disconnected() from None

    def end(self, outcome: Outcome) -> None:
        """flup's own marks every request as if its response were whole. Raises ``EOFError`` to hang up."""
        try:
            if not outcome.cut:
                self.request._flush()
                self.request._end()
                return
            # As the native engine: the web server is to miss bytes of a Content-Length, or sees a broken record.
            ending = records.encode_end(self.request.requestId, 1) if outcome.counted else records.INVALID
            self.request._conn._sock.sendall(ending)
        except OSError:
            raise EOFError from None
        raise EOFError

    def _params(self) -> Params:
        if self.request.size > self.settings.buffer_size:
            raise ProtocolError("fastcgi: more bytes of parameters than buffer-size allows", 431)
        return records.decode_pairs(b"".join(self.request.pieces))

    def _body(self, environ: dict[str, Any]) -> Body:
        length, limit = content_length(environ), self.settings.limit_post
        if length and limit and length > limit:
            raise ProtocolError(f"request: a body of {length} bytes, the limit (limit-post) is {limit}", 413)
        return Body(lambda: self.request.stdin.next(self.request), length, limit)


def request_class(flup: Any, gateway: Gateway, settings: Settings, turns: Turns) -> Any:
    class Request(flup.Request):  # type: ignore[misc]  # flup has no types
        size = 0
        runs = False

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.pieces: list[bytes] = []

        def run(self) -> None:
            if self.role != flup.FCGI_RESPONDER:
                return self._end(0, flup.FCGI_UNKNOWN_ROLE)  # type: ignore[no-any-return]  # it is None
            self.runs = True
            self._conn._sock.settimeout(settings.patience)
            exchange = _Exchange(self, gateway, settings)
            return exchange.end(exchange.answer(turns))

    return Request


class _Stdin:
    """In the place of flup's stream, whose lines cost the square of their length."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._ended = False

    def add_data(self, data: bytes) -> None:
        """Called by flup; b"" is the end of the stream."""
        self._pieces.append(data)

    def next(self, request: Any) -> bytes:
        """The next piece, b"" at the end of the stream. Raises ``Disconnected``."""
        while not (self._pieces or self._ended):
            try:
                self._connection.process_input()
            except (EOFError, OSError):
                raise Disconnected("request body: the connection ends, or is silent, before it") from None
            if request.aborted:
                raise Disconnected("the web server aborted the request")
        piece = self._pieces.pop(0) if self._pieces else b""
        self._ended = self._ended or not piece
        return piece


class _Socket:
    """A socket whose ``recv`` waits until ``due`` (monotonic) at most, however often it is called.

    flup reads a record with as many calls as it comes in pieces, and has no deadline at all.
    """

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.due: Optional[float] = None

    def recv(self, size: int) -> bytes:
        if self.due is not None:
            left = self.due - time.monotonic()
            if left <= 0:
                raise TimeoutError("the request is not whole in time")
            self._real.settimeout(left)
        return self._real.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def connection_class(flup: Any, server: Draining, settings: Settings) -> Any:
    class Connection(flup.Connection):  # type: ignore[misc]  # flup has no types
        _inputStreamClass = _Stdin
        kept = False

        def __init__(self, sock: socket.socket, *arguments: Any) -> None:
            super().__init__(_Socket(sock), *arguments)

        def process_input(self) -> None:
            _await_more(self, server, settings)
            super().process_input()

        def _cleanupSocket(self) -> None:
            _hang_up(self._sock)

        def _do_params(self, record: Any) -> None:
            request = self._requests.get(record.requestId)
            if request is None:
                return None
            if record.contentLength:
                return _collect(request, record, settings.buffer_size)
            if server.draining:
                request.flags &= ~flup.FCGI_KEEP_CONN
            self.kept = True
            return self._start_request(request)  # type: ignore[no-any-return]  # it is None

    return Connection


def _collect(request: Any, record: Any, limit: int) -> None:
    """A pair may lie in two records: flup would take its rest for new ones. Beyond the limit nothing is kept."""
    request.size += record.contentLength
    if request.size <= limit:
        request.pieces.append(record.contentData)


def _await_more(connection: Any, server: Draining, settings: Settings) -> None:
    """Of a body, of a head, or the next request of a kept connection."""
    sock: _Socket = connection._sock
    requests = connection._requests
    if any(request.runs for request in requests.values()):
        sock.due = None
        sock.settimeout(settings.patience)
        _await_record(sock, settings.patience)
        return
    if connection.kept and not requests:
        sock.due = None
        _await_request(sock, server)
    sock.due = sock.due or time.monotonic() + settings.header_seconds
    _await_record(sock, sock.due - time.monotonic())


def _await_record(connection: Any, seconds: float) -> None:
    if not select.select([connection], [], [], max(0.0, seconds))[0]:
        raise EOFError


def _await_request(connection: Any, server: Draining) -> None:
    """The next one of a kept connection."""
    while not select.select([connection], [], [], _STEP_SECONDS)[0]:
        if server.patience_is_over:
            raise EOFError


def _hang_up(connection: Any) -> None:
    """flup's own waits for ever on a peer that stays. What it still sends must be read, or the answer is lost."""
    left, end = DRAIN_LIMIT, time.monotonic() + _LINGER_SECONDS
    with contextlib.suppress(OSError, ValueError):
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and time.monotonic() < end and select.select([connection], [], [], _STEP_SECONDS)[0]:
            data = connection.recv(65536)
            left -= len(data) or left
    connection.close()
