"""What vassals leave behind: processes that left their vassal's session, and are the emperor's children now.

It promises: nobody is reaped or signalled who is known, of a living vassal's session or of our own, or was there before
us; a signal goes to children that are not reaped yet, or to the group of one, so that no number is a stranger's.
It never waits, looks only when a child has died or a vassal was buried, and leaves most of the time to everybody else.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Collection

from emperor.journal import Journal
from emperor.system import kin
from emperor.system.cgroup import Groups
from emperor.system.eventloop import Loop, Timer
from emperor.system.kin import Kin

SOON = 0.02
"""Seconds from an event to the look at who is there: several deaths are one look."""
PAUSE, HUNTING = 1.0, 0.05
"""Seconds between two looks at least; while somebody is to be killed."""
SHARE = 4.0
"""The pause is at least so many times as long as the look before it took."""
MOST = 100
"""That are killed or reaped in one turn of the loop."""
AT_THE_END = 3.0
"""Seconds that the emperor's end waits for strays to be gone."""

TRIES, FIRST_TRY = 8, 0.05
"""To remove a cgroup, with pauses that double: the killed take a moment to be gone."""


class Strays:
    """``known``: the pids of all children that somebody looks after, and whose sessions are theirs."""

    def __init__(
        self, loop: Loop, journal: Journal, known: Callable[[], Collection[int]], groups: Groups, succeeding: bool
    ) -> None:
        self._loop, self._journal, self._known, self._groups = loop, journal, known, groups
        # Whoever started us may have had children in this very process.
        self._before_us = frozenset() if succeeding else frozenset(kin.children())
        self._session = os.getsid(0)
        self._condemned: set[int] = set()
        self._timer: Timer | None = None
        self._looked, self._cost, self._behind = loop.now() - PAUSE, 0.0, False
        self._waiting: list[Callable[[], None]] = []
        self._patience: Timer | None = None
        self._groups.tidy()
        if succeeding:
            # What died while one program replaced the other was told to neither.
            self.heard()

    def begun(self, name: str, pid: int) -> None:
        """A vassal was started."""
        flaw = self._groups.enter(name, pid)
        if flaw:
            self._journal.warning(name, flaw)

    def buried(self, name: str, pid: int) -> None:
        """The time of a vassal's generation is over; ``pid`` is dead and not reaped yet.

        No exec gives a vassal another user (PR_SET_NO_NEW_PRIVS): its strays are that user's.
        """
        self._groups.kill(name, pid)
        self._remove(name, pid, TRIES, FIRST_TRY)
        uid = kin.owner(pid)
        if uid is not None:
            self._condemned.add(uid)
        self._look_at(self._loop.now())

    def heard(self) -> None:
        """A child has died, or may have."""
        self._look_at(self._loop.now() + SOON)

    @property
    def gone(self) -> bool:
        """Of those whose vassals are buried."""
        return not self._condemned

    def when_gone(self, callback: Callable[[], None]) -> None:
        """Call back then, or after ``AT_THE_END``."""
        if self._patience is None:
            self._patience = self._loop.call_at(self._loop.now() + AT_THE_END, self._acquit)
        self._waiting.append(callback)

    def _acquit(self) -> None:
        self._condemned.clear()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def _remove(self, name: str, pid: int, tries: int, pause: float) -> None:
        if tries and not self._groups.remove(name, pid):
            self._loop.call_at(self._loop.now() + pause, lambda: self._remove(name, pid, tries - 1, 2 * pause))

    def _look_at(self, when: float) -> None:
        pause = max(HUNTING if self._condemned or self._behind else PAUSE, SHARE * self._cost)
        when = max(when, self._looked + pause)
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._condemned and not kin.something_is_dead():
            return
        began = self._loop.now()
        known = {*self._known(), *self._before_us}
        unknown = [pid for pid in kin.children() if pid not in known]
        # Any of them, lest those that may stay hide those that may not.
        some = unknown if len(unknown) <= MOST else random.sample(unknown, MOST)
        found = kin.strangers(filter(None, map(kin.look, some)), self._session, known)
        left = [self._end(one) for one in found.strays]
        for one in found.mourned:
            _reap(one)
        self._looked = self._loop.now()
        self._cost = self._looked - began
        self._behind = len(some) < len(unknown)
        if self._behind:
            self.heard()
        elif not any(left):
            self._acquit()

    def _end(self, one: Kin) -> bool:
        """Is it one that has to go, and has not gone yet?"""
        condemned = self._is_condemned(one.pid)
        if condemned:
            _kill(one)
        if one.dead:
            _reap(one)
        return condemned and not one.dead

    def _is_condemned(self, pid: int) -> bool:
        """Whoever was root may be anybody by now."""
        return 0 in self._condemned or (bool(self._condemned) and kin.owner(pid) in self._condemned)


def _kill(one: Kin) -> None:
    """A child that is not reaped keeps its number. That of its group is sure as long as it leads it, or is dead in it.

    The whole group at once: one that forks faster than it is found does not get away.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(one.pid, signal.SIGKILL)
    if one.dead or one.group == one.pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(one.group, signal.SIGKILL)


def _reap(one: Kin) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOHANG)
