"""The first answers of scouts are waited for together, so that an administrator's ini is the first of two here as well.

It promises: nobody who has an answer waits longer than ``TOGETHER`` for those who have none, and the emperor is ready
after ``LONGEST`` at the latest, whoever hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emperor.intake.reading import Study
from emperor.system.eventloop import Loop

TOGETHER = 1.0
LONGEST = 5.0
LOOK_AGAIN = 0.02

Found = Mapping[str, tuple[str, Study, bool]]
"""Name → where it lies, what it says, and whether it was written."""


class Gathering:
    """``more``: is an answer still to come? ``give`` hears what was gathered; ``over``: nobody waits any more."""

    def __init__(
        self, loop: Loop, more: Callable[[], bool], give: Callable[[Found], None], over: Callable[[], None]
    ) -> None:
        self._loop, self._more, self._give, self._over = loop, more, give, over
        self._begun = loop.now()
        self._found: dict[str, tuple[str, Study, bool]] | None = {}

    def begin(self) -> None:
        self._look()

    def take(self, found: Found) -> bool:
        """False: nobody waits for others any more."""
        if self._found is None:
            return False
        self._found.update(found)
        return True

    def _look(self) -> None:
        now, more = self._loop.now(), self._more()
        if self._found is not None and (not more or now >= self._begun + TOGETHER):
            found, self._found = self._found, None
            self._give(found)
        if not more or now >= self._begun + LONGEST:
            self._over()
        else:
            self._loop.call_at(now + LOOK_AGAIN, self._look)
