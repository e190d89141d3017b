"""The dead of one vassal: swept and reaped in time, so that no signal of ours ever meets a stranger.

A vassal that was killed leaves workers behind that finish what they have; its zombie keeps their group's number ours.
"""

from __future__ import annotations

from collections.abc import Callable

from emperor.system import processes
from emperor.system.eventloop import Loop
from emperor.system.processes import Child
from emperor.tending.crib import GraveState, export_child

MOST = 2
"""That wait with their workers; an older one is swept when there are more."""
REAP_AGAIN = 1.0


class Burials:
    """Each waits until it is ``due``: monotonic seconds. ``last_rites``: called with its pid before it is reaped."""

    def __init__(self, loop: Loop, last_rites: Callable[[int], None]) -> None:
        self._loop, self._last_rites = loop, last_rites
        self._waiting: dict[int, tuple[Child, float]] = {}

    def lay_out(self, child: Child, due: float) -> None:
        self._waiting[child.pid] = (child, due)
        if due <= self._loop.now():
            self._bury(child.pid)
        else:
            self._loop.call_at(due, lambda: self._bury(child.pid))
        waiting = [pid for pid, (_, when) in self._waiting.items() if when > self._loop.now()]
        if len(waiting) > MOST:
            self._bury(waiting[0])

    def bury_all(self) -> None:
        """Nobody waits any longer."""
        for pid in list(self._waiting):
            self._bury(pid)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(self._waiting)

    def export(self) -> tuple[GraveState, ...]:
        return tuple(GraveState(export_child(child, dead=True), due) for child, due in self._waiting.values())

    def _bury(self, pid: int) -> None:
        child, due = self._waiting.pop(pid, (None, 0.0))
        if child is None:
            return
        self._last_rites(pid)
        if processes.reap(child):
            return
        # Somebody traces it. It is dead and swept; only its number is not free yet.
        self._waiting[pid] = (child, min(due, self._loop.now()))
        self._loop.call_at(self._loop.now() + REAP_AGAIN, lambda: self._bury(pid))
