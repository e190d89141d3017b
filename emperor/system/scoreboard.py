"""Memory that a vassal shares with its workers: what each thread does, and what it has done.

Each cell has one writer (a thread of one worker) and one reader (the vassal). Nothing else is shared, and nobody
decides anything by it but what to show.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import mmap
import struct
import time
from dataclasses import dataclass

_CELL = struct.Struct("=QQd200s")
"""requests, exceptions, since when it is busy (monotonic seconds; 0: it is not), the request's method and URI"""
_BEGUN = struct.Struct("=d200s")
_BEGUN_AT = 16
_ENDED = struct.Struct("=QQd")


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
        return Tally(self._memory, worker * self._threads * _CELL.size, self._threads)

    def read(self, worker: int) -> Count:
        busy = requests = exceptions = 0
        for thread in range(self._threads):
            served, failed, since, _ = _CELL.unpack_from(self._memory, (worker * self._threads + thread) * _CELL.size)
            busy, requests, exceptions = busy + (since > 0), requests + served, exceptions + failed
        return Count(busy, requests, exceptions)

    def clear(self, worker: int) -> None:
        for thread in range(self._threads):
            _CELL.pack_into(self._memory, (worker * self._threads + thread) * _CELL.size, 0, 0, 0.0, b"")


class Tally:
    """What the server calls around each request; a thread writes its own cell only."""

    __slots__ = ("_failed", "_memory", "_places", "_served")

    def __init__(self, memory: mmap.mmap, offset: int, threads: int) -> None:
        self._memory = memory
        self._places = [offset + thread * _CELL.size for thread in range(threads)]
        self._served, self._failed = [], []
        for place in self._places:
            served, failed, _ = _ENDED.unpack_from(memory, place)
            self._served.append(served)
            self._failed.append(failed)

    def begin(self, thread: int, request: str = "") -> None:
        place = self._places[thread] + _BEGUN_AT
        _BEGUN.pack_into(self._memory, place, time.monotonic(), request.encode("latin-1", "replace"))

    def end(self, thread: int, failed: bool) -> None:
        self._served[thread] = served = self._served[thread] + 1
        if failed:
            self._failed[thread] += 1
        _ENDED.pack_into(self._memory, self._places[thread], served, self._failed[thread], 0.0)
