"""The doorbell of a vassal that sleeps: tells once when somebody connects to one of its listening sockets.

Nothing is accepted: whoever has connected waits in the backlog until the vassal serves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emperor.system.eventloop import Loop


class Doorbell:
    """``rung``: what it calls, and is silent then."""

    def __init__(self, loop: Loop, rung: Callable[[], object]) -> None:
        self._loop, self._rung = loop, rung
        self._heeded: tuple[int, ...] = ()

    def listen(self, descriptors: Iterable[int]) -> None:
        self.hush()
        self._heeded = tuple(descriptors)
        for fd in self._heeded:
            self._loop.watch(fd, self._ring)

    def hush(self) -> None:
        """To be called before one of them may be closed."""
        for fd in self._heeded:
            self._loop.unwatch(fd)
        self._heeded = ()

    def _ring(self) -> None:
        # Somebody who waits in a backlog would be told of in every turn of the loop.
        self.hush()
        self._rung()
