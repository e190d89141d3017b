"""Memory that a vassal shares with its workers: what each thread does, and what it has done.

Each cell has one writer (a thread of one worker) and one reader (the vassal). Nothing else is shared, and nobody
decides anything by it but what to show.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

_CELL = struct.Struct("<QQQ")
"""busy (0 or 1), requests, exceptions"""


@dataclass(frozen=True)
class Count:
    """A worker's sum over its threads."""

    busy: int
    requests: int
    exceptions: int


class Scoreboard:
    """``workers`` × ``threads`` cells; made before the first fork."""

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._memory = mmap.mmap(-1, workers * threads * _CELL.size)

    def tally(self, worker: int) -> Tally:
        """The pen of one worker (0 is the first)."""
        return Tally(self._memory, worker * self._threads * _CELL.size)

    def read(self, worker: int) -> Count:
        busy = requests = exceptions = 0
        for thread in range(self._threads):
            cell = _CELL.unpack_from(self._memory, (worker * self._threads + thread) * _CELL.size)
            busy, requests, exceptions = busy + cell[0], requests + cell[1], exceptions + cell[2]
        return Count(busy, requests, exceptions)

    def clear(self, worker: int) -> None:
        for thread in range(self._threads):
            _CELL.pack_into(self._memory, (worker * self._threads + thread) * _CELL.size, 0, 0, 0)


class Tally:
    """What the server calls around each request; a thread writes its own cell only."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset

    def begin(self, thread: int) -> None:
        at = self._offset + thread * _CELL.size
        _, requests, exceptions = _CELL.unpack_from(self._memory, at)
        _CELL.pack_into(self._memory, at, 1, requests, exceptions)

    def end(self, thread: int, failed: bool) -> None:
        at = self._offset + thread * _CELL.size
        _, requests, exceptions = _CELL.unpack_from(self._memory, at)
        _CELL.pack_into(self._memory, at, 0, requests + 1, exceptions + failed)
