"""How long to wait before a child that died is started again.

The first death of a child that had served is answered at once; from then on the pause doubles up to a minute and
never ends the attempts: an outage of a database must heal by itself. At most 20 starts in the first ten minutes.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

FIRST = 0.25
CAP = 60.0
STABLE = 10.0
"""Seconds of life, with some service, after which earlier deaths are forgotten."""

SOME_SERVICE = 1.0
"""Seconds that do somebody good. What dies as it becomes ready was but a long import, and so will the next one be."""

JITTER = 0.25
"""At most this share is added, so that a hundred vassals that lost one database do not come back as one."""


def delay(failures: int, had_served: bool, luck: float) -> float:
    """Seconds to wait after the ``failures``-th death in a row (1 is the first); ``luck`` is in [0, 1)."""
    if failures <= 1 and had_served:
        return 0.0
    doublings = min(failures - 1, 16)
    return float(min(CAP, FIRST * 2**doublings) * (1 + JITTER * luck))


def stable(lived: float, served: Optional[float]) -> bool:
    """Are the deaths before it forgotten? Seconds since its start, and since it was ready, None: it never was."""
    return served is not None and lived >= STABLE and served >= SOME_SERVICE


def worth_repeating(count: int) -> bool:
    """Is what was seen for the ``count``-th time in a row to be said, or tried, once more?"""
    return count in (1, 2, 4, 8) or count % 12 == 0
