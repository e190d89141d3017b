"""What has happened: the last events of all vassals and of the emperor, numbered, for ``emperorctl events``.

It promises: bounded memory, and that neither a vassal nor all vassals of one user, whatever they do, take more than
their share of it; an event is its owner's at that time, and never becomes that of a later owner of the name. Nothing
runs here while nothing happens.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Protocol

from emperor.supervision import happenings
from emperor.supervision.events import VassalEvent
from emperor.supervision.happenings import Happening
from emperor.supervision.harakiri import KILLED
from emperor.supervision.record import Vassal
from emperor.supervision.reports import WorkerReport

MOST = 1000
MOST_OF_ONE = 100
"""Events of one vassal, or of the emperor itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``name`` "": the emperor itself. ``uid``: whose it is, None: the administrators'. ``text``: what is shown, as
    JSON, which takes less room than what it is made of."""

    number: int
    name: str
    uid: int | None
    text: str


@dataclass(frozen=True)
class ChronicleState:
    """What is handed over. ``count``: the number of the last one."""

    count: int
    entries: tuple[Entry, ...]


class Realm(Protocol):
    """Of whom the events are."""

    def owner(self, name: str) -> int | None: ...

    def process(self, name: str, generation: int) -> int:
        """The pid of a generation, also of the one that has just ended; 0: none."""
        ...


class Chronicle:
    """``clock``: wall-clock seconds."""

    def __init__(self, realm: Realm, clock: Callable[[], float] = time.time) -> None:
        self._realm, self._clock = realm, clock
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._of: dict[str | int | None, list[int]] = {}
        self._whose: dict[str | int | None, list[int]] = {}
        self.count = 0

    def changed(self, before: Vassal, after: Vassal, event: VassalEvent) -> None:
        """A vassal's record has taken a step."""
        for one in happenings.happenings(before, after, event):
            self._add(after.name, one, {"restarts": after.restarts})

    def worker_died(self, name: str, state: str, generation: int, worker: WorkerReport) -> None:
        """By its vassal's word: one that was not told to go."""
        harakiri = worker.last_exit.startswith(KILLED)
        kind = happenings.HARAKIRI if harakiri else happenings.WORKER_DIED
        self._add(name, Happening(kind, state, state, generation, worker.last_exit), {"worker": worker.id})

    def gone(self, name: str, state: str, why: str) -> None:
        self._add(name, Happening(happenings.GONE, state, None, 0, why), {})

    def of_emperor(self, kind: str, reason: str) -> None:
        self._keep("", None, {"event": kind, "reason": reason})

    def since(self, number: int) -> Iterator[Entry]:
        """Those that are younger, the oldest first."""
        young = list(takewhile(lambda one: one.number > number, reversed(self._entries.values())))
        return reversed(young)

    def export(self) -> ChronicleState:
        return ChronicleState(self.count, tuple(self._entries.values()))

    def adopt(self, state: ChronicleState) -> None:
        """Go on with the numbers of an older program, whatever this one has told before."""
        younger = list(self._entries.values())
        self._entries.clear()
        self._of.clear()
        self._whose.clear()
        for one in state.entries:
            self._file(one)
        self.count = state.count
        for one in younger:
            self.count += 1
            facts = {**json.loads(one.text), "number": self.count}
            self._file(Entry(self.count, one.name, one.uid, json.dumps(facts)))

    def _add(self, name: str, one: Happening, more: dict[str, Any]) -> None:
        pid = self._realm.process(name, one.number) if one.number else 0
        facts = {
            "event": one.kind,
            "from": one.before,
            "to": one.after,
            "generation": one.number or None,
            "pid": pid or None,
            "reason": one.reason,
            **more,
        }
        if one.exit is not None:
            facts.update(code=one.exit.code, signal=one.exit.signal)
        if one.workers is not None:
            facts.update(workers=one.workers)
        self._keep(name, self._realm.owner(name), facts)

    def _keep(self, name: str, uid: int | None, facts: dict[str, Any]) -> None:
        self.count += 1
        now = round(self._clock(), 6)
        at = datetime.fromtimestamp(now).astimezone().isoformat(timespec="milliseconds")
        whole = {"number": self.count, "time": now, "at": at, "name": name or None, **facts}
        self._file(Entry(self.count, name, uid, json.dumps(whole, separators=(",", ":"))))

    def _file(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        for shelf, label in ((self._of, entry.name), (self._whose, entry.uid)):
            shelf.setdefault(label, []).append(entry.number)
        if len(self._of[entry.name]) > MOST_OF_ONE:
            self._drop(self._of[entry.name][0])
        elif len(self._entries) > MOST:
            # Whoever has most makes room, so that nobody's noise takes away what others would look for.
            self._drop(max(self._whose.values(), key=len)[0])

    def _drop(self, number: int) -> None:
        one = self._entries.pop(number)
        for shelf, label in ((self._of, one.name), (self._whose, one.uid)):
            numbers = shelf[label]
            numbers.remove(number)
            if not numbers:
                del shelf[label]
