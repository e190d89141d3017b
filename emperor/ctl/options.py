"""``emperorctl options``: the table of ini options, as the parser knows it."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from typing import Any

from emperor.config.options import TABLE, markdown
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.control.messages import OK
from emperor.ctl.console import Console

_GROUPS = (
    (DONE, "What an ini can say"),
    (ALWAYS, "Accepted: things are so in any case"),
    (INSTEAD, "Without effect here, with a warning that says what does it"),
    (REFUSED, "Refused: without it something else would run than what the ini asks for"),
)
_MARGIN = 24
_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="as the table of the README")


def run(args: argparse.Namespace, console: Console) -> int:
    if args.markdown:
        console.write(markdown().rstrip("\n") + "\n")
    elif console.json:
        console.print_json([_row(one) for one in TABLE])
    else:
        for standing, title in _GROUPS:
            console.print(console.paint(f"{title}:", "bold"))
            console.print("\n".join(_group(standing)) + "\n")
    return OK


def _group(standing: str) -> Iterator[str]:
    rows = [one for one in TABLE if one.standing == standing]
    if standing == DONE:
        for one in rows:
            yield from _lines(one)
        return
    # Whole families share a sentence; once is enough.
    for sentence in dict.fromkeys(one.help for one in rows):
        names = ", ".join(one.name for one in rows if one.help == sentence)
        first, *rest = _wrap(f"{names}: {sentence}", _WIDTH - 4, "  ")
        yield from (first, *(f"  {line}" for line in rest))


def _lines(option: Option) -> Iterator[str]:
    text = f"[{option.kind.text}] {option.help}"
    if option.default:
        text += f" Default: {option.default}."
    if option.aliases:
        text += f" Also: {', '.join(option.aliases)}."
    if option.many:
        text += " May be repeated."
    lines = _wrap(text, _WIDTH - _MARGIN, " " * _MARGIN)
    if len(option.name) + 3 > _MARGIN:
        yield f"  {option.name}"
    else:
        yield f"{'  ' + option.name:<{_MARGIN}}{lines.pop(0).lstrip()}"
    yield from lines


def _wrap(text: str, width: int, margin: str) -> list[str]:
    # Neither a name nor a path is cut in two: they are there to be copied.
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return [margin + line for line in lines]


def _row(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "kind": option.kind.text,
        "default": option.default,
        "help": option.help,
        "aliases": list(option.aliases),
        "short": option.short,
        "many": option.many,
        "standing": option.standing,
    }
