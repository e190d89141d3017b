"""uWSGI's ini grammar: text -> rows in the order of the file, and what is wrong with it.

A line is a comment (``;`` or ``#`` first), a section header, or ``option = value`` up to the first ``=``.
There are no inline comments, no quotes, no continuation lines. Sections [uwsgi] and [emperor] are read, or the one that
is asked for; others are skipped. Magic is replaced in each line before it is taken apart. No message repeats what
stands in the file, except an option's name that has the form of one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from emperor.config.language import magic
from emperor.model import Problem

SECTIONS = ("uwsgi", "emperor")
LIMIT = 64 * 1024
LINES = 1000
LINE = 4096
"""Bounds on what an unprivileged user can make the emperor read: bytes of a file, lines of it, characters of
one."""

BLANKS = " \t\r"

LENGTH = 8192
"""What a value may become. No path, address or variable that anybody means is longer; doubling references would be
(a=%(b)%(b), b=%(c)%(c), …)."""

STRAY_PERCENT = "a % that begins no placeholder is left as it is -- write %% for a percent sign"

OPTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Row:
    """One ``key = value`` and where it stands. ``referenced``: some ``%(key)`` names it (``references`` knows).

    ``admin``: an administrator wrote it, whoever wrote the ini that it is for. ``pieced``: other keys, the environment
    or files are in its value.
    """

    key: str
    value: str
    path: str
    line: int
    referenced: bool = False
    admin: bool = False
    pieced: bool = False


def decode(data: bytes, path: str) -> str | Problem:
    """The text of a file, or why it is none."""
    if len(data) > LIMIT:
        return Problem(path, 0, "", f"is larger than {LIMIT // 1024} KiB -- is it an ini?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(path, data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8 -- save the file as UTF-8")


def parse(
    text: str,
    path: str,
    sections: Collection[str] = SECTIONS,
    letters: Mapping[str, str] = magic.CONSTANT,
) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """Every row of the sections that are asked for, and every problem. ``letters``: magic and what it says."""
    if len(text) > LIMIT:
        return (), (Problem(path, 0, "", f"is larger than {LIMIT // 1024} KiB -- is it an ini?"),)
    lines = text.removeprefix("\ufeff").split("\n")
    if len(lines) > LINES + 1:
        return (), (Problem(path, LINES + 1, "", f"has more than {LINES} lines -- is it an ini?"),)
    found = tuple(_read(lines, path, sections, letters))
    rows = tuple(one for one in found if isinstance(one, Row))
    problems = tuple(one for one in found if isinstance(one, Problem))
    if not problems and not any(isinstance(one, _Header) for one in found):
        ours = "has no [uwsgi] section -- begin the file with the line [uwsgi]"
        missing = ours if sections == SECTIONS else "has no section of the name that is asked for"
        problems = (Problem(path, 0, "", missing),)
    return rows, problems


@dataclass(frozen=True)
class _Header:
    """The beginning of a section that is asked for."""


def _read(
    lines: list[str], path: str, sections: Collection[str], letters: Mapping[str, str]
) -> Iterator[Row | Problem | _Header]:
    inside = False
    for number, written in enumerate(lines, 1):
        if len(written) > LINE:
            # It is not even replaced.
            yield from _too_long(written, path, number) if inside else ()
            continue
        raw, unknown = magic.replaced(written, letters, LENGTH)
        line = raw.strip(BLANKS)
        if line.startswith("["):
            inside = _section(line) in sections
            if inside:
                yield _Header()
            if not line.endswith("]"):
                yield Problem(path, number, "", "a section header ends with ] and nothing may follow it")
        elif inside:
            yield from _rows(raw, unknown, path, number)


def _is_comment(line: str) -> bool:
    """Or blank."""
    return line.lstrip(BLANKS)[:1] in ("", ";", "#")


def _too_long(line: str, path: str, number: int) -> Iterator[Problem]:
    if not _is_comment(line):
        yield Problem(path, number, "", f"the line is longer than {LINE} characters")


def _rows(raw: str, unknown: bool, path: str, number: int) -> Iterator[Row | Problem]:
    if _is_comment(raw):
        return
    row = _row(raw, path, number)
    yield row
    if unknown and isinstance(row, Row):
        yield Problem(path, number, row.key, STRAY_PERCENT, fatal=False)


def _section(line: str) -> str:
    return line[1:-1] if line.startswith("[") and line.endswith("]") else ""


def _row(raw: str, path: str, number: int) -> Row | Problem:
    key, _, value = raw.partition("=")
    key, value = key.strip(BLANKS), value.strip(BLANKS)
    if len(raw) > LENGTH:
        return Problem(path, number, "", f"becomes longer than {LENGTH} characters when its placeholders are replaced")
    if not OPTION_NAME.fullmatch(key):
        return Problem(path, number, "", "is neither a comment nor OPTION = VALUE")
    if "\0" in value:
        return Problem(path, number, key, "must not contain a NUL character")
    return Row(key, value, path, number)
