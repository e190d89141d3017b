"""A connection that speaks uwsgi: one request, one answer, close.

It promises: ``advance`` never waits for the packet, only (with a deadline) for the body that the app reads
and for the peer to take the answer. What is no request is answered, if it can be, and costs nobody else
anything.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol.params import Params
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
    """``deadline`` (monotonic) is when its packet must be whole; uwsgi has no idle connections (None)."""

    __slots__ = ("_ahead", "_gateway", "_settings", "_tally", "connection", "deadline")

    def __init__(self, connection: Connection, gateway: Gateway, settings: Settings, tally: Tally, now: float) -> None:
        self.connection = connection
        self._gateway = gateway
        self._settings = settings
        self._tally = tally
        self._ahead = b""
        self.deadline: Optional[float] = now + settings.header_seconds

    def advance(self, thread: int, draining: bool) -> Union[UwsgiPeer, Lingering, None]:
        """Read what is there; serve a request that is whole. What is returned is to be watched; None: closed."""
        try:
            data = self.connection.receive_now()
        except Disconnected:
            data = b""
        if data is None:
            return self
        if not data:
            self.connection.close()
            return None
        if self._ahead:
            data = self._ahead + data
        try:
            parsed = parse_request(data, self._settings.buffer_size)
        except ProtocolError as error:
            return self._refuse(error)
        if parsed is None:
            self._ahead = data
            return self
        params, size = parsed
        self._ahead = data[size:]
        self._tally.begin(thread)
        failed = True
        try:
            failed, left = self._serve(params)
        finally:
            self._tally.end(thread, failed)
        return left

    def _serve(self, params: Params) -> tuple[bool, Optional[Lingering]]:
        try:
            environ = self._gateway.environ(params.names, params.values)
            body = self._body(environ)
        except ProtocolError as error:
            return False, self._refuse(error)
        if body is not None:
            environ["wsgi.input"] = body
        outcome = self._gateway.respond(environ, self._send)
        unread = 0 if body is None else body.remaining
        if unread:
            unread = max(0, unread - len(self._ahead))
        return outcome.failed, part(self.connection, unread)

    def _body(self, environ: dict[str, Any]) -> Optional[Body]:
        length = content_length(environ)
        limit = self._settings.limit_post
        if length is None:
            # No web server's uwsgi speaks of a body without a length, but for a chunked one: it ends with the
            # stream.
            if "HTTP_TRANSFER_ENCODING" not in environ:
                return None
        elif length == 0:
            return None
        elif limit and length > limit:
            raise ProtocolError(f"request: a body of {length} bytes, the limit (limit-post) is {limit}", 413)
        return Body(self._more, length, limit)

    def _more(self) -> bytes:
        data = self._ahead
        if data:
            self._ahead = b""
            return data
        return self.connection.receive()

    def _send(self, data: bytes, last: bool) -> None:
        if data:
            self.connection.send(data)

    def _refuse(self, error: ProtocolError) -> Optional[Lingering]:
        report(f"{error} -- answered with {error.status}")
        try:
            self.connection.send(b"".join(error_page(LINE, error.status)))
        except Disconnected:
            self.connection.close()
            return None
        return part(self.connection, None)
