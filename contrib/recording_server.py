"""An application server that answers anything and keeps every byte that it was sent.

``recording`` is one on a Unix socket in this process; as a program it takes the place of an app under mod_fcgid.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Union

# mod_fcgid starts this file with the system's Python, which does not know the project.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from emperor.protocol import records
from emperor.protocol.responder import BodyEnd, Request, ServerMachine
from emperor.protocol.uwsgi import parse_request


class _Uwsgi:
    def __init__(self) -> None:
        self._data = b""

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        self._data += data
        parsed = parse_request(self._data)
        if parsed is None:
            return b"", False
        length = int(parsed[0][0].get("CONTENT_LENGTH") or 0)
        whole = len(self._data) >= parsed[1] + length
        return (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok" if whole else b""), whole


class _Fastcgi:
    def __init__(self) -> None:
        self._machine = ServerMachine()
        self._keep = False

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        out, close = b"", False
        for event in self._machine.receive(data):
            if isinstance(event, Request):
                self._keep = event.keep
            elif isinstance(event, BodyEnd):
                number = self._machine.request_id
                page = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok"
                out += records.encode_stream(records.STDOUT, number, page) + records.encode_end(number)
                close = not self._keep
                self._machine.finish()
        return out, close


def record(listener: socket.socket, protocol: str, folder: Path) -> None:
    """Every connection's bytes go to a file of its own in ``folder``. Returns when the listener is shut."""
    for number in itertools.count(1):
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        path = folder / f"{number:03}.raw"
        threading.Thread(target=_answer, args=(peer, protocol, path), daemon=True).start()


def _answer(peer: socket.socket, protocol: str, path: Path) -> None:
    answering: Union[_Uwsgi, _Fastcgi] = _Uwsgi() if protocol == "uwsgi" else _Fastcgi()
    with peer, path.open("wb", buffering=0) as file:
        while data := peer.recv(65536):
            file.write(data)
            reply, close = answering.receive(data)
            peer.sendall(reply)
            if close:
                return


@contextlib.contextmanager
def recording(protocol: str, folder: Path) -> Iterator[Path]:
    path = folder / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o666)
        thread = threading.Thread(target=record, args=(listener, protocol, folder))
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


if __name__ == "__main__":
    record(socket.socket(fileno=0), "fastcgi", Path(sys.argv[1]))
