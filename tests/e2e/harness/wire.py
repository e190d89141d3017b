"""The web server's side of both protocols, spoken straight to a socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from emperor.protocol import fastcgi, uwsgi

TIMEOUT = 20.0


@dataclass(frozen=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.status == 200, f"{self.status}: {self.text}"
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def params(target: str, method: str = "GET", length: int = 0, **more: str) -> list[tuple[str, str]]:
    """What nginx's uwsgi_params sends for one request."""
    path, _, query = target.partition("?")
    values = {
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(length) if length else "",
        "REQUEST_URI": target,
        "PATH_INFO": path,
        "DOCUMENT_ROOT": "/usr/share/nginx/html",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_PORT": "80",
        "SERVER_NAME": "localhost",
        "HTTP_HOST": "localhost",
    }
    return list({**values, **more}.items())


def connect(address: str, timeout: float = TIMEOUT) -> socket.socket:
    """A connection to a Unix socket's path, or to HOST:PORT."""
    host, colon, port = address.rpartition(":")
    unix = address.startswith("/") or not colon
    one = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    one.settimeout(timeout)
    try:
        one.connect(address if unix else (host, int(port)))
    except BaseException:
        one.close()
        raise
    return one


def request(address: str, target: str = "/", data: bytes = b"", protocol: str = "uwsgi", **more: str) -> Response:
    """One request; ConnectionError if it is refused, or ends without an answer."""
    speak = {"uwsgi": _over_uwsgi, "fastcgi": _over_fastcgi}[protocol]
    with closing(connect(address)) as peer:
        return _response(speak(peer, params(target, "POST" if data else "GET", len(data), **more), data))


def _over_uwsgi(peer: socket.socket, pairs: Iterable[tuple[str, str]], data: bytes) -> bytes:
    peer.sendall(uwsgi.encode_request(pairs) + data)
    return b"".join(iter(lambda: peer.recv(65536), b""))


def _over_fastcgi(peer: socket.socket, pairs: Iterable[tuple[str, str]], data: bytes) -> bytes:
    peer.sendall(
        fastcgi.encode_begin(pairs) + (fastcgi.encode_stdin(data) if data else b"") + fastcgi.encode_stdin(b"")
    )
    answer, output, ended = fastcgi.ClientResponse(), b"", False
    while not ended and (received := peer.recv(65536)):
        for event in answer.receive(received):
            output += event.data if isinstance(event, fastcgi.Stdout) else b""
            ended = ended or isinstance(event, fastcgi.End)
    if not ended:
        raise ConnectionResetError(f"the connection ended without END_REQUEST after {len(output)} bytes")
    return output


def _response(raw: bytes) -> Response:
    head, blank, body = raw.partition(b"\r\n\r\n")
    if not blank:
        raise ConnectionResetError(f"no whole response: {raw[:200]!r}")
    first, *lines = head.decode("latin-1").split("\r\n")
    word, _, rest = first.partition(" ")
    assert word.startswith("HTTP/") or word.lower() == "status:", f"no status line: {first!r}"
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Response(int(rest.split()[0]), headers, body)


@dataclass
class Crowd:
    """Clients that come one after the other while something happens; each must be let in and answered."""

    address: str
    target: str = "/facts"
    answered: int = 0
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    def __enter__(self) -> Crowd:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _come(self) -> None:
        while not self._over.is_set():
            try:
                self.pids.append(request(self.address, self.target).json["pid"])
                self.answered += 1
            except (ConnectionRefusedError, FileNotFoundError) as error:
                self.refused.append(repr(error))
            except (OSError, AssertionError, ValueError) as error:
                self.lost.append(repr(error))


class Visitor:
    """One request in a thread of its own, for a moment when nobody may be there to answer it."""

    def __init__(self, address: str, target: str = "/facts", **more: Any) -> None:
        self._answer: Response | BaseException | None = None
        self._thread = threading.Thread(target=self._visit, args=(address, target, more))
        self._thread.start()

    def _visit(self, address: str, target: str, more: dict[str, Any]) -> None:
        try:
            self._answer = request(address, target, **more)
        except (OSError, AssertionError, ValueError) as error:
            self._answer = error

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()

    def answer(self) -> Response:
        self._thread.join(TIMEOUT + 5)
        assert self._answer is not None, "the request was never answered"
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer
