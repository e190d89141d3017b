"""``emperorctl scale NAME N``: so many workers, while they serve."""

from __future__ import annotations

import argparse
import re

from emperor.control.messages import ALL, MOST_WORKERS, NO_VASSAL, USAGE, Request
from emperor.ctl.console import Console, impossible_names
from emperor.ctl.orders import carry_out

_EPILOG = """\
New workers are forks of the app that is imported already, and serve within milliseconds; with `lazy-apps` each
imports it. Those who are too many finish what they have begun (reload-mercy) and end. With `cheaper` in the ini,
N is the most that there may be: N while all are busy, fewer while they are not.

It holds over reloads, crashes and upgrades of the emperor, until `processes` changes in the ini, the vassal is
stopped, or the emperor ends. For good it is a line in the ini: processes = N.

examples:
  emperorctl scale shop 8              a rush is coming
  emperorctl status shop               how many there are, and that it was you
  emperorctl scale shop 2              and back

exit: 0 so many serve; 1 not within `start-timeout` (the others are tried again), or it is stopped; 4 not
permitted; 6 no such vassal, or its ini is invalid; 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="the vassal")
    parser.add_argument("workers", metavar="N", type=_count, help=f"how many workers, 1 to {MOST_WORKERS}")
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return once the emperor has taken the order"
    )


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_WORKERS:
        hint = "; `emperorctl stop` ends them all" if re.fullmatch(r"0{1,6}", text) else ""
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers from 1 to {MOST_WORKERS}{hint}")
    return int(text)


def run(args: argparse.Namespace, console: Console) -> int:
    if args.name == ALL:
        console.error(f"scale: one vassal at a time, not {ALL!r}")
        return USAGE
    if impossible_names([args.name]):
        console.error(f"{args.name}: no such vassal")
        return NO_VASSAL
    return carry_out(Request("scale", (args.name,), {"workers": args.workers, "wait": args.wait}), console)
