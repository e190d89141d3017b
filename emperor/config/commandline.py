"""A uWSGI-like command line -> rows, so that ``emperor run`` goes the way that every ini goes. Pure.

``--name value``, ``--name=value``, ``-s value``, ``-svalue``. As in getopt_long(3), an option that may stand
alone (``--master``, ``--chmod-socket``) takes a value only when it is attached: ``--chmod-socket=020``,
``-C020``. Abbreviations of long names are not taken. Which words there are a ``Vocabulary`` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from emperor.config import options
from emperor.config.foreign import ORDERS, app_hint, spelling
from emperor.config.language.inifile import OPTION_NAME, Row
from emperor.config.table.option import Option
from emperor.model import Problem

PATH = "command line"
"""Stands for the file in rows and messages; the line is 0."""
ENVIRONMENT = "environment"
"""The same for what stands in ``UWSGI_…`` variables."""

PREFIX = "UWSGI_"
NO_OPTIONS = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("RELOADS", "VASSALS", "EMPEROR_FD", "EMPEROR_FD_CONFIG", "EMPEROR_PROXY", "BROODLORD_NUM"),
        *("JAIL_PID", "ORIGINAL_PROC_NAME"),
    )
)
"""What uWSGI's processes tell each other (core/utils.c, parse_sys_envs)."""

ALONE, ATTACHED, NEEDED = "no_argument", "optional_argument", "required_argument"
"""Does a word take a value? getopt_long(3)."""

OF_THE_LANGUAGE = re.compile(r"ini|include|inherit|declare-option|for(-glob|-times|-readline)?|if-[a-z-]+")
ENDS = frozenset(("end", "endif", "end-if", "endfor", "end-for"))
"""Rows that the language obeys; to the table of options they need not be known."""

LONG = MappingProxyType({"d": "daemonize"})
"""Letters that say more than the option does whose alias they are short for."""

LETTERS_WITH_ATTACHED = frozenset(("chmod-socket",))


class Spelling(NamedTuple):
    """What a word stands for. ``key``: of its row. ``kind``: its value, for people. ``problem``: why there is no row;
    "" if there is one.
    """

    key: str
    takes: str = ALONE
    kind: str = ""
    problem: str = ""
    fatal: bool = True


class Vocabulary(NamedTuple):
    """Long names, letters, and what to say of a word that is no option, "" if it may stand there."""

    name: Callable[[str], Spelling]
    letter: Callable[[str], Spelling]
    positional: Callable[[str], str]


class Line(NamedTuple):
    """Rows in their order, what is no option, and problems."""

    rows: tuple[Row, ...]
    positional: tuple[str, ...]
    problems: tuple[Problem, ...]


def cli_rows(argv: Sequence[str]) -> Line:
    """The words of ``emperor run``.

    A row of ``ini`` is left for the caller, who reads that file and puts its rows in this one's place, or
    drops it: whether and as whom a file is read is not decided here.
    """
    return parse(argv, OF_AN_INI)


def parse(argv: Sequence[str], vocabulary: Vocabulary) -> Line:
    words = iter(argv)
    found: list[Row | Problem | str] = []
    for word in words:
        if word == "--":
            found.extend(words)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found.append(_row(f"--{name}", vocabulary.name(name), value if equals else None, words))
        elif word.startswith("-") and len(word) > 1:
            found.extend(_short(word[1:], vocabulary, words))
        else:
            hint = vocabulary.positional(word)
            found.append(Problem(PATH, 0, word, hint) if hint else word)
    return Line(
        tuple(one for one in found if isinstance(one, Row)),
        tuple(one for one in found if isinstance(one, str)),
        tuple(one for one in found if isinstance(one, Problem)),
    )


def env_rows(environ: Mapping[str, str]) -> tuple[Row, ...]:
    """``UWSGI_FOO_BAR=x`` is ``foo-bar = x``, before every other row; a name that is no option is a placeholder."""
    found = []
    for name, value in environ.items():
        key = name.removeprefix(PREFIX).lower().replace("_", "-")
        if not name.startswith(PREFIX) or name in NO_OPTIONS or not OPTION_NAME.fullmatch(key) or "\0" in value:
            continue
        known = options.find(key) is not None
        found.append(Row(key, value, ENVIRONMENT, 0) if known else _placeholder(key, value))
    return tuple(found)


def _placeholder(key: str, value: str) -> Row:
    return Row("set-placeholder", f"{key}={value}", ENVIRONMENT, 0)


def _short(letters: str, vocabulary: Vocabulary, words: Iterator[str]) -> Iterator[Row | Problem]:
    """``-MT`` is two flags; ``-s/x`` and ``-C020`` carry their value."""
    while letters:
        letter, letters = letters[0], letters[1:]
        one = vocabulary.letter(letter)
        attached = letters if letters and one.takes != ALONE else None
        yield _row(f"-{letter}" if one.problem else f"--{one.key}", one, attached, words)
        if one.takes != ALONE or (one.problem and one.fatal):
            return


def _row(word: str, one: Spelling, value: str | None, words: Iterator[str]) -> Row | Problem:
    if value is None:
        value = next(words, None) if one.takes == NEEDED else ""
    if one.problem:
        # Its value is no file of ours.
        return Problem(PATH, 0, word, one.problem, one.fatal)
    if value is None:
        return Problem(PATH, 0, word, f"needs a value: {one.kind}")
    return Row(one.key, value, PATH, 0)


def of_option(option: Option, key: str = "") -> Spelling:
    """How a row of a table is spelled; ``key``: the name that was written."""
    takes = NEEDED
    if option.kind.bare:
        takes = ATTACHED if option.name in LETTERS_WITH_ATTACHED else ALONE
    return Spelling(key or option.name, takes, option.kind.text)


def unsupported(name: str) -> Spelling | None:
    """uWSGI's option that has no row in our table; None: it is none."""
    foreign = options.find_uwsgi(name)
    if foreign is None:
        return None
    return Spelling(name, NEEDED if foreign.takes_value else ALONE, "", options.unsupported(foreign), fatal=False)


def unsupported_letter(letter: str) -> Spelling | None:
    foreign = options.find_uwsgi_letter(letter)
    if foreign is None:
        return None
    takes = NEEDED if foreign.takes_value else ALONE
    return Spelling(foreign.name, takes, "", options.unsupported(foreign), fatal=False)


def _name(name: str) -> Spelling:
    option = options.find(name)
    if option is not None:
        return of_option(option, name)
    return (
        _of_the_language(name)
        or _order(name)
        or unsupported(name)
        or of_others(name)
        or Spelling(name, ALONE, "", unknown(options.suggestion(name)))
    )


def _order(name: str) -> Spelling | None:
    """There is nothing to serve on such a line."""
    order = ORDERS.get(name)
    message = f"is an order to what runs already -- type {order}; `emperorctl status` lists the names"
    return Spelling(name, NEEDED, "", message) if order else None


def _of_the_language(name: str) -> Spelling | None:
    if name in ENDS:
        return Spelling(name, ALONE)
    return Spelling(name, NEEDED, "value") if OF_THE_LANGUAGE.fullmatch(name) else None


def unknown(suggestion: str) -> str:
    return f"unknown option{suggestion}"


def of_others(name: str) -> Spelling | None:
    """Another server's word."""
    word = spelling(name)
    if word is None:
        return None
    takes = NEEDED if word.value else ALONE
    return Spelling(name, takes, "", f"unknown option; here it is {word.ours}")


def _letter(letter: str) -> Spelling:
    option = options.find_letter(letter)
    if option is not None:
        return of_option(option, LONG.get(letter, ""))
    return unsupported_letter(letter) or Spelling(letter, ALONE, "", "unknown option")


OF_AN_INI = Vocabulary(_name, _letter, app_hint)
