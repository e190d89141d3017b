"""Who waits for the next reading of an ini that only a scout can read.

It promises: nobody waits longer than ``PATIENCE``, whoever hangs there; each is called exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from emperor.intake.reading import Reading
from emperor.system.eventloop import Loop, Timer

PATIENCE = 2.0
"""Seconds: as long as until somebody is told that there is no answer."""

Then = Callable[[Optional[Reading]], None]
"""None: there is no answer."""


class Awaiting:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[str, list[tuple[Timer, Then]]] = {}

    def add(self, name: str, then: Then) -> None:
        """To be called after it was asked for: an answer that is on its way already is older than the question."""
        timer = self._loop.call_at(self._loop.now() + PATIENCE, lambda: self._give_up(name, then))
        self._waiting.setdefault(name, []).append((timer, then))

    def arrived(self, name: str, reading: Reading | None) -> bool:
        """Has anybody waited for it?"""
        waiting = self._waiting.pop(name, [])
        for timer, _ in waiting:
            timer.cancel()
        for _, then in waiting:
            try:
                then(reading)
            except Exception as error:
                self._loop.report(error)
        return bool(waiting)

    def hurry(self) -> None:
        """Nobody waits any longer."""
        for name in list(self._waiting):
            self.arrived(name, None)

    def _give_up(self, name: str, then: Then) -> None:
        left = [one for one in self._waiting.pop(name, []) if one[1] is not then]
        if left:
            self._waiting[name] = left
        then(None)
