"""The stacks that a condemned worker writes, without what is ours in them. Pure.

Of each thread the frames of the app and its libraries stay; threads in which only the server runs are counted.

Source: faulthandler's form, a head for each thread, then a frame a line, the innermost first: the same in CPython 3.9
to 3.14 but for a thread's name in its head, and in PyPy. What is neither goes through.
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEAD = re.compile(r"(?:Current thread|Thread) 0x[0-9A-Fa-f]+ .*\(most recent call first.*:$")
_FRAME = re.compile(r'  File "(.*)", line ')

WAITING = ("queue.py", "selectors.py", "socket.py", "threading.py")
"""Of the standard library: by what our threads begin, and in what they wait."""

WHY = "idle, or waiting for a client"

PYPYS_START = "<builtin>/app_main.py"


class LastWords:
    """``package``: our folder; the launcher, and what we lend to apps, lie beside it. ``library``: Python's folder."""

    def __init__(self, package: str, library: str) -> None:
        package, library = _escaped(package), _escaped(library)
        beside = package.rpartition("/")[0]
        self._ours = (f"{package}/", f"{beside}/launch.py", f"{beside}/extra/")
        self._waiting = {PYPYS_START, *(f"{library}/{name}" for name in WAITING)}
        self._held: list[str] = []
        """A thread's head and its first frames, as long as they may be those of an idle one."""
        self._inside = self._ours_seen = False
        self._idle = 0

    def feed(self, lines: Sequence[str]) -> list[str]:
        """What is to be shown of them, and of those before."""
        return [shown for line in lines for shown in self._line(line)]

    def end(self) -> list[str]:
        """There are no more."""
        shown, idle = self._settle(), self._idle
        self._inside, self._idle = False, 0
        if idle:
            shown.append(f"{idle} thread{'' if idle == 1 else 's'} in which the app does not run: {WHY}")
        return shown

    def _line(self, line: str) -> list[str]:
        if _HEAD.match(line):
            before = self._settle()
            self._held, self._inside, self._ours_seen = [line], True, False
            return before
        frame = _FRAME.match(line)
        if not self._inside or (frame is None and not line.startswith("  ")):
            # The blank line after each thread.
            return [line] if line or not self._inside else []
        return self._frame(frame.group(1) if frame is not None else "", line)

    def _frame(self, path: str, line: str) -> list[str]:
        if path.startswith(self._ours):
            self._ours_seen = True
            return []
        if path in self._waiting and (self._ours_seen or self._held):
            if not self._ours_seen:
                self._held.append(line)
            return []
        shown, self._held = [*self._held, line], []
        return shown

    def _settle(self) -> list[str]:
        """A thread has no more frames."""
        held, self._held = self._held, []
        if held and self._ours_seen:
            self._idle += 1
            return []
        return held


def _escaped(path: str) -> str:
    return path.encode("ascii", "backslashreplace").decode("ascii")
