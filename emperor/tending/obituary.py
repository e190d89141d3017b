"""How a process of a vassal's ended, in words."""

from __future__ import annotations

from dataclasses import replace

from emperor.supervision.events import Exit
from emperor.system import processes
from emperor.tending.crib import Crib


def of(crib: Crib, complete: bool) -> Exit:
    """Without reaping it. ``complete``: are all of its sockets open?"""
    ended = processes.how_it_ended(crib.child)
    if crib.binds and ended.code == 0 and not complete:
        return replace(ended, code=None, reason="bind: it has ended, and has not handed up all of its sockets")
    return _in_words(crib, ended)


def _in_words(crib: Crib, ended: Exit) -> Exit:
    """An interpreter that could not be exec'd is the shell's exit code; its own words are in the log."""
    words = {processes.NOT_FOUND: "no such program", processes.NOT_EXECUTABLE: "it cannot be executed"}
    if crib.serving or not crib.spec.python or ended.code not in words:
        return ended
    who = crib.spec.identity.user
    return replace(ended, reason=f"exec {crib.spec.python} as {who}: {words[ended.code]}")
