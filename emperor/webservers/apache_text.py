"""Apache's grammar: one file's text -> directives and sections, each with its line. Pure.

Source: httpd.apache.org/docs/2.4/configuring.html. What is written wrongly is a flaw and is left out; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from emperor.webservers.route import Where
from emperor.webservers.tree import Statement

DEEPEST = 60
_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+))')
_VARIABLE = re.compile(r"\$\{([^}:]{1,200})\}")

_SECTIONS = re.compile(
    "virtualhost|location(match)?|directory(match)?|files(match)?|proxy(match)?|if(module|define|version|file)?|elseif"
    "|else|limit(except)?|macro|require(all|any|none)"
)

Complain = Callable[[Where, str], None]


class _Open(NamedTuple):
    name: str
    args: tuple[str, ...]
    where: Where
    inner: list[Statement]


def parse(path: str, text: str, complain: Complain) -> tuple[Statement, ...]:
    """Names in small letters: Apache does not tell them apart."""
    stack = [_Open("", (), Where(path), [])]
    for number, line in _lines(text):
        where = Where(path, number)
        if line.startswith("</"):
            _close(stack, line[2:].rstrip("> \t").lower(), where, complain)
        elif line.startswith("<"):
            if not line.endswith(">"):
                complain(where, "a section's line does not end with >")
            name, _, rest = line[1:].rstrip(">").strip().partition(" ")
            if len(stack) > DEEPEST:
                complain(where, "too many sections within each other")
                break
            stack.append(_Open(name.lower(), words(rest), where, []))
        else:
            name, args = line.split(None, 1)[0], line.split(None, 1)[1:]
            stack[-1].inner.append(Statement(name.lower(), words(args[0]) if args else (), where))
    for one in reversed(stack[1:]):
        complain(one.where, f"<{_known(one.name)}> is not closed in this file")
        _fold(stack)
    return tuple(stack[0].inner)


def words(text: str) -> tuple[str, ...]:
    """Arguments. A backslash stands for itself but before the quote that surrounds the word."""
    found = []
    for match in _WORD.finditer(text):
        double, single, plain = match.groups()
        if double is not None:
            found.append(double.replace('\\"', '"'))
        else:
            found.append(single.replace("\\'", "'") if single is not None else plain)
    return tuple(found)


def expanded(text: str, defined: Mapping[str, str]) -> str:
    """``${NAME}``; one that is not defined stays, as Apache leaves it."""
    return _VARIABLE.sub(lambda match: defined.get(match[1], match[0])[:4096], text) if "${" in text else text


def _lines(text: str) -> list[tuple[int, str]]:
    """Continued ones joined, without comments and empty ones; each with the number of its first line."""
    found: list[tuple[int, str]] = []
    pending: list[str] = []
    begun = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        begun = begun if pending else number
        if line.endswith("\\"):
            pending.append(line[:-1])
            continue
        whole = "".join([*pending, line]).strip()
        pending = []
        if whole and not whole.startswith("#"):
            found.append((begun, whole))
    if pending:
        found.append((begun, "".join(pending).strip() or "#"))
    return [(number, line) for number, line in found if not line.startswith("#")]


def _close(stack: list[_Open], name: str, where: Where, complain: Complain) -> None:
    if len(stack) > 1 and stack[-1].name == name:
        _fold(stack)
    elif len(stack) > 1:
        complain(where, f"</{_known(name)}> where </{_known(stack[-1].name)}> should stand")
        if any(one.name == name for one in stack[1:]):
            while stack[-1].name != name:
                _fold(stack)
            _fold(stack)
    else:
        complain(where, f"</{_known(name)}> without <{_known(name)}>")


def _fold(stack: list[_Open]) -> None:
    one = stack.pop()
    stack[-1].inner.append(Statement(one.name, one.args, one.where, tuple(one.inner)))


def _known(name: str) -> str:
    """A section's name may be shown; anything else may be a secret in a file that is no configuration."""
    return name if _SECTIONS.fullmatch(name) else "section"
