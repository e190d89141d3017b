"""Waiting for something to become true, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, TypeVar

Seen = TypeVar("Seen")

DEADLINE = 20.0
POLL = 0.02
HUNG = 60.0
"""Seconds after which a program that was to end by itself has hung: no machine is that slow, and the test fails."""
BUILT = 900.0
"""The same of who builds and downloads."""


def wait_for(
    look: Callable[[], Seen],
    good: Callable[[Seen], object] = bool,
    what: str = "",
    deadline: float = DEADLINE,
) -> Seen:
    """Look every 20 ms until what is seen is good, and return it. AssertionError: what was seen last."""
    end = time.monotonic() + deadline
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what or 'what was waited for'}: not within {deadline:g} s; last seen: {seen!r}")
        time.sleep(POLL)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What happens inside is allowed this long."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took <= seconds, f"took {took:.2f} s, allowed {seconds:g} s"
