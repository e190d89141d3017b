"""HTTP/1.1 by way of h11, in both roles: bytes to requests and responses, and back.

It promises: the same values or the same ``ProtocolError`` wherever the bytes are split; what is held is a head, or
the pieces of what was handed in last; what two readers could frame differently is refused (RFC 9112 section 11.2).
It never touches a socket or a clock. The only module that imports h11, which a virtualenv may lack.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Optional

from emperor.errors import EmperorError, ProtocolError
from emperor.protocol.cgi import HEAD_LIMIT, Head
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.variables import Request, fields, target

try:
    import h11
except ImportError:
    # Whoever needs it asks ``require`` first, which says what is missing.
    h11 = None  # type: ignore[assignment]  # a module to mypy

__all__ = ["ClientExchange", "ServerMachine", "require"]

_END = re.compile(rb"\n\r?\n")
_LINE_LIMIT = 16384
"""Bytes of a chunk's line, or of trailers: h11's own default."""
_TRAILERS = 8192
"""Bytes of trailers, without blanks."""
_BLANKS = bytes.maketrans(b"\x0b\x0c", b"  ")


def require() -> None:
    """Raises ``EmperorError`` where h11 cannot be imported."""
    if h11 is None:
        raise EmperorError("http socket: h11 cannot be imported -- install h11 into the app's virtualenv")


class ServerMachine:
    """The server's side of one connection: request after request, one open at a time.

    ``whole``: the open request's body has come to its end. ``cut``: its response ended before its Content-Length.
    ``bare``: only the end of the connection will end it (RFC 9112 section 6.3, rule 8).
    """

    __slots__ = (
        "_ahead", "_bodiless", "_connection", "_error", "_limit", "_pieces", "_searched", "bare", "cut", "whole",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        """``limit``: bytes of a request's head."""
        self._limit = limit
        self._ahead = bytearray()
        self._searched = 0
        self._renew()

    def _renew(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LINE_LIMIT)
        self._pieces: deque[bytes] = deque()
        self._error: Optional[ProtocolError] = None
        self._bodiless = self.whole = self.cut = self.bare = False

    @property
    def partial(self) -> bool:
        """Has a request begun that is not whole?"""
        return bool(self._ahead)

    def receive(self, data: bytes) -> Optional[Request]:
        """The next request, once its head is whole; not while another one is open.

        Raises ``ProtocolError``: 431 for a head beyond the limit, or of too many fields, 501 for an unknown transfer
        coding, 505 for another version, else 400. Then the refusal may be sent as a response, and no more be received.
        """
        self._ahead += data
        start, end = self._head()
        if not end:
            return None
        head = bytes(self._ahead[start:end])
        rest = bytes(self._ahead[end:])
        self._ahead.clear()
        self._searched = 0
        request = self._request(head)
        self.feed(rest)
        return request

    def _head(self) -> tuple[int, int]:
        """Where the head begins and ends; end 0: more is needed. One empty line before it is nothing (RFC 9112
        section 2.2).
        """
        ahead = self._ahead
        start = 2 if ahead.startswith(b"\r\n") else 0
        if len(ahead) > start and ahead[start] <= 0x20 and ahead != b"\r":
            # Without this, a client that speaks TLS would wait for the header deadline.
            raise ProtocolError("request: it does not begin as HTTP does")
        match = _END.search(ahead, max(start, self._searched - 2))
        self._searched = len(ahead)
        end = match.end() if match else 0
        if (end or len(ahead)) > self._limit:
            raise ProtocolError(f"request head: longer than {self._limit} bytes, the limit (buffer-size)", 431)
        return start, end

    def _request(self, head: bytes) -> Request:
        try:
            self._connection.receive_data(head)
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise _refusal(error, "request")
        assert isinstance(event, h11.Request)
        version = event.http_version
        self._bodiless = event.method == b"HEAD"
        if not version.startswith(b"1."):
            raise ProtocolError("request: a version of HTTP that is not spoken here", 505)
        if len(event.headers) > MAX_PAIRS:
            raise ProtocolError(f"request head: more than {MAX_PAIRS} header fields", 431)
        names = [name for name, _ in event.headers]
        if b"transfer-encoding" in names and (b"content-length" in names or version == b"1.0"):
            raise ProtocolError("request: its body can be framed in two ways")
        return Request(
            event.method.decode("latin-1"),
            event.target.decode("latin-1"),
            "HTTP/1.0" if version == b"1.0" else "HTTP/1.1",
            _decoded(event.headers),
        )

    # --- the body ---

    def feed(self, data: bytes) -> None:
        """What came of the open request's body, and perhaps of the request behind it."""
        if data:
            self._connection.receive_data(data)
        try:
            while not self.whole:
                event = self._connection.next_event()
                if isinstance(event, h11.Data):
                    self._pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    # h11 judges the length of what came in pieces alone.
                    if event.headers and sum(len(name) + len(value) + 4 for name, value in event.headers) > _TRAILERS:
                        raise ProtocolError(f"request body: trailers longer than {_TRAILERS} bytes", 431)
                    self.whole = True
                    self._ahead += self._connection.trailing_data[0]
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._error = _refusal(error, "request body")
        except ProtocolError as error:
            self._error = error

    def piece(self) -> Optional[bytes]:
        """The body's next piece, b"" at its end; None: ``feed`` it. Raises ``ProtocolError`` for a bad chunk."""
        if self._pieces:
            return self._pieces.popleft()
        if self._error is not None:
            raise self._error
        return b"" if self.whole else None

    def go_on(self) -> bytes:
        """What a client waits for before it sends the body (RFC 9110 section 10.1.1); b"" if it does not wait."""
        if not self._connection.they_are_waiting_for_100_continue:
            return b""
        interim = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
        return bytes(self._connection.send(interim))

    # --- the response ---

    def start(self, head: Head, close: bool) -> bytes:
        """The head of the response to the open request, or to what could not become one. ``close``: say that the
        connection ends with it.
        """
        self._bodiless = self._bodiless or head.status in (204, 304)
        headers = [
            (name.encode("latin-1"), value.encode("latin-1").translate(_BLANKS).strip())
            for name, value in head.headers
            # RFC 9110 section 8.6: never in a 204.
            if not (head.status == 204 and name.lower() == "content-length")
        ]
        if close:
            headers.append((b"Connection", b"close"))
        counted = any(name.lower() == b"content-length" for name, _ in headers)
        self.bare = self._connection.their_http_version == b"1.0" and not (self._bodiless or counted)
        reason = head.reason.encode("latin-1")
        return bytes(self._connection.send(h11.Response(status_code=head.status, headers=headers, reason=reason)))

    def data(self, data: bytes) -> bytes:
        """A block of the response's body, framed; nothing where there is no body (HEAD, 204, 304)."""
        if self._bodiless or not data:
            return b""
        return bytes(self._connection.send(h11.Data(data=data)))

    def finish(self) -> bytes:
        """The proper end of the response. ``cut`` instead, if its Content-Length said more."""
        try:
            return bytes(self._connection.send(h11.EndOfMessage()))
        except h11.LocalProtocolError:
            self.cut = True
            return b""

    def next(self) -> bool:
        """The open request is over. May another one follow on the connection? (RFC 9112 section 9.3)"""
        connection = self._connection
        self._renew()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


class ClientExchange:
    """One request to an HTTP server, and its response. ``ended``: the response is whole.

    The request is given as CGI variables, and the response as a CGI response: a status line, headers, the body.
    """

    __slots__ = ("_connection", "begun", "ended", "head")

    def __init__(self, params: Iterable[tuple[str, str]]) -> None:
        """``head``: what to send first; the body's CONTENT_LENGTH bytes follow as they are.

        Raises ``ProtocolError`` for variables that cannot be said in HTTP.
        """
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self.begun = self.ended = False
        named = dict(params)
        method = named.get("REQUEST_METHOD", "GET").encode("latin-1", "replace")
        try:
            request = h11.Request(method=method, target=target(named), headers=fields(named))
            self.head = bytes(self._connection.send(request))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise ProtocolError("request: it cannot be passed on as HTTP") from None

    def receive(self, data: bytes) -> bytes:
        """What came, as bytes of a CGI response; ``data`` b"": the connection is closed. Interim responses are
        skipped. Raises ``ProtocolError`` 502.
        """
        self._connection.receive_data(data)
        parts = []
        try:
            while not self.ended:
                event = self._connection.next_event()
                if isinstance(event, h11.Response):
                    self.begun = True
                    parts.append(_cgi_head(event))
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.ended = True
                elif not isinstance(event, h11.InformationalResponse):
                    break
        except h11.RemoteProtocolError as error:
            raise ProtocolError(f"HTTP response: {_short(error)}", 502) from None
        return b"".join(parts)


def _cgi_head(response: h11.Response) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (response.status_code, response.reason)]
    lines += [b"%s: %s" % field for field in response.headers.raw_items() if field[0].lower() != b"transfer-encoding"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _refusal(error: h11.RemoteProtocolError, subject: str) -> ProtocolError:
    return ProtocolError(f"{subject}: {_short(error)}", error.error_status_hint)


def _short(error: Exception) -> str:
    """h11 quotes what it could not read behind a colon: a cookie, perhaps."""
    return str(error).partition(":")[0]
