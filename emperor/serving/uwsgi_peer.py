"""A connection that speaks uwsgi: one request, one answer, close.

It promises: ``advance`` never waits for the packet, only (with a deadline) for the body that the app reads
and for the peer to take the answer. What is no request is answered, if it can be, and costs nobody else
anything.
"""

from __future__ import annotations

import time
from typing import Any, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol.uwsgi import parse_request
from emperor.serving.connection import Connection
from emperor.serving.limited import limited
from emperor.serving.lingering import Lingering, part
from emperor.serving.service import Service
from emperor.serving.settings import report
from emperor.wsgi.body import Body, Disconnected
from emperor.wsgi.environ import settle
from emperor.wsgi.response import Send, error_page

__all__ = ["LINE", "UwsgiPeer"]

LINE = "HTTP/1.1 "


class UwsgiPeer(Connection):
    """``deadline`` (monotonic) is when its packet must be whole; uwsgi has no idle connections."""

    __slots__ = ("_ahead", "_service")

    def __init__(self, fd: int, service: Service) -> None:
        # What Connection's would do: a call more at each request is dear.
        self.fd = fd
        self.watcher = None
        self.deadline = None
        self._patience = service.settings.patience
        self._service = service
        self._ahead = b""

    def advance(self, thread: int, draining: bool) -> Union[UwsgiPeer, Lingering, None]:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.receive_now()
        except Disconnected:
            data = b""
        if not data:
            return self._wait_or_close(data)
        if self._ahead:
            data = self._ahead + data
        service = self._service
        own = service.gateway.own
        body: Optional[Body] = None
        send: Send = self.send
        try:
            parsed = parse_request(data, service.settings.buffer_size, own.copy())
            if parsed is None:
                return self._wait(data)
            (filled, displaced), size = parsed
            environ = settle(filled, displaced, own)
            if environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ:
                self._ahead = data[size:]
                body = self._body(environ)
                send = limited(environ, send, LINE)
        except ProtocolError as error:
            return self._refuse(error, thread)
        tally = service.tally
        tally.begin(thread, f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI') or environ['PATH_INFO']}")
        failed = True
        try:
            failed = service.gateway.respond(environ, send, self.send_file).failed
        finally:
            tally.end(thread, failed)
        if body is None:
            self.close()
            return None
        unread = body.remaining
        return part(self, max(0, unread - len(self._ahead)) if unread else unread)

    def _wait(self, data: bytes) -> UwsgiPeer:
        self._ahead = data
        # Only a connection that is to be waited for needs the time.
        if self.deadline is None:
            self.deadline = time.monotonic() + self._service.settings.header_seconds
        return self

    def _wait_or_close(self, data: Optional[bytes]) -> Optional[UwsgiPeer]:
        if data is None:
            return self._wait(self._ahead)
        self.close()
        return None

    def _body(self, environ: dict[str, Any]) -> Optional[Body]:
        length = self._service.length(environ)
        if length is None:
            # No web server's uwsgi speaks of a body without a length, but for a chunked one: it ends with the
            # stream.
            if "HTTP_TRANSFER_ENCODING" not in environ:
                return None
        elif length == 0:
            return None
        body = environ["wsgi.input"] = Body(self._more, length, self._service.settings.limit_post)
        return body

    def _more(self) -> bytes:
        data = self._ahead
        if data:
            self._ahead = b""
            return data
        return self.receive()

    def _refuse(self, error: ProtocolError, thread: int) -> Optional[Lingering]:
        report(f"{error} -- answered with {error.status}")
        self._service.tally.begin(thread)
        self._service.tally.end(thread, False)
        try:
            self.send(b"".join(error_page(LINE, error.status)))
        except Disconnected:
            self.close()
            return None
        return part(self, None)
