"""``emperorctl logs``: the last lines of a vassal, also of a dead one, and on request the next ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from emperor.control.messages import FAILED, MOST_LINES, NO_VASSAL, OK, Request
from emperor.ctl.console import Console, impossible_names
from emperor.text import printable

_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="several: each line tells whose it is")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with the next lines, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="how many lines (default: 10)")


def run(args: argparse.Namespace, console: Console) -> int:
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{bad[0]}: no such vassal")
        return NO_VASSAL
    names = tuple(dict.fromkeys(args.names))
    options = {"lines": args.lines, "follow": args.follow}
    code = OK
    for reply in console.answers(Request("logs", names, options), _SECONDS):
        data = reply.get("data")
        if data:
            _show(data, len(names) > 1, console)
        if reply.get("error"):
            console.error(reply["error"])
        code = reply.get("exit") or (OK if reply.get("ok", True) else FAILED) or code
    return code


def _show(data: Mapping[str, Any], several: bool, console: Console) -> None:
    if console.json:
        console.print(json.dumps({"name": data.get("name"), "lines": data.get("lines") or []}))
        return
    whose = f"{console.paint(printable(str(data.get('name', ''))), 'bold')} | " if several else ""
    console.write("".join(f"{whose}{printable(str(line))}\n" for line in data.get("lines") or ()))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_LINES):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MOST_LINES}")
    return int(text)
