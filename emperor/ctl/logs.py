"""``emperorctl logs``: the last lines of a vassal, also of a dead one, and on request the next ones.

It promises: who follows is not told of a restart of the emperor but by its lines: none twice, and where some are
missed, how many.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from emperor.control.client import NoDaemon, Unanswered
from emperor.control.messages import DENIED, FAILED, MOST_LINES, NO_VASSAL, OK, Request
from emperor.ctl.console import Console, impossible_names
from emperor.text import printable

_SECONDS = 10.0
_AGAIN = 0.25
"""Seconds between two attempts to find an emperor again."""
_LONG = 12
"""Attempts after which what is not there counts as that."""
_REFUSED = (NO_VASSAL, DENIED)

_LINE = re.compile(r"(\d\S*) (?:\[(\d{1,4})\] )?(.*)", re.DOTALL)
"""Time, worker, text: ``system.logs.stamp`` and ``crew.hand``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="several: each line tells whose it is")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with the next lines, also of the next emperor, until Ctrl-C"
    )
    parser.add_argument(
        "-n",
        "--lines",
        "--last",
        dest="lines",
        type=_count,
        default=10,
        metavar="N",
        help="how many lines (default: 10)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{bad[0]}: no such vassal")
        return NO_VASSAL
    reader = _Reader(tuple(dict.fromkeys(args.names)), console)
    if not args.follow:
        return reader.ask(args.lines, follow=False)
    return reader.follow(args.lines)


class _Reader:
    """What was shown of each vassal, over all answers."""

    def __init__(self, names: tuple[str, ...], console: Console) -> None:
        self._console, self._several = console, len(names) > 1
        self._names = list(names)
        self._seen: dict[str, tuple[str, int]] = {}
        self._heard = False

    def follow(self, lines: int) -> int:
        absent = refused = 0
        while True:
            self._heard = False
            try:
                code = self.ask(MOST_LINES if self._seen else lines, follow=True)
                if code not in _REFUSED or not self._seen or self._heard:
                    return code
                # The next emperor does not have all of them, or has not read their inis yet.
                absent, refused = 0, refused + 1
                if refused >= _LONG:
                    self._drop_strangers()
                if not self._names:
                    return code
            except (NoDaemon, Unanswered):
                if not self._seen:
                    raise
                absent, refused = 1 if self._heard else absent + 1, 0
            if absent == _LONG:
                self._console.error("no emperor answers -- waiting for one")
            self._console.pause(_AGAIN)

    def ask(self, lines: int, follow: bool) -> int:
        code, again = OK, bool(self._seen)
        for reply in self._console.answers(
            Request("logs", tuple(self._names), {"lines": lines, "follow": follow}), _SECONDS
        ):
            data = reply.get("data")
            if data:
                self._hear(data)
            if reply.get("error") and not (again and reply.get("exit") in _REFUSED):
                self._console.error(reply["error"])
            code = reply.get("exit") or (OK if reply.get("ok", True) else FAILED) or code
        return code

    def _hear(self, data: Mapping[str, Any]) -> None:
        name, lines = str(data.get("name", "")), [str(line) for line in data.get("lines") or ()]
        self._heard = True
        if data.get("gone"):
            self._gone(name)
            return
        ring, count = str(data.get("ring", "")), int(data.get("count", 0))
        before = self._seen.get(name)
        self._seen[name] = (ring, count)
        missed = 0
        if ring and before is not None and before[0] == ring and before[1] <= count:
            fresh = count - before[1]
            missed = max(0, fresh - len(lines))
            lines = lines[-fresh:] if fresh else []
        if missed:
            self._console.error(f"{name}: {missed} lines came too fast, and are not shown")
        self._show(name, lines)

    def _show(self, name: str, lines: Sequence[str]) -> None:
        if self._console.json:
            self._console.write("".join(f"{json.dumps(_parsed(name, line))}\n" for line in lines))
            return
        whose = f"{self._console.paint(printable(name), 'bold')} | " if self._several else ""
        self._console.write("".join(f"{whose}{printable(line)}\n" for line in lines))

    def _gone(self, name: str) -> None:
        if name in self._names:
            self._names.remove(name)
            self._console.error(f"{name}: is gone")

    def _drop_strangers(self) -> None:
        """A request is refused as a whole, whichever of its names is unknown."""
        for name in list(self._names):
            request = Request("logs", (name,), {"lines": 0, "follow": False})
            if any(reply.get("exit") in _REFUSED for reply in self._console.answers(request, _SECONDS)):
                self._gone(name)


def _parsed(name: str, line: str) -> dict[str, Any]:
    """``worker`` null: a line of the vassal itself, or about it."""
    found = _LINE.fullmatch(line)
    when, worker, text = found.groups() if found is not None else (None, None, line)
    return {"name": name, "time": when, "worker": int(worker) if worker else None, "line": text}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_LINES):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MOST_LINES}")
    return int(text)
