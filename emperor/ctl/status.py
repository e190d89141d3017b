"""``emperorctl status``: how everything is, or one vassal in full."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from emperor.control.client import NoDaemon
from emperor.control.messages import UNKNOWN, Request
from emperor.ctl import overview
from emperor.ctl.console import Console, impossible_names
from emperor.text import printable

_SECONDS = 10.0
_AGAIN_SECONDS = 2.0
_LAST_LINES = 20

_CLEAR = "\x1b[H\x1b[2J"
"""ECMA-48: CUP to the top left, ED of the whole screen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="show these in full, with their last log lines")
    parser.add_argument(
        "-w", "--watch", action="store_true", help=f"again every {_AGAIN_SECONDS:g} seconds, until Ctrl-C"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{bad[0]}: no such vassal")
        return UNKNOWN
    if not args.watch:
        return _show(args.names, console)
    while True:
        if console.terminal:
            console.write(_CLEAR)
        try:
            _show(args.names, console)
        except NoDaemon as error:  # it may be restarting
            console.error(str(error))
        console.pause(_AGAIN_SECONDS)
        if not console.terminal:
            console.print("")


def _show(names: list[str], console: Console) -> int:
    request = Request("status", tuple(names), {"lines": _LAST_LINES} if names else {})
    snapshots: list[dict[str, Any]] = []
    failure = trouble = ""
    for reply in console.answers(request, _SECONDS):
        snapshots.extend(reply.get("data") or ())
        failure = reply.get("error") or failure
        trouble = str(reply.get("trouble") or "") or trouble
    if console.json:
        console.print_json(snapshots)
    elif names:
        from emperor.ctl import block  # a shell loop asks for the list

        console.write("\n".join(block.render(one, console.paint) + "\n" for one in snapshots))
    else:
        _list(snapshots, console, failure)
    if trouble:
        console.error(f"warning: {printable(trouble)}")
    if failure:
        console.error(failure)
        return UNKNOWN
    return overview.exit_code(snapshots)


def _list(snapshots: list[dict[str, Any]], console: Console, failure: str) -> None:
    if not snapshots and not failure:
        console.error("no vassals that you may see")
    width, columns = overview.name_width(snapshots), overview.widths(snapshots)
    # At once: what is written is flushed, which would be a system call for each of a thousand.
    console.write("".join(f"{_line(one, width, columns, console)}\n" for one in snapshots))


def _line(snapshot: dict[str, Any], width: int, columns: Sequence[int], console: Console) -> str:
    state = printable(str(snapshot.get("state", "")))
    # Padded before it is painted: escape sequences have no width on screen, but they have in a format.
    coloured = console.paint(f"{state:<{overview.STATE_WIDTH}}", overview.colour(snapshot))
    name = f"{printable(str(snapshot.get('name', ''))):<{width}}"
    return f"{name}{coloured}{overview.describe(snapshot, columns)}".rstrip()
