"""How a generation of one vassal comes to be: its turn, its sockets, its commission, its process.

It promises: every order to start has one of two results, a process or a failure with its reason; a bug here is no other
vassal's, and leaves no generation without either.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from emperor.errors import EmperorError, SpawnError
from emperor.holding.holdings import Holdings
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.supervision.commission import BIND, INQUIRE, SERVE, Commission
from emperor.supervision.events import Exit, Exited, Queued, Spawn, VassalEvent
from emperor.system import limits, privilege, processes
from emperor.system.closer import Share
from emperor.system.processes import Child
from emperor.tending import obituary
from emperor.tending.crib import Crib
from emperor.tending.startgate import StartGate
from emperor.tending.vassallog import VassalLog

DESCRIPTORS = 8
"""Of ours, at most, while a generation is started: channel, output, log, pidfd, commission, and subprocess's own."""


@dataclass(frozen=True)
class Tools:
    """What it takes to start one. ``share``: what of an owner's is still to be closed. ``require_room``: SpawnError if
    his vassals have had their part."""

    journal: Journal
    launcher: str
    holdings: Holdings
    log: VassalLog
    share: Callable[[VassalSpec], Share]
    gate: StartGate
    require_room: Callable[[VassalSpec], None]


class Starter:
    """``begun``: takes a process over; ``failed``: hears of a number why there is none."""

    def __init__(
        self,
        name: str,
        tools: Tools,
        tell: Callable[[VassalEvent], None],
        begun: Callable[[Crib], None],
        failed: Callable[[int, str], None],
    ) -> None:
        self._name, self._tools, self._tell = name, tools, tell
        self._begun, self._failed = begun, failed
        self._postponed: Spawn | None = None
        self._urgent = False

    def start(self, order: Spawn, urgent: bool) -> None:
        """``urgent``: nobody serves in its stead."""
        if order.binds and self._bound_alone(order):
            return
        self._postponed, self._urgent = order, urgent
        self._ask_to_begin()
        if self._postponed is order:
            self._tell(Queued(order.number))

    def call_off(self, number: int) -> None:
        """If it has not begun yet it never does."""
        if self._postponed is not None and self._postponed.number == number:
            self._postponed = None
            self._failed(number, "not started")

    def inquire(self, crib: Crib, ended: Exit) -> Crib | Exit:
        """A process that looks, as the app's user, why one has ended without a word; or its end, if there is none."""
        if not obituary.is_unexplained(crib, ended):
            return ended
        try:
            limits.keep_reserve(DESCRIPTORS)
            commission = Commission(INQUIRE, crib.spec, parent=os.getpid())
            child = processes.spawn(commission, self._tools.launcher)
        except EmperorError as error:
            return replace(ended, reason=f"{ended.reason}; nobody could look why: {error}")
        self._require_identity(child, crib.spec)
        return Crib(crib.number, crib.spec, child, self._tools.launcher, binds=crib.binds, ended=ended)

    def _bound_alone(self, order: Spawn) -> bool:
        """None of its sockets is its user's to bind: they are open now, or never, without a process."""
        holdings = self._tools.holdings
        if holdings.being_removed(order.spec):
            return False
        try:
            self._tools.require_room(order.spec)
            limits.keep_reserve(DESCRIPTORS + len(order.spec.sockets))
            holdings.provide(order.spec, order.number)
        except EmperorError as error:
            self._failed(order.number, str(error))
            return True
        if not holdings.looked_after(order.spec):
            return False
        self._tell(Exited(order.number, Exit(0, None, "its sockets are open", time.time()), random.random()))
        return True

    def _ask_to_begin(self) -> None:
        """Not while its socket files are being removed, and not with too many others."""
        order = self._postponed
        if order is None:
            return
        if self._tools.holdings.being_removed(order.spec):
            self._tools.holdings.when_removed(self._ask_to_begin)
            return
        token, owner = (self._name, order.number), order.spec.identity.uid
        self._tools.gate.enter(token, self._urgent, lambda: self._begin(order), owner)

    def _begin(self, order: Spawn) -> None:
        """Called on behalf of anybody: a bug here is no other vassal's, and leaves no generation without a process."""
        if self._tools.holdings.being_removed(order.spec):
            self._tools.gate.leave((self._name, order.number))
            self._ask_to_begin()
            return
        self._postponed = None
        try:
            self._start(order)
        except Exception as error:
            self._tools.journal.bug(error)
            self._failed(order.number, f"not started: {error}")

    def _start(self, order: Spawn) -> None:
        spec, holdings, log = order.spec, self._tools.holdings, self._tools.log
        try:
            self._tools.require_room(spec)
            limits.keep_reserve(DESCRIPTORS + len(spec.sockets))
            if self._tools.share(spec).spent:
                raise SpawnError(f"start: what earlier vassals of {spec.identity.user} sent hangs in close(2)")
            log.follow(spec)
            listeners = holdings.provide(spec, order.number)
            places, leftovers = holdings.places(spec), holdings.leftovers(spec)
            role, own = BIND if order.binds else SERVE, os.getpid()
            commission = Commission(role, spec, listeners, places, log.kept_by_vassal, own, leftovers, order.workers)
            child = processes.spawn(commission, self._tools.launcher)
        except EmperorError as error:
            self._failed(order.number, str(error))
            return
        self._begun(Crib(order.number, spec, child, self._tools.launcher, binds=order.binds))
        self._require_identity(child, spec)

    def _require_identity(self, child: Child, spec: VassalSpec) -> None:
        if os.geteuid() == 0:
            try:
                privilege.verify(child.pid, spec.identity)
            except SpawnError as error:
                self._tools.journal.warning(self._name, str(error))
                processes.kill_group(child)
