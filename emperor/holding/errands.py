"""Short errands as a vassal's user: removing socket files from folders that root does not touch.

It promises: nobody waits for an errand but who asked to; one that hangs (on a filesystem of the user's) is killed
after ``PATIENCE``, and waited for no longer even if that does not end it. Its file stays in the book: it is still ours.
The inode is the vassal's own word, and is given to nobody but that user's ``find``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping

from emperor.errors import SpawnError
from emperor.journal import Journal
from emperor.model import Identity
from emperor.system import processes
from emperor.system.eventloop import Loop, Timer
from emperor.system.listeners import Place
from emperor.system.placebook import PlaceBook
from emperor.system.processes import Child

PATIENCE = 5.0
OVER = 1.0
"""Seconds after a KILL for which it is waited for."""


class Errands:
    """One small process per file."""

    def __init__(self, loop: Loop, journal: Journal, book: PlaceBook) -> None:
        self._loop, self._journal, self._book = loop, journal, book
        self._running: dict[int, str] = {}
        self._unburied: set[int] = set()
        self._vain: set[int] = set()
        self._waiting: list[Callable[[], None]] = []

    def touches(self, paths: Iterable[str]) -> bool:
        """Is one of these files about to be removed? Then binding there now would bind for nothing."""
        return not set(self._running.values()).isdisjoint(paths)

    @property
    def pids(self) -> set[int]:
        """Of all its processes that are not reaped."""
        return self._unburied

    @property
    def idle(self) -> bool:
        return not self._running

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back after the next errand that ends."""
        self._waiting.append(callback)

    def unlink(self, name: str, identity: Identity, places: Mapping[str, Place]) -> None:
        """Remove each of these files if it is still the socket of that inode."""
        for path, place in places.items():
            command = ["find", path, "-maxdepth", "0", "-type", "s", "-inum", str(place.inode), "-delete"]
            try:
                child = processes.run(command, identity)
            except SpawnError as error:
                self._journal.warning(name, f"{path}: unlink: {error} -- it stays")
                continue
            self._attend(name, path, child)

    def _attend(self, name: str, path: str, child: Child) -> None:
        self._running[child.pid] = path
        self._unburied.add(child.pid)
        now, timers = self._loop.now(), list[Timer]()

        def done() -> None:
            for timer in timers:
                timer.cancel()
            self._done(name, child)

        timers.append(self._loop.call_at(now + PATIENCE, lambda: self._kill(child)))
        # In the kernel it may hang for ever: it does nothing any more.
        timers.append(self._loop.call_at(now + PATIENCE + OVER, done))
        self._loop.watch(child.pidfd, done)

    def _kill(self, child: Child) -> None:
        processes.kill_group(child)
        self._vain.add(child.pid)

    def _done(self, name: str, child: Child) -> None:
        self._loop.unwatch(child.pidfd)
        with contextlib.suppress(BlockingIOError):
            complaint = os.read(child.output, 4096).decode("utf-8", "backslashreplace").strip()
            if complaint and "No such file" not in complaint:
                self._journal.line(name, complaint)
        pid = child.pid
        os.close(child.output)
        self._bury(child)
        path = self._running.pop(pid)
        if pid in self._vain:
            self._vain.discard(pid)
        else:
            self._book.strike(path)
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def _bury(self, child: Child) -> None:
        if processes.reap(child):
            self._unburied.discard(child.pid)
        else:
            self._loop.call_at(self._loop.now() + 1.0, lambda: self._bury(child))
