"""What vassals leave behind: processes that left their vassal's session, and are the emperor's children now.

It promises: nobody is reaped or signalled who is known, of a living vassal's session or of our own, or was there before
us; a signal goes to children that are not reaped yet, or to the group of one, so that no number is a stranger's.
It never waits, looks only when a child has died or a vassal was buried, each look ends, and however many children there
are, it leaves most of the time to everybody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping

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
"""A pause is at least so many times as long as what was before it took."""
TURN = 0.002
"""Seconds of a turn of the loop after which the rest of a look waits for another turn."""
LONGEST = 30.0
"""Seconds from a burial to when its strays are given up: some do not end, or fork faster than they are found."""
MOST_LAID_OUT = 500
"""Of the killed that are not reaped while others of them live: a number that a limit of processes counts (setrlimit(2))
is one that a fork bomb at its limit cannot fill again."""
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
        # Whoever started us may have had children in this very process. After an exec nobody waits for the dead.
        self._before_us = frozenset(pid for pid, dead in kin.children().items() if not (dead and succeeding))
        self._spared: frozenset[int] = self._before_us
        self._session = os.getsid(0)
        self._condemned: dict[int, float] = {}
        """Uids of the buried, and until when their strays are hunted."""
        self._lived, self._laid_out = False, 0
        """In the last whole round: was somebody who has to go alive, and how many were left dead for that?"""
        self._round: Iterator[None] | None = None
        self._timer: Timer | None = None
        self._looked, self._cost, self._again = loop.now() - PAUSE, 0.0, False
        self._waiting: list[Callable[[], None]] = []
        self._patience: Timer | None = None
        self._groups.tidy()
        if succeeding:
            # What died while one program replaced the other was told to neither.
            self.heard()

    @property
    def before_us(self) -> tuple[int, ...]:
        """The children that are none of ours, for the program that takes over."""
        return tuple(sorted(self._before_us))

    def adopt(self, before_us: Collection[int] | None) -> None:
        """What the older program of this process said, once all that is known is; None: it said nothing.

        Then nobody who is there and unknown is touched.
        """
        self._before_us = frozenset(before_us if before_us is not None else self._before_us - {*self._known()})

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
            self._condemned[uid] = self._loop.now() + LONGEST
        self._look_at(self._loop.now())

    def heard(self) -> None:
        """A child has died, or may have."""
        self._again = True
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
        least = HUNTING if self._condemned else PAUSE
        # At the end nobody else needs the time.
        share = SHARE if not self._waiting else 1.0
        when = max(when, self._looked + max(least if self._round is None else 0.0, share * self._cost))
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """A round, or the next part of it."""
        self._timer = None
        if self._round is None:
            self._again = False
            if not self._condemned and not kin.something_is_dead():
                return
            self._round = self._everybody()
        began = self._loop.now()
        self._spared = frozenset((*self._known(), *self._before_us))
        over = self._go_on(self._round, began + TURN)
        self._looked = self._loop.now()
        self._cost = self._looked - began
        if over:
            self._round = None
        if not over or self._condemned or self._again:
            self._look_at(self._looked)

    def _go_on(self, steps: Iterator[None], until: float) -> bool:
        """Is it over?"""
        return all(self._loop.now() < until for _ in steps)

    def _everybody(self) -> Iterator[None]:
        """Whoever is a child now, once, in small steps: the dead first, for the living may be many and cost more."""
        hunted, met, living = dict(self._condemned), set[int](), []
        self._laid_out, lived = 0, False
        for pid in kin.candidates():
            if pid not in self._spared:
                dead = kin.is_dead(pid)
                if dead:
                    met |= self._visit(pid)
                elif dead is not None:
                    living.append(pid)
                yield
        for pid in living if self._condemned else ():
            # Between two turns its number may have become another's.
            if pid not in self._spared and kin.is_dead(pid) is not None:
                guilt = self._visit(pid)
                met, lived = met | guilt, lived or bool(guilt)
            yield
        self._lived = lived
        self._judge(hunted, met)

    def _visit(self, pid: int) -> set[int]:
        """A child that is not reaped before this is over. For whose burial it has to go: uids."""
        one = kin.look(pid)
        if one is None:
            return set()
        found = kin.strangers([one], self._session, self._spared)
        guilt = self._guilt(pid) if found.strays else set()
        if guilt:
            _kill(one)
        if one.dead and (found.strays or found.mourned):
            if guilt and self._lived and self._laid_out < MOST_LAID_OUT:
                self._laid_out += 1
            else:
                _reap(one)
        return guilt

    def _guilt(self, pid: int) -> set[int]:
        """Whoever was root may be anybody by now."""
        return self._condemned.keys() & {0, kin.owner(pid)} if self._condemned else set()

    def _judge(self, hunted: Mapping[int, float], met: Collection[int]) -> None:
        """Who was hunted through a whole round and not met, dead or alive, has nobody left."""
        now = self._loop.now()
        for uid, until in hunted.items():
            if self._condemned.get(uid) != until:
                # Buried once more meanwhile: a whole round for that one too.
                continue
            vain = uid in met and now >= until
            if vain:
                self._journal.warning(
                    "emperor",
                    f"strays of uid {uid}: there are still some after {LONGEST:g} s of killing them"
                    " -- they stay until the next vassal of this user ends",
                )
            if vain or uid not in met:
                del self._condemned[uid]
        if not self._condemned:
            self._acquit()


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
