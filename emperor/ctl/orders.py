"""``emperorctl start``, ``stop``, ``restart``, ``reload``: what shall be, and whether it came to be."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from emperor.control.messages import ALL, FAILED, NO_VASSAL, OK, USAGE, Request
from emperor.ctl.console import Console, impossible_names
from emperor.text import printable

_PATIENCE = None
"""The emperor knows how long a start may take, and answers when that is over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"vassals, or {ALL!r} for every one of yours")
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return once the emperor has taken the order"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    if ALL in args.names and len(args.names) > 1:
        console.error(f"{args.verb}: {ALL!r} stands alone, without names")
        return USAGE
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{bad[0]}: no such vassal")
        return NO_VASSAL
    return carry_out(Request(args.verb, tuple(args.names), {"wait": args.wait}), console)


def carry_out(order: Request, console: Console) -> int:
    """Give the order, tell each result as it is known to be, and say how it all went: an exit code."""
    results: list[dict[str, Any]] = []
    code, failure = OK, ""
    for reply in console.answers(order, _PATIENCE):
        results.extend(reply.get("data") or ())
        code = reply.get("exit") or (OK if reply.get("ok") else FAILED) or code
        failure = reply.get("error") or failure
    if console.json:
        console.print_json(results)
    else:
        for one in results:
            _tell(one, console)
    if failure:
        console.error(failure)
    return code or _verdict(results)


def _verdict(results: list[dict[str, Any]]) -> int:
    return OK if all(one.get("ok") for one in results) else FAILED


def _tell(result: Mapping[str, Any], console: Console) -> None:
    name, message = printable(str(result.get("name", ""))), str(result.get("message") or "")
    first, *rest = message.rstrip("\n").split("\n")
    seconds = result.get("seconds")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, (int, float)) and seconds >= 0.05 else ""
    further = "".join(f"    {printable(line)}\n" for line in rest)
    if result.get("ok"):
        console.write(f"{name}: {printable(first) or 'done'}{took}\n{further}")
    else:
        console.complain(f"{name}: {console.paint('ERROR', 'red')}: {printable(first)}{took}\n{further}")
