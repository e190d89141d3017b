"""Questions of one user come one after another: after one that took long, or costs more than a look, with a pause.

It promises: however often one user asks, most of the time is everybody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from emperor.system.eventloop import Loop

PAUSE = 0.2
"""Seconds from one to the next of the same user; to read the largest ini takes less than a third of it."""
REST = 3
"""Times as long as his last question took, everybody else has before the next of the same user."""


class Turns:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._next: dict[tuple[int, bool], float] = {}
        """Of a user: when the next one may begin. Those that cost more than a look (True) wait for each other alone."""
        self._took: dict[int, float] = {}
        """Of a user who has a turn to come: how long his last one took."""

    def take(self, uid: int, act: Callable[[], None]) -> None:
        """Do it now, or in its turn; then pause."""
        self._enter((uid, True), act, PAUSE)

    def weigh(self, uid: int, act: Callable[[], None]) -> None:
        """Do it now, or in its turn; the pause depends on how long it takes."""
        self._enter((uid, False), partial(self._measure, uid, act), (1 + REST) * self._took.get(uid, 0.0))

    def _enter(self, key: tuple[int, bool], act: Callable[[], None], lasts: float) -> None:
        now = self._loop.now()
        self._next = {one: when for one, when in self._next.items() if when > now}
        self._took = {one: took for one, took in self._took.items() if (one, False) in self._next}
        when = self._next.get(key, now)
        self._next[key] = when + lasts
        if when <= now:
            act()
        else:
            self._loop.call_at(when, act)

    def _measure(self, uid: int, act: Callable[[], None]) -> None:
        began = self._loop.now()
        try:
            act()
        finally:
            now = self._loop.now()
            self._took[uid] = now - began
            self._next[uid, False] = max(self._next.get((uid, False), now), now + REST * (now - began))
