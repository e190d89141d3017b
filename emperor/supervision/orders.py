"""What an emperor may say to a vassal that serves: one datagram, one JSON object. All else is said by signals.

A vassal trusts its emperor; what it does not know it passes over, for the emperor may have become a newer program.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Optional

MAX_DATAGRAM = 4096


@dataclass(frozen=True)
class Resize:
    """From now on there are ``workers`` of them; with ``cheaper``, at most so many. 0: nobody new, all retire."""

    workers: int


def encode(order: Resize) -> bytes:
    return json.dumps(["resize", {"workers": order.workers}]).encode("ascii")


def decode(data: bytes) -> Optional[Resize]:
    """None: it is none that we know."""
    try:
        name, raw = json.loads(data)
        return Resize(max(0, int(raw["workers"]))) if name == "resize" else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
