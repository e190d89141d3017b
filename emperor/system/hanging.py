"""Where does it hang? The one look at an import that takes too long, before whoever waits for it ends it.

It promises: the import is interrupted for the look alone and then goes on; an app that wants SIGALRM for itself gets
it, and is not looked at. What never comes back to Python (a loop in C that holds the interpreter) cannot be looked at.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Callable, Optional

Tell = Callable[[str, str], None]
"""Hears where it hangs, in one line, and the stack."""

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def before_the_end_of(limit: float) -> float:
    """Seconds after which to look at what may take ``limit`` seconds, counted from a little earlier."""
    return limit - min(1.0, limit / 4)


@contextmanager
def looked_at(seconds: float, tell: Tell) -> Iterator[None]:
    """If the block still runs after so many seconds, ``tell`` is called once in it, by a signal handler.

    To be used in the main thread.
    """

    def look(signum: int, frame: Optional[FrameType]) -> None:
        stack = [one for one in traceback.extract_stack(frame) if not _is_machinery(one.filename)]
        if stack:
            tell(where(stack), "".join(traceback.format_list(stack)))

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    due = time.monotonic() + seconds
    try:
        yield
    finally:
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        if left and abs(time.monotonic() + left - due) < 0.1:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        if signal.getsignal(signal.SIGALRM) is look:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def where(stack: Sequence[traceback.FrameSummary]) -> str:
    """``hangs at app.py:7 in <module> (selectors.py:416 in select)``: the app's own line, and the last one of all."""
    own = [one for one in stack if not _is_a_librarys(one.filename)] or stack
    last = "" if own[-1] is stack[-1] else f" ({_place(stack[-1])})"
    return f"hangs at {_place(own[-1])}{last}"


def _place(one: traceback.FrameSummary) -> str:
    return f"{one.filename}:{one.lineno} in {one.name}"


def _is_machinery(path: str) -> bool:
    """Ours, and the import system's."""
    launcher = os.path.join(os.path.dirname(_OURS[:-1]), "launch.py")
    return path == launcher or path.startswith((_OURS, "<frozen importlib", f"{_PYTHONS}importlib{os.sep}"))


def _is_a_librarys(path: str) -> bool:
    return path.startswith((_PYTHONS, "<")) or any(part in path for part in _INSTALLED)
