"""Memory that a vassal shares with its workers: what each thread does, and what it has done.

Each cell has one writer (a thread of one worker) and one reader (the vassal). Nothing else is shared, and nobody
decides anything by it but what to show, and whose request has taken too long.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import mmap
import struct
import time
from typing import NamedTuple, Union

_CELL = struct.Struct("=QQd1000s")
"""requests, exceptions, since when it is busy (monotonic seconds; 0: it is not), the request's method and URI"""
_BEGUN = struct.Struct("=d1000s")
_BEGUN_AT = 16
_ENDED = struct.Struct("=QQd")


class Count(NamedTuple):
    """A worker's sum over its threads."""

    busy: int
    requests: int
    exceptions: int


NOTHING = Count(0, 0, 0)


class InFlight(NamedTuple):
    """A request that a thread was serving as it was looked at. ``since``: monotonic seconds."""

    thread: int
    since: float
    request: str


class Scoreboard:
    """Cells for workers of ``threads`` threads each; for more of them than ``workers`` there will be more memory.

    A worker must have been made room for (``clear``) before it is forked.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self._threads, self._block = threads, max(1, workers)
        self._memories: list[mmap.mmap] = []
        self._make_room(workers - 1)

    def tally(self, worker: int) -> Tally:
        """The pen of one worker (0 is the first)."""
        memory, offset = self._place(worker)
        return Tally(memory, offset, self._threads)

    def read(self, worker: int) -> Count:
        memory, offset = self._place(worker)
        busy = requests = exceptions = 0
        for place in range(offset, offset + self._threads * _CELL.size, _CELL.size):
            served, failed, since = _ENDED.unpack_from(memory, place)
            busy, requests, exceptions = busy + (since > 0), requests + served, exceptions + failed
        return Count(busy, requests, exceptions)

    def in_flight(self, worker: int) -> list[InFlight]:
        """What its threads are at. Written without a lock: one that ends at this moment may stand under the next's."""
        memory, offset = self._place(worker)
        found = []
        for thread in range(self._threads):
            _, _, since, request = _CELL.unpack_from(memory, offset + thread * _CELL.size)
            if since > 0:
                found.append(InFlight(thread, since, request.rstrip(b"\0").decode("latin-1")))
        return found

    def clear(self, worker: int) -> None:
        """Raises OSError: there is no memory for one more."""
        self._make_room(worker)
        memory, offset = self._place(worker)
        for place in range(offset, offset + self._threads * _CELL.size, _CELL.size):
            _CELL.pack_into(memory, place, 0, 0, 0.0, b"")

    def _make_room(self, worker: int) -> None:
        while worker >= len(self._memories) * self._block:
            self._memories.append(mmap.mmap(-1, self._block * self._threads * _CELL.size))

    def _place(self, worker: int) -> tuple[mmap.mmap, int]:
        block, rest = divmod(worker, self._block)
        return self._memories[block], rest * self._threads * _CELL.size


class Tally:
    """What the server calls around each request; a thread writes its own cell only."""

    __slots__ = ("_failed", "_memory", "_places", "_served")

    def __init__(self, memory: mmap.mmap, offset: int, threads: int) -> None:
        self._memory: Union[mmap.mmap, bytearray] = memory
        self._places = [offset + thread * _CELL.size for thread in range(threads)]
        self._served, self._failed = [], []
        for place in self._places:
            served, failed, _ = _ENDED.unpack_from(memory, place)
            self._served.append(served)
            self._failed.append(failed)

    def disown(self) -> None:
        """In a process that the app forked: a request of its parent's does not end there."""
        self._memory = bytearray(len(self._memory))

    def begin(self, thread: int, request: str = "") -> None:
        place = self._places[thread] + _BEGUN_AT
        _BEGUN.pack_into(self._memory, place, time.monotonic(), request.encode("latin-1", "replace"))

    def end(self, thread: int, failed: bool) -> None:
        self._served[thread] = served = self._served[thread] + 1
        if failed:
            self._failed[thread] += 1
        _ENDED.pack_into(self._memory, self._places[thread], served, self._failed[thread], 0.0)
