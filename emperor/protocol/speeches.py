"""One request as bytes, and the bytes that come back as a CGI response: the web server's side of every protocol.

It promises: body and answer are streams, in bounded pieces, of which nothing but a head is kept; it touches no socket.
What is wrong with an answer is an ``AnswerError``, one line that says what "it", the server, did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Callable

from emperor.errors import EmperorError, ProtocolError
from emperor.protocol import cgi, fastcgi, uwsgi
from emperor.protocol.http import ClientExchange

__all__ = [
    "SPEECHES", "AnswerError", "Decode", "Params", "Report", "fastcgi_request", "fastcgi_response", "split_head",
    "uwsgi_request",
]  # fmt: skip

HEAD_LIMIT = 65536
"""Bytes of a response head; nginx allows 4 or 8 KiB by default."""

Params = Iterable[tuple[str, str]]
Report = Callable[[str], None]
Decode = Callable[[Iterator[bytes], Report], Iterator[bytes]]
"""From what the server sends to a CGI response: a head, then the body. ``Report`` gets its error output."""


class AnswerError(EmperorError):
    """The server did not answer as it should. ``status``: 502 it failed, 504 it took too long."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


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
                raise AnswerError(f"it refused the request: FastCGI protocol status {event.protocol_status}")
            else:
                return
    raise AnswerError("it closed the connection before the end of its answer")


def _events(response: fastcgi.ClientResponse, chunk: bytes) -> Sequence[fastcgi.Event]:
    try:
        return response.receive(chunk)
    except ProtocolError as error:
        raise AnswerError(f"its answer makes no sense: {error}") from error


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
                raise AnswerError(f"its answer makes no sense: {error}") from error
            if exchange.begun:
                raise AnswerError("it closed the connection before the end of its answer") from error
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
    """The response's head, and the first bytes of its body. Raises AnswerError."""
    data = b""
    for chunk in chunks:
        data += chunk
        try:
            head = cgi.parse_head(data, len(data) - len(chunk))
        except ProtocolError as error:
            raise AnswerError(f"its answer makes no sense: {error}") from error
        if head is not None and head.status < 200:
            raise AnswerError(f"its answer makes no sense: status {head.status}")
        if head is not None:
            return head, data[head.size :]
        if len(data) > HEAD_LIMIT:
            raise AnswerError(f"its headers are longer than {HEAD_LIMIT} bytes")
    raise AnswerError("it closed the connection without an answer" + (" (not even its headers)" if data else ""))
