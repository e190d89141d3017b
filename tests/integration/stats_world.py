"""What the tests of a vassal's numbers share: servers on a loop that can be driven, and who asks them."""

from __future__ import annotations

import socket
from collections.abc import Callable

from emperor.model import ABSTRACT, TCP, Address
from emperor.system.eventloop import Loop
from emperor.system.statsserver import StatsServer
from tests.integration.kernel_world import drive, raise_it

MODE = 0o660


class World:
    """A loop, and servers on it that tell their own name."""

    def __init__(self) -> None:
        self.loop = Loop(raise_it)
        self.lines: list[str] = []
        self.made = 0
        self.servers: list[StatsServer] = []

    def __enter__(self) -> World:
        return self

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.close()
        self.until(lambda: not any(server._clients for server in self.servers))
        self.loop.close()

    def server(self, address: Address, text: bytes = b"{}", http: bool = False) -> StatsServer:
        def document() -> bytes:
            self.made += 1
            return text

        self.servers.append(StatsServer(address, MODE, http, self.loop, document, self.lines.append))
        self.servers[-1].start()
        return self.servers[-1]

    def until(self, done: Callable[[], object]) -> None:
        drive(self.loop, done)

    def read(self, one: socket.socket) -> bytes:
        """All that comes until the end."""
        found: list[bytes] = []
        one.setblocking(False)

        def ended() -> bool:
            try:
                while data := one.recv(65536):
                    found.append(data)
            except BlockingIOError:
                return False
            return True

        self.until(ended)
        return b"".join(found)

    def ask(self, address: Address, words: bytes = b"") -> bytes:
        with connected(address) as one:
            if words:
                one.sendall(words)
            return self.read(one)


def connected(address: Address) -> socket.socket:
    if address.family == TCP:
        return socket.create_connection((address.host, address.port))
    one = socket.socket(socket.AF_UNIX)
    one.connect("\0" + address.path if address.family == ABSTRACT else address.path)
    return one
