"""How the conformance table's requests travel: CGI's protocols carry parameters, HTTP has a request of its own."""

from __future__ import annotations

import http.client
import io
import socket
from typing import Optional
from urllib.parse import quote

from emperor.errors import ProtocolError
from emperor.protocol.cgi import Head
from tests.integration.serving_world import PARAMS, Answer, encode, read_answer
from tests.integration.wsgi_case import Case

_SERVERS_OWN = ("connection", "date", "server", "transfer-encoding")


def can_carry(protocol: str, case: Case) -> bool:
    """HTTP has no word for a parameter that the web server makes."""
    names = {name for name, _ in case.params}
    return protocol != "http" or all(
        name.startswith("HTTP_") or name in ("REQUEST_METHOD", "CONTENT_LENGTH", "QUERY_STRING") for name in names
    )


def request(protocol: str, case: Case) -> bytes:
    pairs = dict(PARAMS, **dict(case.params))
    if case.body and case.length:
        pairs.setdefault("CONTENT_LENGTH", str(len(case.body)))
    if protocol != "http":
        return encode(protocol, list(pairs.items()), case.body)
    target = quote(pairs["PATH_INFO"].encode("latin-1")) + "?" + pairs["QUERY_STRING"]
    lines = [f"{pairs['REQUEST_METHOD']} {target} HTTP/1.1", "Connection: close"]
    lines += [f"{name[5:].replace('_', '-')}: {value}" for name, value in pairs.items() if name.startswith("HTTP_")]
    if pairs.get("CONTENT_LENGTH"):
        lines.append(f"Content-Length: {pairs['CONTENT_LENGTH']}")
    chunked = "HTTP_TRANSFER_ENCODING" in pairs
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(case.body), case.body) if chunked else case.body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(peer: socket.socket, protocol: str, case: Case) -> Optional[Answer]:
    """None: the protocol shows that it is cut. Status 0: there is no head."""
    try:
        if protocol != "http":
            return read_answer(peer, protocol)
        return _http_answer(peer, dict(case.params).get("REQUEST_METHOD", "GET"))
    except ProtocolError:
        return None
    except (AssertionError, http.client.HTTPException):
        return Answer(Head(0, "", (), 0), b"", False)


def _http_answer(peer: socket.socket, method: str) -> Answer:
    data = b"".join(iter(lambda: peer.recv(65536), b""))
    response = http.client.HTTPResponse(_Read(data), method=method)  # type: ignore[arg-type]
    response.begin()
    fields = tuple((name, value) for name, value in response.headers.items() if name.lower() not in _SERVERS_OWN)
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as cut:
        body, whole = cut.partial, False
    return Answer(Head(response.status, response.reason, fields, 0), body, whole)


class _Read:
    """What http.client wants of a socket, of bytes that are here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
