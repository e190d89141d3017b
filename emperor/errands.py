"""Short errands as a vassal's user: removing socket files from folders that root does not touch.

It promises: nobody waits for an errand but who asked to; one that hangs (it runs on the user's own interpreter) is
killed after ``PATIENCE``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

from emperor.errors import SpawnError
from emperor.journal import Journal
from emperor.supervision.commission import UNLINK, Commission
from emperor.system import processes
from emperor.system.eventloop import Loop
from emperor.system.placebook import PlaceBook
from emperor.system.processes import Child

PATIENCE = 5.0


class Errands:
    """``launcher``: the vassal side's program."""

    def __init__(self, loop: Loop, journal: Journal, launcher: str, book: PlaceBook) -> None:
        self._loop, self._journal, self._launcher, self._book = loop, journal, launcher, book
        self._running: dict[int, tuple[str, ...]] = {}
        self._waiting: list[Callable[[], None]] = []

    def touches(self, paths: Iterable[str]) -> bool:
        """Is one of these files about to be removed? Then binding there now would bind for nothing."""
        busy = {path for paths_of_one in self._running.values() for path in paths_of_one}
        return not busy.isdisjoint(paths)

    @property
    def idle(self) -> bool:
        return not self._running

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back after the next errand that ends."""
        self._waiting.append(callback)

    def unlink(self, commission: Commission) -> None:
        """Run a commission of the role UNLINK."""
        assert commission.role == UNLINK
        paths = tuple(commission.spec.sockets[index].address.path for index in commission.places)
        try:
            child = processes.spawn(commission, self._launcher)
        except SpawnError as error:
            self._journal.warning(commission.spec.name, f"unlink: {error} -- {', '.join(paths)} stays")
            return
        self._running[child.pid] = paths
        timer = self._loop.call_at(self._loop.now() + PATIENCE, lambda: processes.kill_group(child))
        self._loop.watch(child.pidfd, lambda: self._done(child, timer.cancel))
        self._loop.watch(child.output, lambda: self._hear(child, commission.spec.name))

    def _hear(self, child: Child, name: str) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(child.output, 4096)
            if data:
                self._journal.line(name, data.decode("utf-8", "backslashreplace").rstrip("\n"))
            else:
                self._loop.unwatch(child.output)

    def _done(self, child: Child, cancel: Callable[[], None]) -> None:
        cancel()
        self._loop.unwatch(child.pidfd)
        self._loop.unwatch(child.output)
        processes.bury(child)
        for path in self._running.pop(child.pid):
            self._book.strike(path)
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
