"""Text from somebody else, made safe to show: bounded, and without a character that a terminal would obey.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, DEL, C1, line separators, direction overrides, lone surrogates; tab and newline are decided by the caller."""


def _escape(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def printable(text: str, keep_newlines: bool = False) -> str:
    """The same text for a terminal or a log: what could steer either is shown as an escape."""
    if not keep_newlines and "\n" in text:
        text = text.replace("\n", "\\n")
    return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters; the middle goes first, for the end of a traceback is where the reason stands."""
    if len(text) <= limit:
        return text
    half = max(0, (limit - 7) // 2)
    return text[:half] + "\n[...]\n" + text[len(text) - half :]
