"""Inis that are to be read: some in each turn of the loop, of every owner as long as of the others.

It promises: whoever puts down many inis, each of which takes long to read, keeps the loop no longer than a slice at a
time and waits behind nobody's but their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from emperor.system.eventloop import Loop, Timer

SLICE = 0.05
"""Seconds of reading before the loop's other business has its turn; what was begun is read to its end. The pause until
the next slice is as long as the slice was."""


class ReadingList:
    """``read``: takes a name, and whether its ini was written or touched."""

    def __init__(self, loop: Loop, read: Callable[[str, bool], None]) -> None:
        self._loop, self._read = loop, read
        self._waiting: dict[Hashable, dict[str, bool]] = {}
        self._whose: dict[str, Hashable] = {}
        self._spent: dict[Hashable, float] = {}
        self._pause: Timer | None = None

    def names(self) -> frozenset[str]:
        """Those that have not been read yet."""
        return frozenset(self._whose)

    def add(self, name: str, whose: Hashable, written: bool) -> None:
        """``whose``: in whose turn it is read."""
        written = self.drop(name) or written
        self._waiting.setdefault(whose, {})[name] = written
        self._whose[name] = whose

    def drop(self, name: str) -> bool:
        """It is not to be read any more; whether it was written."""
        if name not in self._whose:
            return False
        whose = self._whose.pop(name)
        names = self._waiting[whose]
        written = names.pop(name)
        if not names:
            del self._waiting[whose]
        return written

    def go(self, seconds: float = SLICE) -> None:
        """Read now, as long as this takes no more than so many seconds; the rest later, by itself."""
        if self._pause is None:
            self._read_some(seconds)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._waiting, self._whose = {}, {}

    def _again(self) -> None:
        self._pause = None
        self._read_some(SLICE)

    def _read_some(self, seconds: float) -> None:
        begun = now = self._loop.now()
        while self._waiting and now < begun + seconds:
            whose = min(self._waiting, key=lambda one: self._spent.get(one, 0.0))
            name = next(iter(self._waiting[whose]))
            self._read(name, self.drop(name))
            before, now = now, self._loop.now()
            self._spent[whose] = self._spent.get(whose, 0.0) + now - before
        if not self._waiting:
            self._spent.clear()
        elif self._pause is None:
            self._pause = self._loop.call_at(now + min(SLICE, now - begun), self._again)
