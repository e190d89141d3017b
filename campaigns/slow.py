"""Clients that take their time: some send a byte a second, others take a few KiB of a long answer a second.

Nobody judges what they get; they are there to be in the way.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from campaigns import wires
from campaigns.wires import Asked

_PIECE = 4096
_BIG = Asked("slow", "big")


@dataclass(frozen=True)
class Slow:
    """``wire``: "uwsgi" or "fastcgi", to a socket's path, or "http", to a port. ``reads``: it asks at once, and takes
    its answer slowly; else it asks slowly."""

    wire: str
    address: str
    reads: bool = False


_WORDS: dict[str, Callable[[Asked], bytes]] = {
    "uwsgi": wires.over_uwsgi,
    "fastcgi": wires.over_fastcgi,
    "http": wires.over_http,
}


@dataclass
class _At:
    """One of them at work. ``left``: what it has still to send."""

    slow: Slow
    sock: socket.socket | None = None
    left: bytes = b""

    def turn(self) -> bool:
        """A little further. True: the server had enough of it, or it has all that it wanted."""
        if self.sock is None:
            self._begin()
            return False
        try:
            if self.left:
                self.left = self.left[self.sock.send(self.left[:1]) :]
            if self._over(self.sock):
                self.end()
                return True
        except BlockingIOError:
            pass
        except OSError:
            self.end()
            return True
        return False

    def _over(self, sock: socket.socket) -> bool:
        """Raises BlockingIOError while nothing is there."""
        return not sock.recv(_PIECE)

    def _begin(self) -> None:
        unix = self.slow.wire != "http"
        host, _, port = self.slow.address.rpartition(":")
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            sock.connect(self.slow.address if unix else (host, int(port)))
            sock.setblocking(False)
            self.left = _WORDS[self.slow.wire](_BIG)
            if self.slow.reads:
                sock.send(self.left)
                self.left = b""
        except OSError:
            sock.close()
        else:
            self.sock = sock

    def end(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


@dataclass
class SlowClients:
    """Come again as long as the ``with`` block lasts. ``served``: how often one of them was answered or sent away."""

    clients: Sequence[Slow]
    served: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> SlowClients:
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _come(self) -> None:
        at_work = [_At(one) for one in self.clients]
        while not self._over.wait(1.0):
            self.served += sum(one.turn() for one in at_work)
        for one in at_work:
            with suppress(OSError):
                one.end()


def slow_crowd(wire: str, path: Path, port: int, number: int) -> list[Slow]:
    """``number`` that ask slowly, and ``number`` that read slowly, half of each through the web server."""
    found = []
    for reads in (False, True):
        for one in range(number):
            through = one % 2 == 1
            found.append(Slow("http" if through else wire, f"127.0.0.1:{port}" if through else str(path), reads))
    return found
