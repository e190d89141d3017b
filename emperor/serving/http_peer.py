"""A connection that speaks HTTP: one request after another while the client keeps it open.

It promises: ``advance`` never waits for a head, only (with a deadline) for the body that the app reads and for the
peer to take the answer; a client that lets too long a time pass is closed; a response cut short ends without its
proper end, and where HTTP/1.0 has no such end, with a reset (a Unix socket has no reset either: there it looks whole).
It needs h11: ``require`` says so where it is missing.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol.cgi import parse_head
from emperor.protocol.http import ServerMachine, require
from emperor.protocol.variables import Request, variables
from emperor.serving.connection import Connection
from emperor.serving.limited import limited
from emperor.serving.lingering import Lingering, part
from emperor.serving.service import Service
from emperor.serving.settings import report
from emperor.wsgi.body import EMPTY, Body, Disconnected
from emperor.wsgi.gateway import Outcome
from emperor.wsgi.response import error_page

__all__ = ["LINE", "HttpPeer", "require"]

LINE = "HTTP/1.1 "

# What the gateway makes of an app that passes on what ``wsgi.input`` raised.
_FAILED = b"".join(error_page(LINE, 500))
_LOST = Outcome(True, True, False)

Watched = Union["HttpPeer", Lingering, None]


class HttpPeer(Connection):
    """``deadline`` (monotonic): when the head must be whole or, ``idle`` between requests, when one must begin; None
    only before the first wait. ``_fault``: the status for what the client did wrong in the body, 0 for nothing.
    ``_missed``: something of the response could not be sent.
    """

    __slots__ = (
        "_addresses", "_closing", "_fault", "_machine", "_missed", "_number", "_service", "_started",
        "idle",
    )  # fmt: skip

    def __init__(self, fd: int, service: Service) -> None:
        super().__init__(fd, service.settings.patience)
        self._service = service
        self._machine = ServerMachine(service.settings.buffer_size)
        self._addresses: Optional[list[tuple[str, str]]] = None
        self._closing = self._missed = self._started = False
        self._fault = self._number = 0
        self.idle = False

    def advance(self, thread: int, draining: bool) -> Watched:
        """Read what is there; serve every request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.receive_now()
            if data is None:
                return self._wait(False)
            if data:
                return self._handle(data, thread, draining)
        except Disconnected:
            pass
        except ProtocolError as error:
            return self._refuse(error, thread)
        self.close()
        return None

    def _handle(self, data: bytes, thread: int, draining: bool) -> Watched:
        request = self._machine.receive(data)
        served = request is not None
        while request is not None:
            keep, watched = self._answer(request, thread, draining)
            if not keep:
                return watched
            request = self._machine.receive(b"")
        return self._wait(served)

    def _wait(self, served: bool) -> HttpPeer:
        """For the rest of a head, or for another one. Each has its time, which no further byte prolongs."""
        partial = self._machine.partial
        if served or self.deadline is None or (self.idle and partial):
            self.deadline = time.monotonic() + self._service.settings.header_seconds
            self.excused = False
        self.idle = (served or self.idle) and not partial
        return self

    def _answer(self, request: Request, thread: int, draining: bool) -> tuple[bool, Optional[Lingering]]:
        """Serve it. True: the connection is kept, else what is left of it is to be watched."""
        self._closing, self._started, self._fault, self._missed = draining, False, 0, False
        self._number += 1
        outcome = _LOST
        self._service.tally.begin(thread, f"{request.method} {request.target}")
        try:
            outcome = self._serve(request)
        finally:
            self._service.tally.end(thread, outcome.failed)
        machine = self._machine
        whole, cut = machine.whole, outcome.cut or machine.cut or self._missed
        if cut and machine.bare:
            self.close()
            return False, None
        if machine.next() and not (cut or self._closing):
            return True, None
        return False, part(self, 0 if whole and not machine.partial else None)

    def _serve(self, request: Request) -> Outcome:
        try:
            environ = self._environ(request)
            environ["wsgi.input"] = self._body(environ)
        except ProtocolError as error:
            report(f"{error} -- answered with {error.status}")
            self._send_page(error.status)
            return Outcome(False, False, True)
        return self._service.gateway.respond(environ, limited(environ, self._send, LINE))

    # --- the request ---

    def _environ(self, request: Request) -> dict[str, Any]:
        names, values = variables(request)
        if self._addresses is None:
            self._addresses = list(_addresses(self.fd))
        for name, value in self._addresses:
            names.append(name)
            values.append(value)
        return self._service.gateway.environ(names, values)

    def _body(self, environ: dict[str, Any]) -> Body:
        length = self._service.length(environ)
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            return EMPTY
        return Body(functools.partial(self._more, self._number), length, self._service.settings.limit_post)

    def _more(self, number: int) -> bytes:
        """The next piece of the body. ``number``: of which request. An app may keep it for longer than that."""
        if number != self._number or self.fd < 0:
            raise Disconnected("request body: its request is over")
        try:
            return self._piece()
        except ProtocolError as error:
            self._fault = error.status
            raise Disconnected(str(error)) from None
        except Disconnected:
            # Silent for too long, if it can be told at all.
            self._fault = 408
            raise

    def _piece(self) -> bytes:
        machine = self._machine
        while True:
            piece = machine.piece()
            if piece is not None:
                return piece
            interim = machine.go_on()
            if interim:
                self.send(interim)
            data = self.receive()
            if not data:
                raise ProtocolError("request body: the connection ends before it")
            machine.feed(data)

    # --- the response ---

    def _send(self, data: bytes, last: bool) -> None:
        """The head is the first bytes of the first call."""
        machine = self._machine
        out = b""
        if not self._started:
            self._started = True
            if self._fault and data == _FAILED:
                # RFC 9112 section 2.2: whose fault it is, the client hears.
                data = b"".join(error_page(LINE, self._fault))
            head = parse_head(data)
            assert head is not None
            # Behind a body that nobody reads, no request can be found.
            self._closing = self._closing or not machine.whole
            said = {name.lower() for name, _ in head.headers}
            ours = [pair for pair in (("Date", formatdate(usegmt=True)), ("Server", "mini-emperor"))
                    if pair[0].lower() not in said]  # fmt: skip
            out = machine.start(head._replace(headers=(*ours, *head.headers)), self._closing)
            data = data[head.size :]
            if machine.bare:
                self._reset_at_close(True)
        out += machine.data(data)
        if last:
            out += machine.finish()
        try:
            self.send(out)
        except Disconnected:
            self._missed = True
            raise
        if last and machine.bare and not self._missed:
            self._reset_at_close(False)

    def _send_page(self, status: int) -> None:
        self._closing = True
        with contextlib.suppress(Disconnected):
            self._send(b"".join(error_page(LINE, status)), True)

    def _refuse(self, error: ProtocolError, thread: int) -> Optional[Lingering]:
        """What could not become a request."""
        report(f"{error} -- answered with {error.status}")
        self._started = False
        self._service.tally.begin(thread)
        self._service.tally.end(thread, False)
        self._send_page(error.status)
        return part(self, None)

    def _reset_at_close(self, on: bool) -> None:
        """Said beforehand, it holds for a worker that is killed as well (socket(7), SO_LINGER)."""
        view = socket.socket(fileno=self.fd)
        with contextlib.suppress(OSError):
            view.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))
        view.detach()


def _addresses(fd: int) -> Iterator[tuple[str, str]]:
    """Who asked, and where. A Unix socket has no addresses: REMOTE_ADDR is empty then, not this machine's, which some
    apps trust.
    """
    view = socket.socket(fileno=fd)
    try:
        if view.family == socket.AF_UNIX:
            yield "REMOTE_ADDR", ""
            return
        here, there = view.getsockname(), view.getpeername()
    except OSError:
        raise Disconnected() from None
    finally:
        view.detach()
    yield from (("REMOTE_ADDR", there[0]), ("REMOTE_PORT", str(there[1])), ("SERVER_PORT", str(here[1])))
    # RFC 3875 section 4.1.14: an IPv6 address stands in brackets, as in a URL.
    yield "SERVER_NAME", f"[{here[0]}]" if ":" in here[0] else here[0]
