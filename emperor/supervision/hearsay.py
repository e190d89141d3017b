"""What is taken from somebody who may lie: numbers, texts and lists within their bounds, or a ``ChannelError``. Pure.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Any, Optional

from emperor.errors import ChannelError
from emperor.text import printable

MAX_NUMBER = 2**63


def list_of(raw: Any) -> list[Any]:
    if type(raw) is not list:
        raise ChannelError("channel: a list is something else")
    return raw


def number_of(raw: Any) -> int:
    if type(raw) is not int or not 0 <= raw < MAX_NUMBER:
        raise ChannelError("channel: a number is out of its range")
    return raw


def text_of(raw: Any, limit: int) -> str:
    if type(raw) is not str or len(raw) > limit:
        raise ChannelError("channel: a text is too long")
    return printable(raw, keep_newlines=True)


def word_of(raw: Any, limit: int) -> str:
    """One line; an escape that would make it longer is cut."""
    return printable(text_of(raw, limit))[:limit]


def moment_of(raw: Any) -> Optional[float]:
    # Not a number (NaN) is not between any two.
    if raw is not None and (type(raw) not in (int, float) or not 0 <= raw < MAX_NUMBER):
        raise ChannelError("channel: a moment is out of its range")
    return None if raw is None else float(raw)


def span_of(raw: Any) -> float:
    return moment_of(raw) or 0.0
