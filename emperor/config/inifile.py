"""uWSGI's ini grammar: text -> rows in the order of the file, and what is wrong with it.

A line is a comment (``;`` or ``#`` first), a section header, or ``option = value`` up to the first ``=``.
There are no inline comments, no quotes, no continuation lines. Sections [uwsgi] and [emperor] are read,
others are skipped. No message repeats what stands in the file, except an option's name that has the form of
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from emperor.model import Problem

SECTIONS = ("uwsgi", "emperor")
LIMIT = 64 * 1024
LINES = 1000
LINE = 4096
"""Bounds on what an unprivileged user can make the emperor read: bytes of a file, lines of it, characters of
one."""

OPTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Row:
    """One ``key = value`` and where it stands. ``referenced``: some ``%(key)`` names it (``expansion``
    knows)."""

    key: str
    value: str
    path: str
    line: int
    referenced: bool = False


def decode(data: bytes, path: str) -> str | Problem:
    """The text of a file, or why it is none."""
    if len(data) > LIMIT:
        return Problem(path, 0, "", f"is larger than {LIMIT // 1024} KiB -- is it an ini?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(path, data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8 -- save the file as UTF-8")


def parse(text: str, path: str) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """Every row of the sections that are ours, and every problem."""
    if len(text) > LIMIT:
        return (), (Problem(path, 0, "", f"is larger than {LIMIT // 1024} KiB -- is it an ini?"),)
    lines = text.removeprefix("\ufeff").split("\n")
    if len(lines) > LINES + 1:
        return (), (Problem(path, LINES + 1, "", f"has more than {LINES} lines -- is it an ini?"),)
    found = tuple(_read(lines, path))
    rows = tuple(one for one in found if isinstance(one, Row))
    problems = tuple(one for one in found if isinstance(one, Problem))
    if not any(_section(line.strip()) in SECTIONS for line in lines):
        problems = (
            Problem(path, 0, "", "has no [uwsgi] section -- begin the file with the line [uwsgi]"),
            *problems,
        )
    return rows, problems


def _read(lines: list[str], path: str) -> Iterator[Row | Problem]:
    inside = False
    for number, raw in enumerate(lines, 1):
        line = raw.strip(" \t\r")
        if line.startswith("["):
            inside = _section(line) in SECTIONS
            if not line.endswith("]"):
                yield Problem(path, number, "", "a section header ends with ] and nothing may follow it")
        elif inside and line and line[0] not in ";#":
            yield _row(raw, path, number)


def _section(line: str) -> str:
    return line[1:-1] if line.startswith("[") and line.endswith("]") else ""


def _row(raw: str, path: str, number: int) -> Row | Problem:
    key, _, value = raw.partition("=")
    key, value = key.strip(" \t\r"), value.strip(" \t\r")
    if len(raw) > LINE:
        return Problem(path, number, "", f"the line is longer than {LINE} characters")
    if not OPTION_NAME.fullmatch(key):
        return Problem(path, number, "", "is neither a comment nor OPTION = VALUE")
    if "\0" in value:
        return Problem(path, number, key, "must not contain a NUL character")
    return Row(key, value, path, number)
