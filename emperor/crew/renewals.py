"""Which worker of a crew is replaced next because it is worn: one at a time, and after failures with a pause.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Optional

from emperor.crew.hand import Hand
from emperor.model import VassalSpec
from emperor.supervision import backoff, renewal
from emperor.supervision.generation import Generation
from emperor.supervision.renewal import Wear
from emperor.supervision.seating import Seat
from emperor.system import forks
from emperor.system.scoreboard import Scoreboard


class Renewals:
    """The crew says what it has, and how the replacements fared."""

    def __init__(self, spec: VassalSpec, board: Scoreboard) -> None:
        self._spec, self._board = spec, board
        self._weighed = renewal.weighed(spec)
        self._failures, self._not_before = 0, 0.0
        self._fresh, self._said = (0, 0), False

    def due(self, seats: Sequence[Seat], hands: Mapping[int, Hand], now: float) -> list[tuple[Seat, str]]:
        """Those that are worn, and why, the oldest first; none while a replacement starts, or soon after it failed."""
        if now < self._not_before or any(seat.incoming is not None for seat in seats):
            return []
        aged = [(seat.sitting, seat) for seat in seats if seat.sitting is not None and seat.open and seat.serves]
        found = []
        for worker, seat in sorted(aged, key=lambda one: one[0].number):
            reason = renewal.worn(self._wear(worker, hands[worker.number], now), self._spec)
            if reason is not None:
                found.append((seat, reason))
        return found

    def weigh(self, hand: Hand) -> list[str]:
        """It begins to serve. What is to be said of its size, once in a vassal's life."""
        if not self._weighed:
            return []
        done = self._board.read(hand.cell)
        if not done.requests and not done.busy:
            self._fresh = forks.memory(hand.pid)
        # One that had a request before we looked may have grown by it: it was as the one before.
        hand.fresh = self._fresh
        size, rss = hand.fresh
        lines = [] if self._said else renewal.futile(rss, size, self._spec)
        self._said = self._said or bool(lines)
        return lines

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> float:
        """Seconds until the next try at the earliest."""
        self._failures += 1
        pause = backoff.delay(self._failures, False, random.random())
        self._not_before = now + pause
        return pause

    def _wear(self, worker: Generation, hand: Hand, now: float) -> Wear:
        size, rss = forks.memory(hand.pid) if self._weighed else (0, 0)
        began: Optional[float] = worker.ready_at
        age = 0.0 if began is None else now - began
        fresh_size, fresh_rss = hand.fresh
        return Wear(age, self._board.read(hand.cell).requests, hand.luck, rss, size, fresh_rss, fresh_size)
