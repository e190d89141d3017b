"""Values that uWSGI starts with, or templates leave behind, though they are none: what they count as. Pure.

Nothing is guessed: a comment is cut off where no value could hold one, and what is empty or 0 and would mean nothing
counts as if its line were not written. Each is said in a warning.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from emperor.config.table.option import Option

NUMBERS = frozenset(("count", "connections", "bytes", "seconds", "MB", "requests"))
"""The units of values that uWSGI reads with atoi(3)."""

OPTIONAL = frozenset(
    (
        *("virtualenv", "pythonpath", "chdir", "chdir2", "logto", "touch-reload"),
        *("socket", "uwsgi-socket", "fastcgi-socket", "http-socket", "http"),
    )
)
"""Without a value each is as if it were not written: a template had nothing to put there."""

POSITIVE = frozenset(
    ("processes", "threads", "reload-mercy", "socket-timeout", "listen", "cheaper-step", "cheaper-overload")
)
"""Of 0 of these there is nothing that anybody could mean."""

COMMENT = "what follows ; or # is left out -- a comment needs a line of its own"
EMPTY = "is empty, and counts as if it were not written"
ZERO = "is 0, and counts as if it were not written"
NO_VALUE = "has no = and sets nothing: it counts as if it were not written"

_BEHIND = re.compile(r"\s[;#]|;")


class Taken(NamedTuple):
    """``value``: what to parse; None: as if the line were not written. ``said``: a warning, or ""."""

    value: str | None
    said: str = ""


def take(option: Option, value: str) -> Taken:
    """What the text of an option that has an effect counts as."""
    if not value:
        return Taken(None, EMPTY) if option.name in OPTIONAL or option.kind.text in NUMBERS else Taken(value)
    if option.name == "env" and "=" not in value:
        return Taken(None, NO_VALUE)
    if not option.kind.closed:
        return Taken(value)
    alone = _BEHIND.split(value, maxsplit=1)[0].rstrip() or value
    if option.name in POSITIVE and not alone.strip("0"):
        return Taken(None, ZERO)
    return Taken(alone, COMMENT if alone != value else "")
