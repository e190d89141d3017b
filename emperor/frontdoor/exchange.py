"""One request and its response over one connection to a vassal: sockets and deadlines.

It promises: body and response stream, each in bounded pieces, in both directions at once, so that an app
which answers while it reads cannot lock up; nobody waits longer than ``give_up`` allows.
Errors: VassalError, with the HTTP status that says whose fault it was.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Optional

from emperor.errors import EmperorError, ProtocolError
from emperor.frontdoor.routing import parse_address
from emperor.protocol import cgi, fastcgi, uwsgi
from emperor.protocol.http import ClientExchange

CHUNK = 65536
HEAD_LIMIT = 65536
"""Bytes of a response head; nginx allows 4 or 8 KiB by default."""
_SLICE_MILLISECONDS = 250

GiveUp = Callable[[float], Optional["VassalError"]]
Params = Iterable[tuple[str, str]]
Report = Callable[[str], None]
Decode = Callable[[Iterator[bytes], Report], Iterator[bytes]]
"""From what the vassal sends to a CGI response: a head, then the body. ``Report`` gets its error output."""


class VassalError(EmperorError):
    """The vassal did not answer as it should. ``status``: 502 it failed, 504 it took too long."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


def connect(address: str, seconds: float) -> socket.socket:
    """A connection to ``address``; ``seconds``: how long a full backlog may block. Raises VassalError."""
    try:
        target = parse_address(address)
    except ValueError as error:
        raise VassalError(str(error)) from error
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    if not isinstance(target, str) and ":" in target[0]:
        family = socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    # unix(7): a full backlog blocks a blocking connect for SO_SNDTIMEO, but fails a non-blocking one at once
    # with EAGAIN, and settimeout() would make it non-blocking.
    timeout = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        connection.connect(target)
    except BlockingIOError as error:
        connection.close()
        raise VassalError(f"its backlog stayed full for {seconds:g} s", 504) from error
    except OSError as error:
        connection.close()
        raise VassalError(f"connect: {error.strerror or error}") from error
    connection.setblocking(False)
    return connection


def converse(connection: socket.socket, outgoing: Iterator[bytes], give_up: GiveUp) -> Iterator[bytes]:
    """Send all of ``outgoing``, yield what comes back until the peer closes.

    ``give_up`` hears about four times a second how many seconds nothing has moved; the error it returns is
    raised. A peer that no longer reads may still answer (413, say), so a failed send only ends the sending.
    """
    poller = select.poll()
    pending, sending, moved_at = memoryview(b""), True, time.monotonic()
    while True:
        if sending and not pending:
            pending = memoryview(next(outgoing, b""))
            sending = bool(pending)
            moved_at = time.monotonic()
        poller.register(connection, select.POLLIN | (select.POLLOUT if pending else 0))
        events = sum(event for _, event in poller.poll(_SLICE_MILLISECONDS))
        if events & ~select.POLLOUT:
            data = _receive(connection)
            if not data:
                return
            yield data
            moved_at = time.monotonic()
        elif events:
            sent = _send(connection, pending)
            pending, sending = (memoryview(b""), False) if sent is None else (pending[sent:], sending)
            moved_at = time.monotonic()
        error = give_up(time.monotonic() - moved_at)
        if error:
            raise error


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK)
    except OSError as error:
        raise VassalError(f"its answer broke off: {error.strerror}") from error


def _send(connection: socket.socket, data: memoryview) -> Optional[int]:
    """How many bytes went out; None: the peer takes no more."""
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None


def uwsgi_request(params: Params, body: Iterator[bytes]) -> Iterator[bytes]:
    """Raises ProtocolError at once, not while the request is being sent; so does ``fastcgi_request``."""
    return chain((uwsgi.encode_request(params),), body)


def fastcgi_request(params: Params, body: Iterator[bytes]) -> Iterator[bytes]:
    end = (fastcgi.encode_stdin(b""),)
    return chain((fastcgi.encode_begin(params),), map(fastcgi.encode_stdin, body), end)


def fastcgi_response(chunks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    """The STDOUT stream. FastCGI section 5.5: only END_REQUEST makes it whole; STDERR goes to ``report``."""
    response = fastcgi.ClientResponse()
    for chunk in chunks:
        for event in _events(response, chunk):
            if isinstance(event, fastcgi.Stdout):
                yield event.data
            elif isinstance(event, fastcgi.Stderr):
                report(event.data.decode("utf-8", "replace"))
            elif event.protocol_status:
                raise VassalError(f"it refused the request: FastCGI protocol status {event.protocol_status}")
            else:
                return
    raise VassalError("it closed the connection before the end of its answer")


def _events(response: fastcgi.ClientResponse, chunk: bytes) -> Sequence[fastcgi.Event]:
    try:
        return response.receive(chunk)
    except ProtocolError as error:
        raise VassalError(f"its answer makes no sense: {error}") from error


def uwsgi_response(chunks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    """uwsgi has no frame around the answer: it ends where the connection does."""
    return chunks


def http_response(exchange: ClientExchange, chunks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    """The response without its framing (RFC 9112 section 6.3), which says whether it is whole."""
    for chunk in chain(chunks, (b"",)):
        try:
            data = exchange.receive(chunk)
        except ProtocolError as error:
            if chunk:
                raise VassalError(f"its answer makes no sense: {error}") from error
            if exchange.begun:
                raise VassalError("it closed the connection before the end of its answer") from error
            return
        if data:
            yield data
        if exchange.ended:
            return


def _speak_uwsgi(params: Params, body: Iterator[bytes]) -> tuple[Iterator[bytes], Decode]:
    return uwsgi_request(params, body), uwsgi_response


def _speak_fastcgi(params: Params, body: Iterator[bytes]) -> tuple[Iterator[bytes], Decode]:
    return fastcgi_request(params, body), fastcgi_response


def _speak_http(params: Params, body: Iterator[bytes]) -> tuple[Iterator[bytes], Decode]:
    exchange = ClientExchange(params)
    return chain((exchange.head,), body), partial(http_response, exchange)


SPEECHES = {"uwsgi": _speak_uwsgi, "fastcgi": _speak_fastcgi, "http": _speak_http}
"""What to send for a request, and how to read what comes back. Raise ProtocolError for what cannot be said."""


def split_head(chunks: Iterator[bytes]) -> tuple[cgi.Head, bytes]:
    """The response's head, and the first bytes of its body. Raises VassalError."""
    data = b""
    for chunk in chunks:
        data += chunk
        try:
            head = cgi.parse_head(data, len(data) - len(chunk))
        except ProtocolError as error:
            raise VassalError(f"its answer makes no sense: {error}") from error
        if head is not None and head.status < 200:
            raise VassalError(f"its answer makes no sense: status {head.status}")
        if head is not None:
            return head, data[head.size :]
        if len(data) > HEAD_LIMIT:
            raise VassalError(f"its headers are longer than {HEAD_LIMIT} bytes")
    raise VassalError("it closed the connection without an answer" + (" (not even its headers)" if data else ""))
