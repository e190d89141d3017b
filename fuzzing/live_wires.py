"""Damaged requests into an app's own socket: in pieces, several connections at once, some left before the answer."""

from __future__ import annotations

import contextlib
import re
import socket
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from emperor.protocol import fastcgi, uwsgi
from fuzzing.grammars import split_records
from fuzzing.mutation import cuts
from fuzzing.scene import PATIENCE, THREADS, Scene, Trouble

WIDTH = THREADS - 2
"""Connections at once: a body that waits for its next piece has a thread of its own."""

_BODY = b"a canary's own words"
_PARAMS = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/"), ("CONTENT_LENGTH", str(len(_BODY)))]
_CANARIES: Mapping[str, Callable[[], bytes]] = {
    "uwsgi": lambda: uwsgi.encode_request(_PARAMS) + _BODY,
    "fastcgi": lambda: fastcgi.encode_begin(_PARAMS) + fastcgi.encode_stdin(_BODY) + fastcgi.encode_stdin(b""),
    "http": lambda: b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY,
}


def canaries(paths: Mapping[str, str]) -> None:
    """Each app answers as ever, and more than once, so that every worker has. Raises Trouble."""
    for name, path in paths.items():
        for _ in range(4):
            answer = _Visit(path, [_CANARIES[name]()], True).answer()
            if _BODY not in answer:
                raise Trouble(f"{name}: the canary's answer is {answer[:200]!r}")


def play(scene: Scene, key: str, inputs: Iterator[bytes], count: Callable[[str], None]) -> None:
    path, judge = str(scene.folder / "s" / f"{key}.sock"), _JUDGES[key]
    window: deque[_Visit] = deque()

    def finish(visit: _Visit) -> None:
        answer = visit.answer()
        word = judge(answer) if answer else "closed" if visit.stays else "left"
        if not word:
            raise Trouble(f"{key}: what is no answer: {answer[:300]!r} to {visit.data[:300]!r}")
        count(word)

    try:
        for data in inputs:
            window.append(_Visit(path, cuts(data), zlib.crc32(data) % 8 != 0))
            if len(window) >= WIDTH:
                finish(window.popleft())
        while window:
            finish(window.popleft())
    finally:
        for visit in window:
            visit.peer.close()


@dataclass
class _Visit:
    """``stays``: it says that no more comes, and reads to the end; else it is gone as soon as it has sent."""

    path: str
    parts: list[bytes]
    stays: bool

    def __post_init__(self) -> None:
        self.data = b"".join(self.parts)
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.settimeout(PATIENCE)
        self.peer.connect(self.path)
        self._send(self.parts[0])

    def _send(self, data: bytes) -> None:
        # Who is refused may be closed upon before all is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.peer.sendall(data)

    def answer(self) -> bytes:
        """Raises TimeoutError."""
        with self.peer:
            for part in self.parts[1:]:
                self._send(part)
            if not self.stays:
                return b""
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := self.peer.recv(65536):
                    answer += piece
            return answer


# --- what may be answered: the word for it, "" for what may not ---

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) [^\r\n]*\r\n(?:[!-9;-~]+: [^\r\n]*\r\n)*\r\n")
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def _of_http(answer: bytes) -> str:
    found = _STATUS.match(answer.removeprefix(_INTERIM))
    return found[1].decode() if found else "interim" if answer == _INTERIM else ""


def _of_fastcgi(answer: bytes) -> str:
    """Whole records of ours, to the last byte."""
    kinds = set()
    for record in split_records(answer):
        if len(record) < 8 or record[0] != 1 or record[1] not in (3, 6, 7, 10, 11):
            return ""
        if len(record) != 8 + int.from_bytes(record[4:6], "big") + record[6]:
            return ""
        kinds.add(record[1])
    return "answered" if 6 in kinds else "management"


_JUDGES: Mapping[str, Callable[[bytes], str]] = {"uwsgi": _of_http, "http": _of_http, "fastcgi": _of_fastcgi}
