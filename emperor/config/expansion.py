"""Placeholders: ``%n`` (magic), ``$(VAR)`` (environment) and ``%(key)`` (the first value of another option).

The three passes run in uWSGI's order (core/uwsgi.c:2232). What is unknown stays as it is written. The work is
bounded: a reference chain has a depth, a value a length. Logic (``if-env``, ``for``) and ``@(file)`` are
refused, not ignored.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from emperor.config.inifile import OPTION_NAME, Row
from emperor.model import Problem

DEPTH = 32
LENGTH = 8192
"""No path, address or variable that anybody means is longer; doubling references would be (a=%(b)%(b),
b=%(c)%(c), …)."""

_MAGIC = re.compile(r"%(?!\()(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\(([^()]*)\)")
_REFERENCE = re.compile(r"%\(([^()]*)\)")
_ARITHMETIC = re.compile(r"(\S+)\s*(\+|-|\*|/|\s)")
_LOGIC = re.compile(r"for(-glob|-times|-readline)?|if-.+|else")
_END = frozenset(("end", "endif", "end-if", "endfor", "end-for"))
_SET_PLACEHOLDER = frozenset(("set-placeholder", "set-ph"))


def magic(path: str, given: str = "") -> dict[str, str]:
    """What an ini's path says: letter -> text (uWSGI's core/utils.c:1853).

    ``path`` is absolute, ``given`` is the path as the user wrote it. Upper case is the first file that was
    read, which is the same one. Host name (h) and version (V) are for the caller to add.
    """
    folder, base = posixpath.split(path)
    stem, _, extension = base.rpartition(".") if "." in base else (base, "", "")
    parts = [part for part in folder.split("/") if part]
    letters = {
        "o": given or path,
        "p": path,
        "s": base,
        "n": stem,
        "e": extension,
        "d": folder.rstrip("/") + "/",
        "c": parts[-1] if parts else "",
        "x": "uwsgi",
    }
    digits = {str(index): parts[index] if index < len(parts) else "" for index in range(10)}
    upper = {letter.upper(): text for letter, text in letters.items()}
    return {**letters, **upper, **digits, "v": folder or "/", "%": "%"}


def expand(
    rows: Sequence[Row], magic: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """The rows with their placeholders replaced; rows of ``set`` become the row that they set.

    ``environ`` is empty for an ini that somebody else than the administrator can write: what is in the
    emperor's environment is not theirs to read.
    """
    problems = [problem for row in rows for problem in _unsupported(row)]
    plain = [row for row in rows if not (_LOGIC.fullmatch(row.key) or row.key in _END)]
    early = [_early(_assigned(row), magic, environ, problems) for row in plain]
    references = _References(_first_values(early), problems)
    late = [replace(row, value=references.resolve(row)) for row in early]
    return tuple(replace(row, referenced=row.key in references.used) for row in late), tuple(problems)


def _unsupported(row: Row) -> list[Problem]:
    if _LOGIC.fullmatch(row.key):
        return [Problem(row.path, row.line, row.key, "logic in inis is not supported yet -- write the lines out")]
    if "@(" in row.value:
        return [Problem(row.path, row.line, row.key, "@(file) is not supported yet -- write the value itself")]
    return []


def _assigned(row: Row) -> Row:
    """``set = key=value`` is ``key = value``; whatever is no assignment is left for the option's own
    parser."""
    key, equals, value = (part.strip() for part in row.value.partition("="))
    if row.key != "set" or not equals or not OPTION_NAME.fullmatch(key):
        return row
    return replace(row, key=key, value=value)


def _early(row: Row, magic: Mapping[str, str], environ: Mapping[str, str], problems: list[Problem]) -> Row:
    unknown: list[str] = []

    def letter(found: re.Match[str]) -> str:
        if found[1] not in magic:
            unknown.append(found[1])
        return magic.get(found[1], found[0])

    value = _MAGIC.sub(letter, row.value)[: LENGTH + 1]
    if unknown:
        message = "a % that begins no placeholder is left as it is -- write %% for a percent sign"
        problems.append(Problem(row.path, row.line, row.key, message, fatal=False))
    return replace(row, value=_VARIABLE.sub(lambda found: environ.get(found[1], found[0]), value))


def _first_values(rows: Sequence[Row]) -> dict[str, str]:
    """``%(key)`` is the first value of a key, whereas the option itself takes the last
    (core/config.c:691)."""
    first: dict[str, str] = {}
    for row in rows:
        key, value = row.key, row.value
        if key in _SET_PLACEHOLDER:
            key, _, value = (part.strip() for part in value.partition("="))
        first.setdefault(key, value)
    return first


class _Refused(Exception):
    """Why a reference cannot be resolved."""


@dataclass
class _References:
    """Resolves each key once, so that the work grows with the number of rows and not with what they refer
    to."""

    first: Mapping[str, str]
    problems: list[Problem]
    used: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)
    dangling: list[str] = field(default_factory=list)

    def resolve(self, row: Row) -> str:
        self.dangling.clear()
        try:
            value = self._expanded(row.value, ())
            if self.dangling and not row.key.startswith("log"):
                # A log format's %(addr) is meant for the log; elsewhere it is a slip.
                message = "%(…) names nothing that this ini defines; it stays as it is written"
                self.problems.append(Problem(row.path, row.line, row.key, message, fatal=False))
            return value
        except _Refused as why:
            self.problems.append(Problem(row.path, row.line, row.key, str(why)))
            return row.value

    def _expanded(self, text: str, chain: tuple[str, ...]) -> str:
        pieces: list[str] = []
        size = at = 0
        for found in _REFERENCE.finditer(text):
            pieces += text[at : found.start()], self._value(found, chain)
            size += len(pieces[-1])
            at = found.end()
            if size > LENGTH:
                break
        whole = "".join((*pieces, text[at:]))
        if len(whole) > LENGTH:
            raise _Refused(f"becomes longer than {LENGTH} characters when its placeholders are replaced")
        return whole

    def _value(self, found: re.Match[str], chain: tuple[str, ...]) -> str:
        key = found[1]
        if key not in self.first:
            sum_of = _ARITHMETIC.match(key)
            if sum_of and sum_of[1] in self.first:
                raise _Refused("arithmetic in %(…) is not supported yet -- write the result")
            if key != "_":  # a loop's, which is told of already
                self.dangling.append(key)
            return found[0]
        self.used.add(key)
        if key in chain:
            raise _Refused("a placeholder refers to itself")
        if len(chain) >= DEPTH:
            raise _Refused(f"placeholders refer to each other more than {DEPTH} times over")
        if key not in self.known:
            self.known[key] = self._expanded(self.first[key], (*chain, key))
        return self.known[key]
