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
from emperor.serving.lingering import Lingering, part
from emperor.serving.settings import Settings, Tally, report
from emperor.wsgi.body import Body, Disconnected
from emperor.wsgi.environ import content_length
from emperor.wsgi.gateway import Gateway
from emperor.wsgi.response import error_page

__all__ = ["LINE", "UwsgiPeer"]

LINE = "HTTP/1.1 "


class UwsgiPeer:
    """``deadline`` (monotonic) is when its packet must be whole; uwsgi has no idle connections."""

    __slots__ = ("_ahead", "_gateway", "_settings", "_tally", "connection", "deadline")

    def __init__(self, connection: Connection, gateway: Gateway, settings: Settings, tally: Tally) -> None:
        self.connection = connection
        self._gateway = gateway
        self._settings = settings
        self._tally = tally
        self._ahead = b""
        self.deadline: Optional[float] = None

    def advance(self, thread: int, draining: bool) -> Union[UwsgiPeer, Lingering, None]:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        connection = self.connection
        try:
            data = connection.receive_now()
        except Disconnected:
            data = b""
        if not data:
            return self._wait_or_close(data)
        if self._ahead:
            data = self._ahead + data
        body: Optional[Body] = None
        try:
            parsed = parse_request(data, self._settings.buffer_size)
            if parsed is None:
                return self._wait(data)
            params, size = parsed
            environ = self._gateway.environ_of(params.fields, params.displaced)
            if environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ:
                self._ahead = data[size:]
                body = self._body(environ)
        except ProtocolError as error:
            return self._refuse(error, thread)
        tally = self._tally
        tally.begin(thread, f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI') or environ['PATH_INFO']}")
        failed = True
        try:
            failed = self._gateway.respond(environ, connection.send, connection.send_file).failed
        finally:
            tally.end(thread, failed)
        if body is None:
            connection.close()
            return None
        unread = body.remaining
        return part(connection, max(0, unread - len(self._ahead)) if unread else unread)

    def _wait(self, data: bytes) -> UwsgiPeer:
        self._ahead = data
        # Only a connection that is to be waited for needs the time.
        if self.deadline is None:
            self.deadline = time.monotonic() + self._settings.header_seconds
        return self

    def _wait_or_close(self, data: Optional[bytes]) -> Optional[UwsgiPeer]:
        if data is None:
            return self._wait(self._ahead)
        self.connection.close()
        return None

    def _body(self, environ: dict[str, Any]) -> Optional[Body]:
        length = content_length(environ)
        if length is None:
            # No web server's uwsgi speaks of a body without a length, but for a chunked one: it ends with the
            # stream.
            if "HTTP_TRANSFER_ENCODING" not in environ:
                return None
        elif length == 0:
            return None
        limit = self._settings.limit_post
        if length is not None and limit and length > limit:
            raise ProtocolError(f"request: a body of {length} bytes, the limit (limit-post) is {limit}", 413)
        body = environ["wsgi.input"] = Body(self._more, length, limit)
        return body

    def _more(self) -> bytes:
        data = self._ahead
        if data:
            self._ahead = b""
            return data
        return self.connection.receive()

    def _refuse(self, error: ProtocolError, thread: int) -> Optional[Lingering]:
        report(f"{error} -- answered with {error.status}")
        self._tally.begin(thread, "")
        self._tally.end(thread, False)
        try:
            self.connection.send(b"".join(error_page(LINE, error.status)))
        except Disconnected:
            self.connection.close()
            return None
        return part(self.connection, None)
