"""How a process of a vassal's ended, in words."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from emperor.supervision.events import Exit
from emperor.system import processes
from emperor.system.walk import closed_to
from emperor.tending.crib import Crib


def of(crib: Crib, complete: bool) -> Exit:
    """Without reaping it. ``complete``: are all of its sockets open?"""
    if crib.ended is not None:
        return crib.ended if crib.spoke else _out_of_reach(crib, crib.ended)
    ended = processes.how_it_ended(crib.child)
    if crib.binds and ended.code == 0 and not complete:
        return replace(ended, code=None, reason="bind: it has ended, and has not handed up all of its sockets")
    return _in_words(crib, ended)


def is_unexplained(crib: Crib, ended: Exit) -> bool:
    """Did it end by itself before it said anything? Whoever only looks why is not looked at in turn."""
    return not (crib.serving or crib.spoke or crib.told or crib.ended is not None or ended.code == 0)


def line(crib: Crib, ended: Exit) -> str:
    """For the vassal's own log, whose last lines are about its last failure; "": it says nothing new there."""
    if ended.code == 0 or (crib.confessed and ended.code is not None):
        return ""
    when = "" if crib.serving else " while it opened its sockets" if crib.binds else " before it served"
    return f"generation {crib.number}: {ended.reason}{when}"


def _in_words(crib: Crib, ended: Exit) -> Exit:
    """An interpreter that could not be exec'd is the shell's exit code; its own words are in the log."""
    words = {processes.NOT_FOUND: "no such program", processes.NOT_EXECUTABLE: "it cannot be executed"}
    if crib.serving or not crib.spec.python or ended.code not in words:
        return ended
    who = crib.spec.identity.user
    return replace(ended, reason=f"exec {crib.spec.python} as {who}: {words[ended.code]}")


def _out_of_reach(crib: Crib, ended: Exit) -> Exit:
    """Who was to look why has found nothing, or could not: what both need is ours, and may be closed to their user."""
    identity = crib.spec.identity
    own = () if crib.spec.python else (sys.executable,)
    for needed in (os.path.dirname(crib.launcher), *own):
        flaw = closed_to(needed, identity)
        if flaw:
            return replace(ended, reason=f"{ended.reason}: {needed}, which every vassal needs: {flaw}")
    return ended
