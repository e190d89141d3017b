"""A uWSGI-like command line -> rows, so that ``emperor run`` goes the way that every ini goes.

``--name value``, ``--name=value``, ``-s value``, ``-svalue``. As in getopt_long(3), an option that may stand
alone (``--master``, ``--chmod-socket``) takes a value only when it is attached: ``--chmod-socket=020``,
``-C020``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emperor.config.foreign import app_hint, spelling
from emperor.config.inifile import Row
from emperor.config.options import find, find_letter, suggestion
from emperor.config.table.option import Option
from emperor.model import Problem

PATH = "command line"
"""Stands for the file in rows and messages; the line is 0."""


def cli_rows(argv: Sequence[str]) -> tuple[tuple[Row, ...], tuple[str, ...], tuple[Problem, ...]]:
    """Rows in their order, what is no option, and problems.

    A row of ``ini`` is left for the caller, who reads that file and puts its rows in this one's place, or
    drops it: whether and as whom a file is read is not decided here.
    """
    words = iter(argv)
    found: list[Row | Problem | str] = []
    for word in words:
        if word == "--":
            found.extend(words)
        elif word.startswith("--"):
            found.append(_long(word[2:], words))
        elif word.startswith("-") and len(word) > 1:
            found.extend(_short(word[1:], words))
        else:
            found.append(_positional(word))
    return (
        tuple(one for one in found if isinstance(one, Row)),
        tuple(one for one in found if isinstance(one, str)),
        tuple(one for one in found if isinstance(one, Problem)),
    )


def _long(word: str, words: Iterator[str]) -> Row | Problem:
    name, equals, value = word.partition("=")
    option = find(name)
    if option is None:
        return _unknown(name, bool(equals), words)
    return _row(name, option, value if equals else None, words)


def _positional(word: str) -> Problem | str:
    hint = app_hint(word)
    return Problem(PATH, 0, word, hint) if hint else word


def _unknown(name: str, has_value: bool, words: Iterator[str]) -> Problem:
    foreign = spelling(name)
    if foreign is None:
        return Problem(PATH, 0, f"--{name}", f"unknown option{suggestion(name)}")
    if foreign.value and not has_value:
        # Its value is no file of ours.
        next(words, None)
    return Problem(PATH, 0, f"--{name}", f"unknown option; here it is {foreign.ours}")


def _short(letters: str, words: Iterator[str]) -> Iterator[Row | Problem]:
    """``-MT`` is two flags; ``-s/x`` and ``-C020`` carry their value."""
    while letters:
        letter, letters = letters[0], letters[1:]
        option = find_letter(letter)
        if option is None:
            yield Problem(PATH, 0, f"-{letter}", "unknown option")
            return
        flag = option.kind.bare and option.name != "chmod-socket"
        yield _row(option.name, option, None if flag or not letters else letters, words)
        letters = letters if flag else ""


def _row(name: str, option: Option, value: str | None, words: Iterator[str]) -> Row | Problem:
    if value is None:
        value = "" if option.kind.bare else next(words, None)
    if value is None:
        return Problem(PATH, 0, f"--{name}", f"needs a value: {option.kind.text}")
    return Row(name, value, PATH, 0)
