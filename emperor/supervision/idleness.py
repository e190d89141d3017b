"""Has nobody asked for anything for so long? From what a crew counts, looked at now and then. Pure.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Idleness:
    """``since``: from when on nothing has changed, monotonic seconds; None: nobody has looked yet."""

    requests: int = 0
    since: Optional[float] = None


def look(before: Idleness, requests: int, busy: bool, patience: float, now: float) -> tuple[Idleness, bool]:
    """``requests``: all that were ever answered. True: it has lasted for ``patience`` seconds.

    Said again at each look, as long as it lasts: whoever was told may have passed over it, for reasons such as a clock
    that began a moment later than ours.
    """
    if before.since is None or busy or requests != before.requests:
        return Idleness(requests, now), False
    return before, now - before.since >= patience
