"""How many workers serve and how many leave, told to whoever ordered a number of them.

It promises: the count is told at once when it is ordered, and from then on soon after each change; changes that come
within a moment are one word. A word that could not be said is said again.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Callable, Optional

from emperor.system.eventloop import Loop

SOON = 0.05

Headcount = tuple[int, int]
"""How many serve, how many are on their way out."""


class Census:
    def __init__(self, loop: Loop, headcount: Callable[[], Headcount], tell: Callable[[int, int], None]) -> None:
        self._loop, self._headcount, self._tell_them = loop, headcount, tell
        self._ordered = self._telling = False
        self._told: Optional[Headcount] = None

    def ordered(self) -> None:
        self._ordered, self._told = True, None
        self._tell()

    def perhaps_changed(self) -> None:
        if self._ordered and not self._telling and self._headcount() != self._told:
            self._telling = True
            self._loop.call_at(self._loop.now() + SOON, self._tell)

    def _tell(self) -> None:
        self._telling = False
        count = self._headcount()
        if count != self._told:
            self._tell_them(*count)
            self._told = count
