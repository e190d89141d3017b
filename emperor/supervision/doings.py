"""What a worker is at, as it may be shown to anybody: method and path, bounded and printable. Pure.

What a query says is nobody's business but the log's.
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Optional

from emperor.text import printable

SHOWN = 120
"""Characters of method and path at most, where a few words must do."""

ELLIPSIS = "..."

LONG = 2.0
"""Seconds after which a request is worth a word; a report with each shorter one would be another one each time."""


def bounded(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(ELLIPSIS)] + ELLIPSIS


def path_only(request: str) -> str:
    """Of a method and a URI."""
    return bounded(printable(request.partition("?")[0]), SHOWN)


def longest(doings: Iterable[tuple[float, str]], born: float, now: float) -> tuple[str, Optional[float]]:
    """Of these (since when, method and URI) the first that takes long: what, and since when. ("", None): none does."""
    # What began before its worker did is a number that is being written.
    since, request = min((one for one in doings if born <= one[0] <= now - LONG), default=(0.0, ""))
    return (path_only(request), since) if request else ("", None)


def died_in(how: str, requests: Sequence[str]) -> str:
    """``requests``: those that a worker had when it died. With several of them nobody knows which one it was."""
    return f"{how} in {path_only(requests[0])}" if len(requests) == 1 and requests[0] else how
