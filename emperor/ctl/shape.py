"""What a verb takes, read from its parser: for words to complete and for manual pages.

argparse has no public list of what was added to a parser; this is the one place that looks into it.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple


class Flag(NamedTuple):
    """An option: its spellings, shortest first. ``value``: what stands for its value; "" if it takes none."""

    spellings: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str
    many: bool = False


class Place(NamedTuple):
    """A word that is no option; ``many``: and all that follow."""

    value: str
    choices: tuple[str, ...]
    help: str
    many: bool
    needed: bool


class Shape(NamedTuple):
    flags: tuple[Flag, ...]
    places: tuple[Place, ...]


def shape(parser: argparse.ArgumentParser) -> Shape:
    """All but what its help does not show."""
    shown = [one for one in parser._actions if one.help != argparse.SUPPRESS]
    flags = [_flag(one) for one in shown if one.option_strings]
    return Shape(tuple(flags), tuple(_place(one) for one in shown if not one.option_strings))


def _flag(action: argparse.Action) -> Flag:
    spellings = tuple(sorted(action.option_strings, key=len))
    value = "" if action.nargs == 0 else _value(action)
    many = isinstance(action, argparse._AppendAction)
    return Flag(spellings, value, _choices(action), _help(action), many)


def _place(action: argparse.Action) -> Place:
    many = action.nargs in ("*", "+", argparse.REMAINDER)
    return Place(_value(action), _choices(action), _help(action), many, action.nargs not in ("*", "?"))


def _value(action: argparse.Action) -> str:
    name = action.metavar or ("|".join(_choices(action)) or action.dest.upper())
    return name if isinstance(name, str) else " ".join(name)


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(str(one) for one in action.choices or ())


def _help(action: argparse.Action) -> str:
    """As ``--help`` shows it: %(default)s and its like, and %%."""
    told = {"dest": action.dest, "default": action.default, "metavar": action.metavar, "prog": "emperorctl"}
    return (action.help or "") % told if "%" in (action.help or "") else action.help or ""
