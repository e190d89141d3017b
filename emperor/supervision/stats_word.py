"""What a vassal says of the address where it tells its numbers: written by its server, known again by the emperor.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from emperor.text import printable

ANSWERS = "can be asked now"
"""What is said after it could not be for a while."""


def stats_word(address: str, text: str) -> str:
    """A vassal's word on where it tells its numbers; its emperor knows it by its beginning."""
    return f"stats {printable(address)}: {text}"
