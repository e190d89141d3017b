"""How the conformance table's requests travel: CGI's protocols carry parameters, HTTP has a request of its own."""

from __future__ import annotations

import http.client
import io
import re
import socket
from typing import Optional
from urllib.parse import quote

from emperor.errors import ProtocolError
from emperor.protocol.cgi import Head
from tests.integration.serving_world import PARAMS, Answer, encode, read_answer
from tests.integration.wsgi_case import Case

_IN_THE_REQUEST_LINE = {name for name, _ in PARAMS if not name.startswith("HTTP_")}
_SERVERS_OWN = re.compile(
    r"connection: close|transfer-encoding: chunked|server: mini-emperor|date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT",
    re.IGNORECASE,
)

NOT_IN_HTTP = {
    ("HTTPS", "on"): "that the visitor came by TLS is not the client's to say",
    ("HTTPS", "ON"): "as above",
    ("REMOTE_ADDR", "10.0.0.1"): "the address is the connection's own",
    ("SCRIPT_NAME", "/app"): "a request line has one path, and no word for where the app begins in it",
    ("CONTENT_LENGTH", ""): "an empty Content-Length is a fault (RFC 9110 section 8.6), not the same as none",
}
"""Parameters of rows that HTTP is spared, each with its reason. Every other row is played: a parameter that is not part
of a request line goes as a field of that name.
"""


def can_carry(protocol: str, case: Case) -> bool:
    return protocol != "http" or not NOT_IN_HTTP.keys() & set(case.params)


def request(protocol: str, case: Case, keep: bool = False) -> bytes:
    """``keep``: an HTTP connection is to be kept open behind it."""
    pairs = dict(PARAMS, **dict(case.params))
    if case.body and case.length:
        pairs.setdefault("CONTENT_LENGTH", str(len(case.body)))
    if protocol != "http":
        return encode(protocol, list(pairs.items()), case.body)
    target = pairs.pop("REQUEST_URI", quote(pairs["PATH_INFO"], encoding="latin-1")) + "?" + pairs["QUERY_STRING"]
    lines = [f"{pairs['REQUEST_METHOD']} {target} HTTP/1.1", *([] if keep else ["Connection: close"])]
    lines += [
        f"{name.replace('HTTP_', '', 1).replace('_', '-')}: {value}"
        for name, value in pairs.items()
        if name not in _IN_THE_REQUEST_LINE
    ]
    body = case.body
    if "HTTP_TRANSFER_ENCODING" in pairs:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(peer: socket.socket, protocol: str, case: Case) -> Optional[Answer]:
    """None: the protocol shows that it is cut. Status 0: there is no head."""
    try:
        if protocol != "http":
            return read_answer(peer, protocol)
        file = received(peer)
        found = http_answer(file, case)
        # What nobody asked for may not be there.
        return found._replace(body=found.body + file.read())
    except ProtocolError:
        return None
    except (AssertionError, http.client.HTTPException):
        return Answer(Head(0, "", (), 0), b"", False)


def received(peer: socket.socket) -> Received:
    return Received(b"".join(iter(lambda: peer.recv(65536), b"")))


class Received(io.BytesIO):
    """All that came on a connection. http.client takes it for a socket, and would close it behind the first answer."""

    def makefile(self, mode: str) -> Received:
        return self

    def close(self) -> None:
        pass


def http_answer(file: Received, case: Case) -> Answer:
    """The next answer of those that came. Raises ``http.client.HTTPException``."""
    method = dict(case.params).get("REQUEST_METHOD", "GET")
    response = http.client.HTTPResponse(file, method=method)  # type: ignore[arg-type]  # makefile is all it calls
    response.begin()
    fields = tuple(pair for pair in response.headers.items() if not _SERVERS_OWN.fullmatch(": ".join(pair)))
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as cut:
        body, whole = cut.partial, False
    return Answer(Head(response.status, response.reason, fields, 0), body, whole)
