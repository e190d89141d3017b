"""Questions that cost the emperor more than a look: those of one user come one after another, with a pause between.

It promises: however often one user asks, most of the time is everybody else's.
"""

from __future__ import annotations

from collections.abc import Callable

from emperor.system.eventloop import Loop

PAUSE = 0.2
"""Seconds from one to the next of the same user; to read the largest ini takes less than a third of it."""


class Turns:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._next: dict[int, float] = {}
        """Of a user: when the next one may begin."""

    def take(self, uid: int, act: Callable[[], None]) -> None:
        """Do it now, or in its turn."""
        now = self._loop.now()
        self._next = {one: when for one, when in self._next.items() if when > now}
        when = self._next.get(uid, now)
        self._next[uid] = when + PAUSE
        if when <= now:
            act()
        else:
            self._loop.call_at(when, act)
