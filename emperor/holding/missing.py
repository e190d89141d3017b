"""Socket files that somebody removed: seen within seconds, so that nobody waits for a reload to be served again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from emperor.config.placement import EMPEROR
from emperor.holding.held import Held
from emperor.model import Address
from emperor.supervision.backoff import worth_repeating
from emperor.system import listeners

GONE = "its file was removed -- bound again"
TAKEN = "another file has taken its place -- bound again once that is gone"

MOST_NAMED = 3


class Missing:
    """Of one vassal. It looks itself where no user can write; elsewhere the vassal does, and its word is heard."""

    def __init__(self) -> None:
        self._counts: dict[Address, int] = {}
        self._told: set[Address] = set()

    def hear(self, address: Address) -> None:
        """However often it is said between two looks, it counts once."""
        self._told.add(address)

    def look(self, held: Mapping[Address, Held], expected: Iterable[Address]) -> list[str]:
        """A line for each file that is gone; again at growing distances. ``expected``: whose mending is under way."""
        told, self._told = self._told & held.keys(), set()
        found = [f"{', '.join(sorted(map(str, told))[:MOST_NAMED])}: {GONE}"] if told else []
        counts = {}
        for address, one in held.items():
            if one.binder != EMPEROR or one.place is None:
                continue
            there = listeners.place_of(address.path)
            if there == one.place:
                continue
            counts[address] = self._counts.get(address, 0) + (address not in expected)
            if address not in expected and worth_repeating(counts[address]):
                gone = there is None and not os.path.lexists(address.path)
                found.append(f"{address}: {GONE if gone else TAKEN}")
        self._counts = counts
        return found
