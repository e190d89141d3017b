"""When has a changing file come to rest? A file is read once its signature has stayed the same for a while.

So an editor's three writes are one change, a file that is deleted and made again is a change and no removal, and a
half-written file is not read. Pure: signatures and the time come in as arguments.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Optional

QUIET = 0.25
"""Seconds without a change."""

Signature = Optional[Hashable]
"""None: the file is not there."""


@dataclass(frozen=True)
class Look:
    """What was known, and what differs from it since when."""

    known: Mapping[str, Signature] = field(default_factory=dict)
    moving: Mapping[str, tuple[Signature, float]] = field(default_factory=dict)


def look(before: Look, seen: Mapping[str, Signature], now: float, quiet: float = QUIET) -> tuple[Look, tuple[str, ...]]:
    """The next state and the names that have come to rest with a new signature, in order; removed ones first."""
    known, moving, ripe = dict(before.known), {}, []
    for name in sorted({*before.known, *seen}):
        signature = seen.get(name)
        if signature == before.known.get(name):
            continue
        last, since = before.moving.get(name, (object(), now))
        since = since if signature == last else now
        # The sum that next_look told: a difference may be rounded to just below.
        if now >= since + quiet:
            known[name] = signature
            ripe.append(name)
        else:
            moving[name] = (signature, since)
    gone = [name for name in ripe if seen.get(name) is None]
    for name in gone:
        del known[name]
    return Look(known, moving), tuple(gone + [name for name in ripe if name not in gone])


def next_look(state: Look, quiet: float = QUIET) -> Optional[float]:
    """When to look again although nobody hinted at anything."""
    return min((since + quiet for _, since in state.moving.values()), default=None)
