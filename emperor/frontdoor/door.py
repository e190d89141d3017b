"""The WSGI app of the front door: the list of vassals at ``/``, and every other path passed on to one of
them.

It promises: a request ends in the vassal's answer or in a page that says what failed and what to type next; a
response that breaks off half-way is cut off for the client too, never made to look whole.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Any, Optional
from urllib.parse import quote

from emperor.errors import EmperorError, ProtocolError
from emperor.frontdoor import pages
from emperor.frontdoor.exchange import CHUNK, SPEECHES, VassalError, connect, converse, split_head
from emperor.frontdoor.params import request_params, response_headers
from emperor.frontdoor.routing import DOUBTFUL, DOWN, Moved, Place, Table, parse_length
from emperor.text import printable

PATIENCE = 60.0
"""Seconds without a byte, as nginx's ``fastcgi_read_timeout`` and ``uwsgi_read_timeout`` by default."""
SHORT_PATIENCE = 3.0
"""Seconds for a vassal in BACKOFF: its first restart comes sooner, and nobody stares at a blank page."""
_IN_MEMORY, _ON_DISK = 1 << 20, 1 << 30

RESOURCES = "emperor.resources"
"""In the environ: an ExitStack that the HTTP server closes when the request is over, however it ended.

PEP 3333 has ``close()`` of the iterable for this; werkzeug's server forgets it when the client resets the connection.
"""

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
_STATUS = {
    400: "400 Bad Request",
    413: "413 Content Too Large",
    431: "431 Request Header Fields Too Large",
    501: "501 Not Implemented",
    502: "502 Bad Gateway",
    504: "504 Gateway Timeout",
}


class RequestError(EmperorError):
    """The client's request cannot be passed on. ``status``: the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class InFlight:
    """How many requests are between their first and their last byte."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, seconds: float) -> bool:
        """True as soon as there is none, False after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, seconds)


class Door:
    """``table`` is replaced as a whole by the thread that hears the emperor; requests only read it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.table = Table()
        self.in_flight = InFlight()
        self._patience = patience

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in ("", "/"):
            return _page(environ, start_response, "200 OK", pages.listing(self.table))
        found = self.table.find(path)
        if isinstance(found, Place):
            return self._forward(environ, start_response, found)
        if isinstance(found, Moved):
            return _redirect(environ, start_response, found)
        return _page(environ, start_response, "404 Not Found", pages.not_found(path))

    def _forward(self, environ: Environ, start_response: StartResponse, place: Place) -> Iterable[bytes]:
        name = place.vassal.name
        try:
            return self._converse(environ, start_response, place)
        except RequestError as error:
            status = _STATUS[error.status]
            return _page(environ, start_response, status, pages.refusal(status, str(error)))
        except VassalError as error:
            report(f"vassal {name}: {environ['REQUEST_METHOD']} {place.path_info}: {error}")
            status = _STATUS[error.status]
            page = pages.bad_gateway(status, place.vassal, self.table.state(name), str(error))
            return _page(environ, start_response, status, page)

    def _converse(self, environ: Environ, start_response: StartResponse, place: Place) -> Iterable[bytes]:
        vassal = place.vassal
        if vassal.state in DOWN:
            raise VassalError("it is not running")
        if vassal.protocol not in SPEECHES:
            raise VassalError(f"the front door does not speak {vassal.protocol}")
        speak = SPEECHES[vassal.protocol]
        resources: ExitStack = environ[RESOURCES]
        body, length = open_body(environ, resources)
        try:
            request, decode = speak(request_params(environ, place, length), body)
        except ProtocolError as error:
            raise RequestError(error.status, str(error)) from error
        connection = resources.enter_context(connect(vassal.address, self._patience))
        chunks = decode(converse(connection, request, self._give_up(vassal.name)), report)
        head, first = split_head(chunks)
        start_response(f"{head.status} {head.reason}", response_headers(head.headers))
        bodiless = environ["REQUEST_METHOD"] == "HEAD" or head.status in (204, 304)
        return () if bodiless else _rest(first, chunks, vassal.name)

    def _give_up(self, name: str) -> Callable[[float], Optional[VassalError]]:
        def judge(idle: float) -> Optional[VassalError]:
            if idle >= self._patience:
                return VassalError(f"no answer within {self._patience:g} s", 504)
            if idle >= SHORT_PATIENCE and self.table.state(name) in DOUBTFUL:
                return VassalError("it went down before it could answer")
            return None

        return judge


def _rest(first: bytes, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The body. The head has been sent: what fails now can only be shown by breaking off as well."""
    if first:
        yield first
    try:
        yield from chunks
    except VassalError as error:
        report(f"vassal {name}: {error} -- the client's connection is cut")
        raise ConnectionAbortedError(str(error)) from error


def open_body(environ: Environ, resources: ExitStack) -> tuple[Iterator[bytes], int]:
    """The request's body in pieces, and its length in bytes. Raises RequestError.

    CGI needs a length in advance (RFC 3875 section 4.1.2), so a chunked body is first written to a temporary
    file, as nginx does; one with a Content-Length streams.
    """
    stream = environ["wsgi.input"]
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    if coding not in ("", "chunked"):
        raise RequestError(501, f"transfer coding {coding!r} is not known here")
    if not coding:
        length = parse_length(environ.get("CONTENT_LENGTH", ""))
        if length is None:
            raise RequestError(400, "Content-Length is not a number")
        return _pieces(stream.read1, length), length
    spool = resources.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 -- resources close it
    length = _spool(stream, spool)
    return _pieces(spool.read, length), length


def _spool(stream: Any, spool: IO[bytes]) -> int:
    length = 0
    try:
        while chunk := stream.read(CHUNK):
            length += len(chunk)
            if length > _ON_DISK:
                raise RequestError(413, f"a chunked body may have {_ON_DISK} bytes here")
            spool.write(chunk)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise RequestError(400, f"chunked body: {error}") from error
    spool.seek(0)
    return length


def _pieces(read: Callable[[int], bytes], length: int) -> Iterator[bytes]:
    while length:
        chunk = read(min(length, CHUNK))
        if not chunk:
            raise ConnectionAbortedError("the client left before the end of its request")
        length -= len(chunk)
        yield chunk


def _redirect(environ: Environ, start_response: StartResponse, found: Moved) -> Iterable[bytes]:
    """307, because a POST stays a POST, and nobody remembers it for ever."""
    query = environ.get("QUERY_STRING", "")
    location = quote(found.path) + (f"?{query}" if query else "")
    return _page(environ, start_response, "307 Temporary Redirect", pages.moved(found.path), location)


def _page(environ: Environ, start_response: StartResponse, status: str, page: bytes, location: str = "") -> list[bytes]:
    headers = [*pages.HEADERS, ("Content-Length", str(len(page)))]
    start_response(status, [*headers, ("Location", location)] if location else headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [page]


def report(text: str) -> None:
    """One line (or several, each escaped and bounded) for the emperor's log."""
    for line in text.splitlines():
        print(printable(line[:2000]), file=sys.stderr, flush=True)
