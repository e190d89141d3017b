"""Where does it hang? The one look at an import that takes too long, before whoever waits for it ends it.

It promises: the import goes on as if nobody had looked. No signal comes for it, and no call is cut short: a second
thread sleeps until then, and reads where the first one is. It hears no signal, is no ``threading.Thread`` (so that the
app does not meet it there), and is gone when the import is over.

What holds the interpreter for ever (a loop in C) cannot be looked at. An app that forks while it is imported does so
with two threads, of which Python 3.12 and later warn.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Callable

Tell = Callable[[str, str], None]
"""Hears where it hangs, in one line, and the stack."""

MOST_LOOKS = 1000

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def before_the_end_of(limit: float) -> float:
    """Seconds after which to look at what may take ``limit`` seconds, counted from a little earlier."""
    return limit - min(1.0, limit / 4)


@contextmanager
def looked_at(seconds: float, tell: Tell) -> Iterator[None]:
    """If the block still runs after so many seconds, ``tell`` is called once, in another thread, while it goes on."""
    over, ended = _thread.allocate_lock(), _thread.allocate_lock()
    over.acquire()
    ended.acquire()
    watched, pid, native = _thread.get_ident(), os.getpid(), [0]

    def look() -> None:
        native[0] = _thread.get_native_id()
        try:
            # Asked twice: what holds the interpreter meanwhile may have come to its end.
            if not over.acquire(True, seconds) and not over.acquire(False):
                _look(watched, tell)
        finally:
            ended.release()

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _thread.start_new_thread(look, ())
    except RuntimeError:
        # No thread to be had: nobody looks.
        ended.release()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        # In a fork of the app's there is no such thread.
        if os.getpid() == pid:
            over.release()
            ended.acquire()
            _wait_for_the_end_of(native[0])


def _look(watched: int, tell: Tell) -> None:
    frame = sys._current_frames().get(watched)
    stack = [one for one in traceback.extract_stack(frame) if not _is_machinery(one.filename)] if frame else []
    if stack:
        tell(where(stack), "".join(traceback.format_list(stack)))


def _wait_for_the_end_of(native: int) -> None:
    """The kernel's thread ends a little later than its last line; a fork must not see it."""
    sleeper = _thread.allocate_lock()
    sleeper.acquire()
    for _ in range(MOST_LOOKS):
        if not native or not os.path.exists(f"/proc/self/task/{native}"):
            return
        sleeper.acquire(True, 0.00002)


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
