"""Seats of a crew in which somebody will be forked later.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Callable

from emperor.system.eventloop import Loop, Timer


class Retries:
    """``fork``: forks into a seat."""

    def __init__(self, loop: Loop, fork: Callable[[int], None]) -> None:
        self._loop, self._fork = loop, fork
        self.timers: dict[int, Timer] = {}
        """By seat."""

    def at(self, when: float, index: int) -> None:
        self.timers[index] = self._loop.call_at(when, lambda: self._fork(index))

    def forget(self, index: int) -> None:
        timer = self.timers.pop(index, None)
        if timer is not None:
            timer.cancel()

    def forget_all(self) -> None:
        for index in list(self.timers):
            self.forget(index)
