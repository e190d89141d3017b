"""How many workers a crew is to have: by the ini, by an order, and between two bounds by how busy they are.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Callable, Optional

from emperor.model import VassalSpec
from emperor.supervision import cheaper
from emperor.supervision.cheaper import Pace
from emperor.system.eventloop import Loop, Timer

Load = Callable[[], tuple[int, int]]
"""How many serve, and how many of their threads are busy."""


class Pacing:
    """``changed``: another number is wanted, and why. ``most`` 0: as many as the ini says."""

    def __init__(self, spec: VassalSpec, loop: Loop, load: Load, changed: Callable[[str], None], most: int) -> None:
        self._spec, self._loop, self._load, self._changed = spec, loop, load, changed
        self._bounds = cheaper.bounds(spec, most or spec.processes)
        self._pace = Pace(self._bounds.first)
        self._hasty: Optional[Timer] = None

    @property
    def wanted(self) -> int:
        return self._pace.wanted

    @property
    def most(self) -> int:
        return self._bounds.most

    def order(self, most: int) -> None:
        self._bounds = cheaper.bounds(self._spec, most)
        self._pace = cheaper.fitted(self._pace, self._bounds)

    def look(self) -> None:
        """About once a second. While all are busy each look is followed by another one soon."""
        if self._bounds.least == self._bounds.most:
            return
        now, before = self._loop.now(), self.wanted
        self._pace = cheaper.look(self._pace, self._bounds, *self._load(), now)
        if self.wanted != before:
            why = "all were busy" if self.wanted > before else "not all were needed"
            self._changed(f"cheaper: {before} worker{'' if before == 1 else 's'}: {why} -- from now on {self.wanted}")
        if self._pace.full_since is not None and self._hasty is None:
            self._hasty = self._loop.call_at(now + cheaper.LOOK_EVERY, self._look_again)

    def stop(self) -> None:
        if self._hasty is not None:
            self._hasty.cancel()

    def _look_again(self) -> None:
        self._hasty = None
        self.look()
