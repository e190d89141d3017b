"""Plays rows of the conformance table on a running server, and brings back what came of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, TypeVar

import pytest

from emperor.serving.settings import Settings
from tests.integration.serving_world import PATIENCE, Answer, Running, serving
from tests.integration.wsgi_apps import Notes, giving
from tests.integration.wsgi_case import Case
from tests.integration.wsgi_file_apps import FILE
from tests.integration.wsgi_wires import answer, request

Came = TypeVar("Came")

PLAIN = Case(giving())
ALIVE = Case(giving(), params=(("QUERY_STRING", "alive"),))


class Stage:
    """The app of a server that outlives the cases: it plays what the case of the moment says."""

    def __init__(self) -> None:
        self.app: Any = None
        self.notes = Notes()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["QUERY_STRING"] == "alive":
            start_response("200 OK", [])
            return [b"alive"]
        environ["test.notes"] = self.notes
        return self.app(environ, start_response)


class Theatre(NamedTuple):
    running: Running
    stage: Stage
    log: Path
    file: str

    def is_alive(self) -> bool:
        with self.running.connect() as peer:
            found = ask(peer, self.running.protocol, ALIVE)
        return found is not None and found.body == b"alive"

    def play(self, case: Case) -> tuple[Optional[Answer], str, Notes]:
        """The answer (None: the protocol shows that it is cut), the log of it, what the app noted."""
        self.stage.app, self.stage.notes = case.app, Notes(self.file)
        before = self.log.stat().st_size
        with self.running.connect() as peer:
            found = ask(peer, self.running.protocol, case)
        # One thread: it answers this only when it has done with the case. So it lives, and the log is whole.
        assert self.is_alive()
        return found, self.log.read_bytes()[before:].decode(), self.stage.notes


def ask(peer: socket.socket, protocol: str, case: Case) -> Optional[Answer]:
    def receive(peer: socket.socket) -> Optional[Answer]:
        return answer(peer, protocol, case)

    return send_and_receive(peer, request(protocol, case), receive, case.hang_up)


def send_and_receive(
    peer: socket.socket, data: bytes, receive: Callable[[socket.socket], Came], hang_up: bool = False
) -> Came:
    """Both at once: neither side waits for a buffer of the other's. ``hang_up``: say that no more comes."""

    def send() -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(data)
            if hang_up:
                peer.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        return receive(peer)
    finally:
        sending.join(PATIENCE)


@contextlib.contextmanager
def theatre(folder: Path, protocol: str, engine: str) -> Iterator[Theatre]:
    if engine == "flup":
        pytest.importorskip("flup", reason="needs flup==1.0.3: pip install flup")
    stage, file = Stage(), folder / "file"
    file.write_bytes(FILE)
    settings = Settings(drain_seconds=5.0, kept_seconds=0.5)
    # As a worker's own standard error is: lines leave by themselves, parts of lines do not.
    with contextlib.ExitStack() as running:
        log = (folder / "log").open("w", buffering=1, encoding="utf-8", errors="backslashreplace")
        running.enter_context(log)
        with contextlib.redirect_stderr(log):
            server = running.enter_context(serving(folder, protocol, stage, settings, engine))
        yield Theatre(server, stage, folder / "log", str(file))
