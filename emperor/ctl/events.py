"""``emperorctl events``: what has happened, one JSON object a line, and on request what happens next."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, Optional

from emperor.control.client import NoDaemon, Unanswered
from emperor.control.messages import FAILED, MOST_EVENTS, NO_VASSAL, OK, Request
from emperor.ctl.console import Console, impossible_names

_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_FOLLOWED_FROM = 10
"""Events before the first new one, where the person names no number."""

_EPILOG = """\
Each line has number, time (seconds since 1970), at (the same for people), name (null: the emperor itself), event and
reason; of vassals also from and to (states), generation, pid and restarts, where they are known. event is one of
state, reload-begun, reload-done, reload-failed (rolled back), crash, start-failed, given-up, invalid, mended, scaled,
asleep, woken, gone, worker-died, harakiri; of the emperor started, upgraded, stopping.

examples:
  emperorctl events                           what has happened lately
  emperorctl events -f blog                   what happens to blog from now on
  emperorctl events -f | jq -r 'select(.event == "crash") | .name'

exit: 0; 2 usage; 4 not permitted; 6 no such vassal; 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("names", nargs="*", metavar="NAME", help="of these vassals alone, also of one that is gone")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with the next events, until Ctrl-C")
    parser.add_argument(
        "-n",
        "--last",
        "--lines",
        dest="last",
        type=_count,
        default=None,
        metavar="N",
        help=f"how many (default: all that the emperor keeps, {MOST_EVENTS} at most; with -f {_FOLLOWED_FROM})",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{bad[0]}: no such vassal")
        return NO_VASSAL
    names = tuple(dict.fromkeys(args.names))
    usual = _FOLLOWED_FROM if args.follow else MOST_EVENTS
    reader = _Reader(console, names, args.follow)
    code = reader.read(usual if args.last is None else args.last)
    while code is None:
        # The emperor is gone, and perhaps comes back: what it has said before, it does not know any more.
        console.pause(_AGAIN_SECONDS)
        code = reader.read(MOST_EVENTS)
    return code


class _Reader:
    """Remembers what was shown: another emperor counts anew, this one may be asked again."""

    def __init__(self, console: Console, names: tuple[str, ...], follow: bool) -> None:
        self._console, self._names, self._follow = console, names, follow
        self._reached = self._lost = False
        self._shown: tuple[float, int] = (0.0, 0)

    def read(self, last: int) -> Optional[int]:
        """The exit code; None: to be tried again."""
        request = Request("events", self._names, {"last": last, "follow": self._follow})
        try:
            return self._hear(request)
        except (NoDaemon, Unanswered) as error:
            if not (self._reached and self._follow):
                raise
            if not self._lost:
                self._console.error(f"{error} -- waiting for it")
            self._lost = True
            return None

    def _hear(self, request: Request) -> Optional[int]:
        code = OK
        for reply in self._console.answers(request, _SECONDS):
            if reply.get("error") and self._lost:
                # One that has just begun does not know its vassals yet.
                return None
            data = reply.get("data")
            if isinstance(data, Mapping):
                self._reached, self._lost = True, False
                self._show(data.get("events") or ())
            if reply.get("error"):
                self._console.error(reply["error"])
            code = reply.get("exit") or (OK if reply.get("ok", True) else FAILED) or code
        return code

    def _show(self, events: Any) -> None:
        fresh = [one for one in events if isinstance(one, dict) and _place(one) > self._shown]
        if fresh:
            self._shown = _place(fresh[-1])
            self._console.write("".join(f"{json.dumps(one)}\n" for one in fresh))


def _place(event: Mapping[str, Any]) -> tuple[float, int]:
    time, number = event.get("time"), event.get("number")
    return (time if isinstance(time, (int, float)) else 0.0, number if isinstance(number, int) else 0)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_EVENTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MOST_EVENTS}")
    return int(text)
