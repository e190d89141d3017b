"""How much work one ini may make: it is root who reads it, and others wait meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 2_000_000
"""A twentieth of a second of CPU, about: twice what 900 lines of three references each take."""

STEP = 32
"""A microsecond: to look a word up, to put a piece in its place."""


class Exhausted(Exception):
    """Nothing more is read of this ini."""

    def __str__(self) -> str:
        return "takes more work to read than an ini may make -- nothing after this is read"


@dataclass
class Effort:
    left: int = MOST

    def spend(self, amount: int) -> None:
        """Raises Exhausted."""
        self.left -= amount
        if self.left < 0:
            raise Exhausted
