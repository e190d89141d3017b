"""``emperorctl options``: the table of ini options, as the parser knows it; with names, those in full."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from typing import Any

from emperor.config import options
from emperor.config.options import PARTS, TABLE, markdown
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.control.messages import FAILED, OK
from emperor.ctl.console import Console
from emperor.text import printable

_OTHERS = (
    (ALWAYS, "Accepted: things are so in any case"),
    (INSTEAD, "Without effect here, with a warning that says what does it"),
    (REFUSED, "Refused: without it something else would run than what the ini asks for"),
)
_STANDINGS = {
    ALWAYS: "accepted, because it is always so",
    INSTEAD: "without effect here",
    REFUSED: "refused",
}
_MARGIN = 24
_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="OPTION", help="tell these in full, uWSGI's names as well")
    parser.add_argument("--markdown", action="store_true", help="as the tables of the README")


def run(args: argparse.Namespace, console: Console) -> int:
    if args.names:
        return _named([name.strip().lstrip("-") for name in args.names], console)
    if args.markdown:
        console.write(markdown().rstrip("\n") + "\n")
    elif console.json:
        console.print_json([_row(one) for one in TABLE])
    else:
        for title, lines in _parts():
            console.print(console.paint(f"{title}:", "bold"))
            console.print("\n".join(lines) + "\n")
    return OK


def _named(names: list[str], console: Console) -> int:
    rows, texts, unknown = [], [], []
    for name in names:
        option, foreign = options.find(name), options.find_uwsgi(name)
        if option is not None:
            rows.append(_row(option))
            texts.append("\n".join(_full(option, console)))
        elif foreign is not None:
            rows.append({"name": name, "standing": "unsupported", "help": foreign.reason})
            texts.append("\n".join([console.paint(name, "bold"), *_wrap(options.unsupported(foreign), 76, "  ")]))
        else:
            unknown.append(name)
    if console.json:
        console.print_json(rows)
    elif texts:
        console.print("\n\n".join(texts))
    for name in unknown:
        console.error(f"{printable(name)}: no such option{options.suggestion(name)}")
    return FAILED if unknown else OK


def _full(option: Option, console: Console) -> Iterator[str]:
    also = [*option.aliases, *([f"-{option.short} on a command line"] if option.short else [])]
    theirs = [name for name in options.uwsgi_names(option) if name != option.name]
    known = option.name if option.name not in options.OWN else ""
    yield console.paint(option.name, "bold")
    yield from _wrap(option.help[:1].upper() + option.help[1:].rstrip(".") + ".", 76, "  ")
    for label, text in (
        ("here", _STANDINGS.get(option.standing, "")),
        ("value", option.kind.text + (", may be repeated" if option.many else "")),
        ("default", option.default),
        ("also", ", ".join(also)),
        ("uWSGI", "the same name" if known else ", ".join(theirs) or "has no such option"),
    ):
        if text:
            yield f"  {label + ':':<10}{text}"


def _parts() -> Iterator[tuple[str, list[str]]]:
    for title, rows in PARTS:
        yield title, [line for one in rows if one.standing == DONE for line in _lines(one)]
    for standing, title in _OTHERS:
        yield title, list(_others(standing))


def _others(standing: str) -> Iterator[str]:
    rows = [one for one in TABLE if one.standing == standing]
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
        "uwsgi": list(options.uwsgi_names(option)),
    }
