"""``%(a + 3)``: uWSGI's arithmetic between values, from left to right, without precedence.

Source: ``uwsgi_manage_placeholder`` (core/config.c). Words are parted by blanks; two words without an operator between
them are joined as texts; a text that is no number counts as the number that it begins with, or as 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

from emperor.config.language.inifile import LENGTH
from emperor.config.language.logic import Refused

_LEADING = re.compile(r"\s{0,32}([+-]?[0-9]{1,30})", re.ASCII)
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

_BETWEEN: MappingProxyType[str, Callable[[int, int], int]] = MappingProxyType(
    {
        "+": lambda one, other: one + other,
        "-": lambda one, other: one - other,
        "*": lambda one, other: one * other,
        "/": lambda one, other: _quotient(one, other),
    }
)
_AFTER = MappingProxyType({"++": 1, "--": -1})


def evaluate(words: str, value_of: Callable[[str], str]) -> str | None:
    """``words``: what stands in the parentheses, with blanks in it. ``value_of``: a key's value, "" without one.

    None: there is nothing but blanks. Raises Refused.
    """
    result: str | None = None
    operator = ""
    for word in words.split(" "):
        if not word:
            continue
        if word in _BETWEEN:
            operator = word
        elif word in _AFTER:
            if result is not None:
                result = _text(_number(result) + _AFTER[word])
            operator = ""
        else:
            value = word if re.fullmatch("[0-9]+", word) else value_of(word)
            before = result or ""
            result = _text(_BETWEEN[operator](_number(before), _number(value))) if operator else before + value
            operator = ""
            if len(result) > LENGTH:
                raise Refused(f"becomes longer than {LENGTH} characters when its placeholders are replaced")
    return result


def _number(text: str) -> int:
    """strtoll(3)."""
    found = _LEADING.match(text)
    return max(_LOWEST, min(_HIGHEST, int(found[1]))) if found else 0


def _text(number: int) -> str:
    """As an int64_t holds it."""
    return str((number - _LOWEST) % 2**64 + _LOWEST)


def _quotient(one: int, other: int) -> int:
    """C rounds towards zero; a division by zero is 0 here."""
    if other == 0:
        return 0
    whole = abs(one) // abs(other)
    return whole if (one < 0) == (other < 0) else -whole
