"""The clients: one process with many connections, ``python -m campaigns.crowd``.

On its standard input comes one line, a list of clients as JSON; it ends when that input ends. On its standard output
go lines of JSON: each failure, each answer of a client that is ``told``, and the sums at the end. Times are seconds of
the machine's monotonic clock, the same in every process.
"""

from __future__ import annotations

import asyncio
import errno
import json
import random
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from campaigns import wires
from campaigns.wires import Asked, Stamp, Wrong

_POST_SIZES = (100, 1_000, 20_000, 100_000)
_NOBODY = (errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN)
"""connect(2) of a Unix socket: nobody listens, no such file, the backlog is full."""


@dataclass(frozen=True)
class Client:
    """``way``: "http" to a port, with kept connections; "uwsgi" or "fastcgi" to a socket's path, a connection each.

    ``posts``, ``bigs``: share of the requests that have a body, or a long answer. ``pause``: seconds between an answer
    and the next request. ``told``: every answer is told, not only the failures.
    """

    name: str
    way: str
    address: str
    posts: float = 0.0
    bigs: float = 0.0
    pause: float = 0.0
    timeout: float = 30.0
    told: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Refused(Exception):
    """Nobody was at the door."""


class _Visitor:
    """One client at work."""

    def __init__(self, client: Client, tell: Callable[[dict[str, Any]], None]) -> None:
        self._client, self._tell = client, tell
        self._sock: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self.sums: Counter[str] = Counter()

    async def come(self, over: asyncio.Event) -> None:
        """Until it is over; a request that was begun is waited for."""
        number = 0
        while not over.is_set():
            number += 1
            await self._once(self._next(number))
            await _rest(self._client.pause * random.uniform(0.5, 1.5), over)
        self._close()

    def _next(self, number: int) -> Asked:
        name = f"{self._client.name}-{number}"
        if random.random() < self._client.posts:
            return Asked(name, "r", random.randbytes(random.choice(_POST_SIZES)))
        return Asked(name, "big" if random.random() < self._client.bigs else "r")

    async def _once(self, asked: Asked) -> None:
        begun, refused = time.monotonic(), False
        self.sums[asked.method] += 1
        try:
            async with asyncio.timeout(self._client.timeout):
                stamp = await self._ask(asked)
        except (Refused, Wrong, OSError) as error:
            refused = isinstance(error, Refused)
            why = f"no answer in {self._client.timeout:g} s" if isinstance(error, TimeoutError) else str(error)
            self._close()
            self._tell(self._record("failure", asked, begun) | {"why": why, "refused": refused})
        else:
            if self._client.told:
                self._tell(self._record("answer", asked, begun) | stamp._asdict())

    def _record(self, what: str, asked: Asked, begun: float) -> dict[str, Any]:
        return {
            "what": what,
            "client": self._client.name,
            "method": asked.method,
            "number": asked.number,
            "start": begun,
            "end": time.monotonic(),
        }

    async def _ask(self, asked: Asked) -> Stamp:
        if self._client.way == "http":
            return await self._over_http(asked)
        encode = wires.over_uwsgi if self._client.way == "uwsgi" else wires.over_fastcgi
        sock = self._sock = self._connect_unix()
        try:
            await self._loop.sock_sendall(sock, encode(asked))
            data = bytearray()
            while piece := await self._loop.sock_recv(sock, 1 << 18):
                data += piece
            told = bytes(data) if self._client.way == "uwsgi" else wires.stdout_of(bytes(data))
            return wires.stamp_of(asked, wires.cgi_body(told))
        finally:
            self._close()

    async def _over_http(self, asked: Asked) -> Stamp:
        if self._sock is None:
            await self._connect_tcp()
        sock = self._sock
        assert sock is not None
        await self._loop.sock_sendall(sock, wires.over_http(asked))
        data = bytearray()
        while (head := wires.http_head(bytes(data[:4096]))) is None or len(data) < head[0] + head[1]:
            piece = await self._loop.sock_recv(sock, 1 << 18)
            if not piece:
                raise Wrong(f"the web server hung up after {len(data)} bytes")
            data += piece
        at, length, kept = head
        if not kept:
            self._close()
        if len(data) != at + length:
            raise Wrong(f"{len(data) - at} bytes of {length}")
        return wires.stamp_of(asked, bytes(data[at:]))

    async def _connect_tcp(self) -> None:
        host, _, port = self._client.address.rpartition(":")
        self._sock = socket.socket()
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._loop.sock_connect(self._sock, (host, int(port)))

    def _connect_unix(self) -> socket.socket:
        """Not through the event loop: it takes a full backlog for a connection that is under way."""
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(self._client.address)
        except OSError as error:
            sock.close()
            if error.errno in _NOBODY:
                raise Refused(f"connect: {error.strerror}") from None
            raise
        return sock

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


async def _rest(seconds: float, over: asyncio.Event) -> None:
    """A long one ends when all is over; to listen for that costs more than a short one."""
    if seconds < 1:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await over.wait()


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


async def _gather(clients: list[Client]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # One each, and some.
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, len(clients) + 100)), hard))
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    visitors = [_Visitor(client, _say) for client in clients]
    await asyncio.gather(*(visitor.come(over) for visitor in visitors))
    _say({"what": "sums", "sums": {one.name: dict(visitor.sums) for one, visitor in zip(clients, visitors)}})


if __name__ == "__main__":
    asyncio.run(_gather([Client(**one) for one in json.loads(sys.stdin.readline())]))
