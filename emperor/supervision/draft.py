"""A step in the making: the record as it is by now, and what is to be done.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

from emperor.supervision import generation as gen
from emperor.supervision.events import Doing, Signal
from emperor.supervision.generation import Generation
from emperor.supervision.record import Vassal

SLOTS = ("serving", "incoming", "outgoing")


@dataclass
class Draft:
    """A step in the making."""

    vassal: Vassal
    now: float
    doings: list[Doing] = field(default_factory=list)

    def put(self, **changes: object) -> None:
        self.vassal = replace(self.vassal, **changes)  # type: ignore[arg-type]  # names are checked by replace

    def drive(self, slot: str, event: gen.Event) -> None:
        """Let the generation in ``slot`` take its own step."""
        one: Optional[Generation] = getattr(self.vassal, slot)
        if one is None:
            return
        after, actions = gen.step(one, event, self.now)
        self.put(**{slot: after})
        self.doings.extend(Signal(one.number, action) for action in actions)
