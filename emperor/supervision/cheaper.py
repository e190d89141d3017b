"""``cheaper``: how many workers a crew is to have, by how busy it is. Frozen values alone.

More of them when every thread of all of them was busy at each look for ``cheaper-overload`` seconds. One fewer when,
for ten times as long, what was seen would have left a whole worker free even without that one: so what one look makes
grow, the next does not shrink, and a load that stays the same moves nothing. While any is missing (it starts, or has
died and is made good) nothing is decided: that is nobody's load.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from emperor.model import VassalSpec

LOOK_EVERY = 0.2
"""Seconds between two looks while all are busy."""

QUIET = 10.0
"""Times ``cheaper-overload``."""


class Bounds(NamedTuple):
    """``least``, ``first``: already no more than ``most``. ``overload``: seconds."""

    least: int
    first: int
    most: int
    step: int
    overload: float
    threads: int


class Pace(NamedTuple):
    """``full_since``, ``quiet_since``: at each look since then, in monotonic seconds; None: not at the last one."""

    wanted: int
    full_since: Optional[float] = None
    quiet_since: Optional[float] = None


def bounds(spec: VassalSpec, most: int) -> Bounds:
    """Without ``cheaper`` the least is the most."""
    least = spec.cheaper or most
    first = max(least, spec.cheaper_initial)
    return Bounds(min(least, most), min(first, most), most, spec.cheaper_step, spec.cheaper_overload, spec.threads)


def fitted(pace: Pace, bounds: Bounds) -> Pace:
    """After the bounds have changed."""
    return Pace(min(max(pace.wanted, bounds.least), bounds.most))


def look(pace: Pace, bounds: Bounds, ready: int, busy: int, now: float) -> Pace:
    """``ready``: how many workers serve; ``busy``: how many of their threads have a request."""
    if ready != pace.wanted or bounds.least == bounds.most:
        return Pace(pace.wanted)
    if busy >= ready * bounds.threads and pace.wanted < bounds.most:
        since = now if pace.full_since is None else pace.full_since
        if now - since >= bounds.overload:
            return Pace(min(bounds.most, pace.wanted + bounds.step))
        return Pace(pace.wanted, full_since=since)
    if busy <= (ready - 2) * bounds.threads and pace.wanted > bounds.least:
        since = now if pace.quiet_since is None else pace.quiet_since
        if now - since >= QUIET * bounds.overload:
            return Pace(pace.wanted - 1)
        return Pace(pace.wanted, quiet_since=since)
    return Pace(pace.wanted)
