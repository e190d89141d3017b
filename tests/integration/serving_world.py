"""A server on a socket in a temporary folder, and peers that speak to it byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from emperor.protocol import fastcgi, uwsgi
from emperor.protocol.cgi import Head, parse_head
from emperor.serving import flup_engine, native
from emperor.serving.settings import Settings

PATIENCE = 10.0

Start = Callable[..., Any]

PARAMS = [
    ("REQUEST_METHOD", "GET"),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("QUERY_STRING", ""),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("HTTP_HOST", "localhost"),
]

REFUSED: list[tuple[list[tuple[str, str]], int]] = [
    ([("CONTENT_LENGTH", "12abc")], 400),
    ([("HTTP_X", "a\r\nEvil: 1")], 400),
    ([("CONTENT_LENGTH", "101")], 413),
    ([("HTTP_X", "x" * 5000)], 431),
]
"""Parameters that no app should see, and their status with these settings:"""
REFUSING = Settings(buffer_size=4096, limit_post=100, drain_seconds=5.0)


def echo(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode("latin-1") + body
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


class Held:
    """An app that answers when it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        self.entered.release()
        assert self.go.wait(PATIENCE)
        return echo(environ, start_response)

    def is_entered(self) -> bool:
        return self.entered.acquire(timeout=PATIENCE)


class Tally:
    """Counts what the server reports, from any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun: list[int] = []
        self.ended: list[tuple[int, bool]] = []
        self.at_once = self.most_at_once = 0

    def begin(self, thread: int, request: str = "") -> None:
        with self.lock:
            self.begun.append(thread)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def end(self, thread: int, failed: bool) -> None:
        with self.lock:
            self.at_once -= 1
            self.ended.append((thread, failed))


class Answer(NamedTuple):
    head: Head
    body: bytes
    whole: bool
    """Did the protocol say that nothing is missing? (uwsgi: the connection was closed.)"""

    @property
    def status(self) -> int:
        return self.head.status


class Running(NamedTuple):
    path: str
    protocol: str
    server: Any
    tally: Tally
    listener: socket.socket
    thread: threading.Thread

    def connect(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE)
        peer.connect(self.path)
        return peer

    def ask(self, *params: tuple[str, str], body: bytes = b"", length: bool = True) -> Answer:
        """One request on a connection of its own; ``params`` win over ``PARAMS``."""
        pairs = dict(PARAMS, **dict(params))
        if body and length:
            pairs.setdefault("CONTENT_LENGTH", str(len(body)))
        with self.connect() as peer:
            with contextlib.suppress(BrokenPipeError):
                peer.sendall(encode(self.protocol, list(pairs.items()), body))
            return read_answer(peer, self.protocol)

    def drain(self) -> None:
        self.server.drain()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def encode(protocol: str, pairs: Sequence[tuple[str, str]], body: bytes = b"", keep: bool = False) -> bytes:
    if protocol == "uwsgi":
        return uwsgi.encode_request(pairs) + body
    stdin = fastcgi.encode_stdin(body) if body else b""
    return fastcgi.encode_begin(pairs, keep=keep) + stdin + fastcgi.encode_stdin(b"")


def read_answer(peer: socket.socket, protocol: str) -> Answer:
    """Until the protocol says that the response is over, or the connection is."""
    response = fastcgi.ClientResponse()
    out, whole = b"", False
    while not whole:
        data = peer.recv(65536)
        if not data:
            whole = protocol == "uwsgi"
            break
        if protocol == "uwsgi":
            out += data
            continue
        for event in response.receive(data):
            if isinstance(event, fastcgi.Stdout):
                out += event.data
            elif isinstance(event, fastcgi.End):
                whole = True
    head = parse_head(out)
    assert head is not None, out
    return Answer(head, out[head.size :], whole)


def serving_threads(count: int) -> list[str]:
    """The names of the threads that serve, once there are ``count`` of them: the first may answer while the others are
    being started. Or what there is when the time is over.
    """
    end = time.monotonic() + PATIENCE
    while True:
        names = sorted(one.name for one in threading.enumerate() if one.name.startswith("wsgi-"))
        if len(names) == count or time.monotonic() > end:
            return names
        time.sleep(0.001)


def listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def serving(
    folder: Path, protocol: str, app: Any, settings: Optional[Settings] = None, engine: str = "native"
) -> Iterator[Running]:
    path = folder / f"{protocol}.sock"
    kind: Any = native.Server if engine == "native" else flup_engine.Server
    tally = Tally()
    with listening(path) as listener:
        server = kind([(listener, protocol)], app, settings or Settings(drain_seconds=5.0, kept_seconds=0.5), tally)
        thread = threading.Thread(target=server.run)
        thread.start()
        running = Running(str(path), protocol, server, tally, listener, thread)
        try:
            yield running
        finally:
            running.drain()
