"""What a vassal's app leaves behind: processes whose parent has ended, and that are the vassal's children since.

It promises: nothing is waited for that the app may be about to wait for itself; the vassal does not end before its
descendants have, those that left its session too, or ``MERCY`` and ``INSISTENCE`` are over. What is left then is the
emperor's.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Callable, Optional

from emperor.system import kin
from emperor.system.eventloop import Loop, Timer
from emperor.system.kin import Kin

PAUSE = 1.0
"""Seconds between two looks at the dead, at least; and never more of the time than one ``SHARE``-th."""
SHARE = 50.0
APPS_TIME = 60.0
"""Seconds for which a dead child may be the app's, that is about to wait for it, where nothing tells whose it is."""

MERCY = 2.0
"""Seconds that descendants have to end after TERM."""
INSISTENCE = 1.0
"""Seconds in which KILL is repeated, for those that were forked meanwhile."""


class Orphans:
    """What is there when this is made, right after the import, and what the app's threads have forked, is the app's.

    To be told of each SIGCHLD by ``heard``, and of the end by ``end``.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._apps: set[int] = set() if kin.childless() else set(kin.children())
        self._session = os.getsid(0)
        self._dead: dict[int, float] = {}
        self._timer: Optional[Timer] = None
        self._pause = PAUSE
        self._gone: Optional[Callable[[], None]] = None
        self._asked: Optional[set[int]] = set()
        """Who was sent TERM; None: now it is KILL."""

    def heard(self) -> None:
        """A child has died. Whoever is forked by intent must have been waited for before this is called."""
        if self._gone is not None:
            self._sweep()
        else:
            self._look_at(self._loop.now() + self._pause)

    def end(self, gone: Callable[[], None]) -> None:
        """TERM to all that is left, then KILL. ``gone`` is called once; asked again, nothing more happens."""
        if self._gone is not None:
            return
        self._gone = gone
        now = self._loop.now()
        self._sweep()
        self._loop.call_at(now + MERCY, self._insist)
        self._loop.call_at(now + MERCY + INSISTENCE, gone)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """Reap what is nobody's, and what nobody else has reaped for some time."""
        self._timer = None
        if self._gone is not None or not kin.something_is_dead():
            self._dead.clear()
            return
        began = self._loop.now()
        # Before the children: whose thread ends meanwhile must not pass for adopted.
        forked = kin.forked_by_threads()
        children = kin.children()
        # Once the app's, always: when its thread ends, another may wait.
        self._apps = (self._apps | (forked or set())) & children.keys()
        dead = [pid for pid, is_dead in children.items() if is_dead and pid not in self._apps]
        self._dead = {pid: self._dead.get(pid, began) for pid in dead}
        for pid, since in list(self._dead.items()):
            if began - since >= APPS_TIME or self._is_adopted(pid):
                del self._dead[pid]
                _reap(pid)
        self._pause = max(PAUSE, SHARE * (self._loop.now() - began))
        if self._dead:
            # Who dies until then is heard.
            self._look_at(max(self._loop.now() + self._pause, min(self._dead.values()) + APPS_TIME))

    def _is_adopted(self, pid: int) -> bool:
        """For sure: whom we fork is of our session or leads his own, for nobody enters another one (setsid(2))."""
        one = kin.look(pid)
        return one is not None and one.session not in (0, pid, self._session)

    def _insist(self) -> None:
        self._asked = None
        self._sweep()

    def _sweep(self) -> None:
        """Who is there: the next word to each of them. The death of each brings us here again."""
        assert self._gone is not None
        if self._asked is None:
            _kill_all()
        if not _reap_all():
            self._gone()
        elif self._asked is not None:
            self._ask(self._asked)

    def _ask(self, asked: set[int]) -> None:
        left = kin.descendants(os.getpid())
        for one in left:
            if one.pid not in asked:
                asked.add(one.pid)
                _send(one, signal.SIGTERM)
        # Whoever does not listen gains nothing by time.
        if all(kin.ignores(one.pid, signal.SIGTERM) for one in left):
            self._insist()


def _kill_all() -> None:
    """Our children: theirs become ours by it, and we are called again. A number is theirs until we reap them."""
    own = os.getpgrp()
    for pid in kin.children():
        one = kin.look(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        if one is not None and one.group != own:
            # At once: one that forks faster than it is found does not get away.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.group, signal.SIGKILL)


def _reap_all() -> bool:
    """Nobody else waits any more. False: nobody is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _send(one: Kin, signum: int) -> None:
    """If it is still the same: a grandchild's number is its parent's to give back."""
    again = kin.look(one.pid)
    if again is not None and again.session == one.session and again.group == one.group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one.pid, signum)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
