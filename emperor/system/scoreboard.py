"""Memory that a vassal shares with its workers: what each thread does, and what it has done.

Each cell has one writer (a thread of one worker) and one reader (the vassal). Nothing else is shared, and nobody
decides anything by it but what to show, and whose request has taken too long. An app can write whatever it likes there:
what is read is bounded.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import mmap
import struct
import threading
import time
from bisect import bisect_left
from typing import NamedTuple

from emperor.supervision.totals import BOUNDS

# Words of eight bytes, then the request. Moments and spans are doubles, all others whole numbers.
_SINCE, _LENGTH, _FAILED, _SENT, _SECONDS, _LATENCY = range(6)
_BUCKETS = len(BOUNDS) + 1
_WORDS = _LATENCY + _BUCKETS
_TEXT = 8 * _WORDS
_ROOM = 1000
_SIZE = _TEXT + _ROOM
_CELL = struct.Struct(f"=dQQQd{_BUCKETS}Q")

_MOST = 2**48 - 1
"""Of any number that is read: sums of a thousand of them stay below what a message may carry."""


class Count(NamedTuple):
    """A worker's sum over its threads. ``seconds``: within requests. ``sent``: bytes, where somebody counts them.

    ``latency``: how many requests fell between two of ``totals.BOUNDS``.
    """

    busy: int
    requests: int
    exceptions: int
    seconds: float = 0.0
    sent: int = 0
    latency: tuple[int, ...] = (0,) * _BUCKETS


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
        return Tally(memoryview(memory)[offset : offset + self._threads * _SIZE], self._threads)

    def read(self, worker: int) -> Count:
        memory, offset = self._place(worker)
        busy = exceptions = sent = 0
        seconds, latency = 0.0, [0] * _BUCKETS
        for place in range(offset, offset + self._threads * _SIZE, _SIZE):
            since, _, failed, bytes_sent, spent, *counts = _CELL.unpack_from(memory, place)
            busy, exceptions, sent = busy + (since > 0), exceptions + min(failed, _MOST), sent + min(bytes_sent, _MOST)
            seconds += spent if 0 <= spent <= _MOST else 0.0  # NaN is not
            latency = [before + min(count, _MOST) for before, count in zip(latency, counts)]
        return Count(busy, sum(latency), exceptions, seconds, sent, tuple(latency))

    def threads(self, worker: int) -> list[tuple[int, float]]:
        """Of each: how many requests it has served, and since when it has the one it is at; 0: it has none."""
        memory, offset = self._place(worker)
        found = []
        for place in range(offset, offset + self._threads * _SIZE, _SIZE):
            since, _, _, _, _, *counts = _CELL.unpack_from(memory, place)
            found.append((sum(min(count, _MOST) for count in counts), since if since > 0 else 0.0))
        return found

    def in_flight(self, worker: int) -> list[InFlight]:
        """What its threads are at. Written without a lock: one that ends at this moment may stand under the next's."""
        memory, offset = self._place(worker)
        found = []
        for thread in range(self._threads):
            place = offset + thread * _SIZE
            since, length, *_ = _CELL.unpack_from(memory, place)
            if since > 0:
                text = memory[place + _TEXT : place + _TEXT + min(length, _ROOM)]
                found.append(InFlight(thread, since, text.decode("latin-1")))
        return found

    def clear(self, worker: int) -> None:
        """Raises OSError: there is no memory for one more."""
        self._make_room(worker)
        memory, offset = self._place(worker)
        size = self._threads * _SIZE
        memory[offset : offset + size] = bytes(size)

    def _make_room(self, worker: int) -> None:
        while worker >= len(self._memories) * self._block:
            self._memories.append(mmap.mmap(-1, self._block * self._threads * _SIZE))

    def _place(self, worker: int) -> tuple[mmap.mmap, int]:
        block, rest = divmod(worker, self._block)
        return self._memories[block], rest * self._threads * _SIZE


class Tally:
    """What the server calls around each request; a thread writes its own cell only.

    By slices and items of a memoryview: on PyPy ``struct.pack_into`` of a long text takes as long as a whole request.
    """

    __slots__ = ("_cells", "_latency", "_lock", "_numbers", "_seconds", "_since", "_times")

    def __init__(self, memory: memoryview, threads: int) -> None:
        self._lock = threading.Lock()
        self._since = [0.0] * threads
        self._use([memory[thread * _SIZE : (thread + 1) * _SIZE] for thread in range(threads)])
        self._seconds = [times[_SECONDS] for times in self._times]
        self._latency = [list(numbers[_LATENCY:_WORDS]) for numbers in self._numbers]

    def _use(self, cells: list[memoryview]) -> None:
        self._cells = cells
        self._times = [cell[:_TEXT].cast("d") for cell in cells]
        self._numbers = [cell[:_TEXT].cast("Q") for cell in cells]

    def disown(self) -> None:
        """In a process that the app forked: a request of its parent's does not end there."""
        self._use([memoryview(bytearray(_SIZE)) for _ in self._cells])

    def begin(self, thread: int, request: str = "") -> None:
        text = request.encode("latin-1", "replace")
        size = len(text)
        if size > _ROOM:
            text, size = text[:_ROOM], _ROOM
        self._cells[thread][_TEXT : _TEXT + size] = text
        self._numbers[thread][_LENGTH] = size
        # Last: who reads a moment reads the request that began then.
        self._times[thread][_SINCE] = self._since[thread] = time.monotonic()

    def end(self, thread: int, failed: bool) -> None:
        took = time.monotonic() - self._since[thread]
        numbers, times, latency = self._numbers[thread], self._times[thread], self._latency[thread]
        # Our own copy counts: two bytecodes less than to read it back.
        bucket = bisect_left(BOUNDS, took)
        latency[bucket] = count = latency[bucket] + 1
        numbers[_LATENCY + bucket] = count
        self._seconds[thread] = times[_SECONDS] = self._seconds[thread] + took
        times[_SINCE] = 0.0
        if failed:
            numbers[_FAILED] += 1

    def sent(self, size: int) -> None:
        """Any thread's: so many bytes have left. Only called where somebody wants to know."""
        with self._lock:
            self._numbers[0][_SENT] += size
