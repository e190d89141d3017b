"""Ends workers whose request takes too long, however they hang. The mechanism around ``supervision.harakiri``.

It promises: the log has the request, then the stacks of all threads of its worker, then that another one is started;
no other worker is touched; a vassal in which nothing is overdue is woken once in ``limit`` seconds at most. A request
that ends as its worker is looked at costs nothing: it is looked at again right before the signal, and a race remains
for the microseconds that the signal takes.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from emperor.crew.company import Living
from emperor.crew.crew import Crew
from emperor.supervision.harakiri import Doing, cause, charge, next_look, overdue
from emperor.system import stacks
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Scoreboard

SOON = 0.05
"""Seconds between two looks at least."""


class Harakiri:
    """``limit``: seconds. ``lines``: hears the log's lines of a seat. To be made before the first worker is forked."""

    def __init__(
        self, limit: float, loop: Loop, board: Scoreboard, crew: Crew, lines: Callable[[int, list[str]], None]
    ) -> None:
        self._limit, self._loop, self._board, self._crew, self._lines = limit, loop, board, crew, lines
        self._began, self._asked = loop.now(), set[int]()

    def start(self) -> None:
        self._loop.call_at(self._loop.now() + self._limit, self._look)

    def _look(self) -> None:
        living = {one.worker.number: one for one in self._crew.living()}
        self._asked.intersection_update(living)
        try:
            for doing in overdue(self._all(living.values()), self._limit, self._loop.now()):
                self._end(living[doing.worker], doing)
        finally:
            now = self._loop.now()
            due = next_look(self._all(living.values()), self._limit, now)
            self._loop.call_at(max(now + SOON, due), self._look)

    def _all(self, living: Iterable[Living]) -> list[Doing]:
        """But for those whom we have asked for their last words already."""
        return [doing for one in living if one.worker.number not in self._asked for doing in self._doings(one)]

    def _doings(self, one: Living) -> list[Doing]:
        # What began before the first of them was forked, or later than now, is a number that is being written, or that
        # the app has written itself: to wait for it could be to look at nobody any more.
        now = self._loop.now()
        return [
            Doing(one.worker.number, doing.thread, doing.since, doing.request)
            for doing in self._board.in_flight(one.cell)
            if self._began <= doing.since <= now
        ]

    def _end(self, one: Living, doing: Doing) -> None:
        self._crew.condemn(one.pid, cause(doing), kill=False)
        now = self._doings(one)
        if doing not in now:
            self._crew.condemn(one.pid, "", kill=False)
            return
        stacks.ask(one.pid)
        # What it writes is read when we are done here, so this stands before it.
        others = [another for another in now if another != doing]
        self._lines(one.seat, [f"worker {one.seat + 1}: {charge([doing, *others], self._limit)}"])
        self._asked.add(one.worker.number)
        self._loop.call_at(self._loop.now() + stacks.PATIENCE, lambda: self._kill(one, cause(doing)))

    def _kill(self, one: Living, how: str) -> None:
        if any(another.worker.number == one.worker.number for another in self._crew.living()):
            self._crew.condemn(one.pid, how)
