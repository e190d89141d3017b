"""Texts that are numbers with a unit of their own: seconds, megabytes, niceness, modes. As ``values`` promises it."""

from __future__ import annotations

import re

YEAR = 365 * 24 * 3600
MOST_MEGABYTES = 10**8 - 1


def parse_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise ValueError("must be a number of seconds above 0, without a unit, such as 30 or 0.5")
    return seconds


def parse_span(text: str) -> float:
    """Seconds, of which 0 means that there is no bound."""
    seconds = 0.0 if text.lower() in ("no", "off", "false") else _seconds(text)
    if seconds is None:
        raise ValueError("must be a number of seconds, without a unit, such as 30 or 0.5; 0 turns it off")
    return seconds


def _seconds(text: str) -> float | None:
    """None: it is no number."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,6})?", text):
        return None
    if float(text) > YEAR:
        raise ValueError(f"must be at most {YEAR} seconds, which is a year")
    return float(text)


def parse_megabytes(text: str) -> int:
    """uWSGI's unit of memory -> bytes."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError("must be a whole number of megabytes, without a unit, such as 256; 0 is no limit")
    # Not by int(): Python refuses what has thousands of digits, in words of its own.
    if len(text) > len(str(MOST_MEGABYTES)):
        raise ValueError(f"must be at most {MOST_MEGABYTES}: it is megabytes, not bytes")
    return int(text) * 1024 * 1024


def parse_nice(text: str) -> int:
    """setpriority(2)."""
    if not re.fullmatch(r"-?[0-9]{1,2}", text) or not -20 <= int(text) <= 19:
        raise ValueError("must be a whole number from -20, which is served first, to 19")
    return int(text)


def parse_mode(text: str) -> int:
    """``chmod-socket``: uWSGI's 1 and bare form mean 666. Set-uid, set-gid and sticky mean nothing on a
    socket."""
    if text in ("", "1"):
        return 0o666
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("must be an octal mode such as 660 or 0660")
    return int(text, 8)


def parse_umask(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,3}|0[0-7]{3}", text):
        raise ValueError("must be an octal mask such as 022, or 0 for none")
    return int(text, 8)
