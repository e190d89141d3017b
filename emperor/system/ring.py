"""The last lines of a log, in memory."""

from __future__ import annotations

import collections
from collections.abc import Iterable


class Ring:
    """The last lines, for ``status`` and ``logs``; numbered, so that a follower knows where it was.

    At most ``size`` lines, of ``room`` characters together. Who follows looks several times a second; what it missed it
    knows from ``count``.
    """

    def __init__(self, size: int = 1000, room: int = 512 * 1024) -> None:
        self._lines: collections.deque[str] = collections.deque()
        self._size, self._room, self._used = size, room, 0
        self.count = 0

    def refill(self, lines: Iterable[str], count: int) -> None:
        """As another ring was when ``count`` lines had gone through it."""
        for line in lines:
            self.add(line)
        self.count = count

    def add(self, line: str) -> None:
        self._lines.append(line)
        self._used += len(line)
        while len(self._lines) > self._size or (self._used > self._room and len(self._lines) > 1):
            self._used -= len(self._lines.popleft())
        self.count += 1

    def clear(self) -> None:
        self._lines.clear()
        self._used = 0

    def last(self, wanted: int) -> list[str]:
        return list(self._lines)[-wanted:] if wanted > 0 else []

    def tail(self, size: int) -> tuple[str, ...]:
        """As many of the last lines as ``size`` characters hold."""
        found: list[str] = []
        for line in reversed(self._lines):
            size -= len(line)
            if size < 0:
                break
            found.append(line)
        return tuple(reversed(found))

    def since(self, number: int) -> list[str]:
        """The lines after the ``number``-th that are still there."""
        return self.last(min(self.count - number, len(self._lines)))
