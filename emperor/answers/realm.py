"""What the daemon lets its control socket see and do."""

from __future__ import annotations

from typing import Any, Protocol

from emperor.chronicle import Chronicle
from emperor.control.connection import Reply
from emperor.supervision.record import Vassal
from emperor.tending.performer import Performer


class Realm(Protocol):
    """The daemon, as its answers know it."""

    vassals: dict[str, Vassal]
    performers: dict[str, Performer]
    stopping: bool
    chronicle: Chronicle

    def effective(self, name: str, secrets: bool, placeholders: bool) -> dict[str, Any]:
        """What its ini says now, each value with its origin; what the caller may not see is masked."""
        ...

    def show(self, name: str, lines: int, numbers: bool = False) -> dict[str, Any]: ...

    def owner(self, name: str) -> int | None: ...

    def order(self, name: str, verb: str, workers: int = 0) -> str:
        """Carry it out; "" or why it cannot be (an invalid ini)."""
        ...

    def upgrade(self, reply: Reply) -> None:
        """Replace this program by the one that is installed now; answered by whichever of them then runs."""
        ...
