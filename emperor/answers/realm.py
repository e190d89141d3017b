"""What the daemon lets its control socket see and do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from emperor.chronicle import Chronicle
from emperor.control.connection import Reply
from emperor.supervision.outcome import Given
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

    def most_workers(self, name: str) -> int | None:
        """How many an administrator allows, whatever the ini says; None: as many as the ini says."""
        ...

    def trouble(self) -> str:
        """What is wrong with the emperor itself, for administrators; "": nothing."""
        ...

    def order(self, name: str, verb: str, workers: int, when: Callable[[Callable[[], Given]], None]) -> None:
        """``when`` takes what carries it out: at once, or later where its ini is not read at once."""
        ...

    def upgrade(self, reply: Reply) -> None:
        """Replace this program by the one that is installed now; answered by whichever of them then runs."""
        ...
