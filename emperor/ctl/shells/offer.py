"""What completion offers where, whatever the shell. Pure.

Every script promises: what the emperor says is compared and shown, never evaluated; where ``emperorctl completion
--names`` says nothing, no vassal is offered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Wanted(NamedTuple):
    """What may stand in a place: one of the sources below, or words."""

    source: str
    words: tuple[str, ...] = ()


NOTHING, FILES, FOLDERS = Wanted("nothing"), Wanted("files"), Wanted("folders")
USERS, GROUPS = Wanted("users"), Wanted("groups")
NAMES, TARGETS, EITHER = Wanted("names"), Wanted("targets"), Wanted("either")
"""Vassals; they, or ``all``; they, or a file."""


def words(*some: str) -> Wanted:
    return Wanted("words", some)


class Option(NamedTuple):
    """``spellings`` with the hyphens, shortest first; ``wanted`` counts if it is ``valued``."""

    spellings: tuple[str, ...]
    valued: bool
    wanted: Wanted
    help: str


class Verb(NamedTuple):
    """``places``: of the words that are no options, in order; the last stands for all that follow if it ``repeats``."""

    name: str
    summary: str
    options: tuple[Option, ...]
    places: tuple[Wanted, ...]
    repeats: bool


_COMMON = ("-h", "--help", "--control-socket", "--json", "--no-color", "--timeout")


def before(verbs: Iterable[Verb]) -> tuple[Option, ...]:
    """Options that may stand before the verb: those of any verb that all of them have."""
    one = next(iter(verbs))
    return tuple(option for option in one.options if option.spellings[-1] in _COMMON)
