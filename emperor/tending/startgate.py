"""The gate that every generation passes before its process is started: ``supervision.starting`` decides, this calls."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from emperor.supervision import starting
from emperor.supervision.starting import Starting, Step, Token
from emperor.system.eventloop import Loop, Timer


def usual_places() -> int:
    """As many as suit this machine, or the part of it that is ours."""
    return starting.default_places(len(os.sched_getaffinity(0)))


class StartGate:
    """``places``: how many may start at once; None: as many as suit this machine."""

    def __init__(self, loop: Loop, places: int | None = None) -> None:
        self._loop, self._state = loop, Starting(usual_places() if places is None else places)
        self._waiting: dict[Token, Callable[[], object]] = {}
        self._admitted: deque[Token] = deque()
        self._beginning = False
        self._timer: Timer | None = None

    def resize(self, places: int) -> None:
        self._take(starting.tick(replace(self._state, places=places), self._loop.now()))

    def enter(self, token: Token, urgent: bool, begin: Callable[[], object], owner: int = 0) -> None:
        """Call ``begin`` once there is a place: at once, or later, from the loop; never, if it leaves before.

        ``owner``: the uid that it is to run as; owners take turns.
        """
        self._waiting[token] = begin
        self._take(starting.ask(self._state, token, urgent, self._loop.now(), owner))

    def leave(self, token: Token) -> None:
        """Its start is over, well or not, or is not wanted any more. To be told of everybody, any number of times."""
        self._waiting.pop(token, None)
        self._take(starting.leave(self._state, token, self._loop.now()))

    def _take(self, step: Step) -> None:
        self._state, admitted = step
        if self._timer is not None:
            self._timer.cancel()
        when = self._state.lapses
        self._timer = self._loop.call_at(when, self._tick) if when is not None else None
        self._admitted.extend(admitted)
        if self._beginning:
            # Somebody's beginning has failed at once, and its place is given to the next: one after another.
            return
        self._beginning = True
        try:
            while self._admitted:
                begin = self._waiting.pop(self._admitted.popleft(), None)
                if begin is not None:
                    begin()
        finally:
            self._beginning = False

    def _tick(self) -> None:
        self._take(starting.tick(self._state, self._loop.now()))
