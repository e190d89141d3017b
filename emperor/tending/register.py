"""The vassals' records: each takes its steps one after another, and what a step asks for is done.

It promises: what happens while a step is taken waits its turn; a bug in one vassal's step leaves no other undone, and
no generation waiting for a process that never came to be; a deadline is never lost.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from emperor.journal import Journal
from emperor.supervision import vassal as lifecycle
from emperor.supervision.events import Doing, Doze, Exit, Exited, Spawn, Tick, VassalEvent
from emperor.supervision.record import Vassal, next_deadline
from emperor.system.eventloop import Loop, Timer
from emperor.tending.performer import Performer


@dataclass
class Register:
    """``vassals`` and ``performers`` have the same names as keys, always.

    ``performer``: makes the hands of a new one. ``changed``: what a record was, what it is, and why. ``settled``: all
    that was told is done.
    """

    loop: Loop
    journal: Journal
    performer: Callable[[str], Performer]
    changed: Callable[[Vassal, Vassal, VassalEvent], None]
    settled: Callable[[], None]
    vassals: dict[str, Vassal] = field(default_factory=dict)
    performers: dict[str, Performer] = field(default_factory=dict)
    _events: deque[tuple[str, VassalEvent]] = field(default_factory=deque)
    _timers: dict[str, Timer] = field(default_factory=dict)
    _stepping: bool = False

    def enter(self, name: str) -> None:
        """There is such a vassal, from now on if not before."""
        if name not in self.vassals:
            self.vassals[name] = Vassal(name)
            self.performers[name] = self.performer(name)

    def resume(self, record: Vassal) -> None:
        """Go on with one that was entered and whose performer has its processes; what was to begin begins now."""
        name, incoming, spec = record.name, record.incoming, record.incoming_spec
        self.vassals[name] = record
        if incoming is not None and spec is not None and not self.performers[name].pid(incoming.number):
            self._perform(name, Spawn(incoming.number, spec, record.few or record.scaled or 0, record.binds))
        if record.heeds is not None:
            self._perform(name, Doze())
        self._set_timer(name)

    def strike(self, name: str) -> None:
        """It is gone."""
        for shelf in (self.vassals, self.performers):
            shelf.pop(name, None)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def tell(self, name: str, event: VassalEvent) -> None:
        """Let a vassal's record take its step, and do what it asks for."""
        self._events.append((name, event))
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._events:
                self._step(*self._events.popleft())
        finally:
            self._stepping = False
        self.settled()

    def _step(self, name: str, event: VassalEvent) -> None:
        before = self.vassals.get(name)
        if before is None:
            return
        after, doings = lifecycle.step(before, event, self.loop.now())
        self.vassals[name] = after
        for doing in doings:
            self._perform(name, doing)
        if name in self.vassals:
            self._set_timer(name)
            self.changed(before, after, event)

    def _perform(self, name: str, doing: Doing) -> None:
        try:
            self.performers[name].do(doing)
        except Exception as error:
            self.journal.bug(error)
            if isinstance(doing, Spawn):
                failed = Exit(None, None, f"not started: {error}", time.time())
                self.tell(name, Exited(doing.number, failed, random.random()))

    def _set_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        when = next_deadline(self.vassals[name])
        if when is not None:
            self._timers[name] = self.loop.call_at(when, lambda: self.tell(name, Tick()))
