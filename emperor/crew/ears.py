"""What a crew tells of itself, and to whom.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from typing import Callable, NamedTuple


class Ears(NamedTuple):
    """Who wants to hear what: lines of a worker, the first word that it serves, why one cannot, that all are gone."""

    lines: Callable[[int, list[str]], None]
    serving: Callable[[], None]
    failed: Callable[[str, str], None]
    empty: Callable[[], None]
    crewed: Callable[[int, int], None]
    """After an order to resize, whenever one of them changes: how many serve, how many are on their way out."""
