"""What the emperor looks at every few seconds: the vassals' socket files, its own, and what systemd keeps for it."""

from __future__ import annotations

import contextlib
from typing import Protocol

from emperor.control.server import ControlServer
from emperor.errors import SpawnError
from emperor.holding.estate import Estate
from emperor.intake.intake import Intake
from emperor.journal import Journal
from emperor.supervision.events import Configured
from emperor.system import limits
from emperor.system.eventloop import Loop
from emperor.tending import shares
from emperor.tending.register import Register
from emperor.tending.starter import DESCRIPTORS

LOOK_EVERY = 5.0
"""Seconds between two looks at socket files, and the least between two reloads for what a vassal says of its own."""


LOST = "a socket file of it is gone from its place"
ROOM = "there is room for it again"


class Realm(Protocol):
    """The daemon's parts."""

    journal: Journal
    register: Register
    control: ControlServer
    intake: Intake
    estate: Estate
    stopping: bool


class Rounds:
    """They end when the realm is stopping."""

    def __init__(self, realm: Realm, loop: Loop) -> None:
        self._realm, self._loop = realm, loop
        self._said_of_control = ""
        loop.on_the_beat(LOOK_EVERY, self._look)

    def settle_estate(self) -> None:
        """What systemd has kept for vassals that are no more is let go of, once it is known who they are."""
        if not self._realm.intake.complete or self._realm.stopping:
            return
        specs = [one.spec for one in self._realm.register.vassals.values() if one.spec is not None]
        self._realm.estate.settle(wanted.address for spec in specs for wanted in spec.sockets)

    def _look(self) -> None:
        if self._realm.stopping:
            return
        for name in list(self._realm.register.vassals):
            self._look_at_sockets(name)
            self._try_again(name)
        self._realm.journal.look()
        word = self._realm.control.look()
        if word and word != self._said_of_control:
            self._realm.journal.warning("emperor", word)
        self._said_of_control = word
        self.settle_estate()
        self._loop.on_the_beat(LOOK_EVERY, self._look)

    def _look_at_sockets(self, name: str) -> None:
        """One whose socket file is gone serves nobody: its next generation binds it again."""
        register = self._realm.register
        record, losses = register.vassals[name], register.performers[name].holdings.look()
        up = record.running or record.heeds is not None
        if not losses or record.spec is None or not up or record.incoming is not None:
            return
        for loss in losses:
            self._realm.journal.warning(name, loss)
        register.tell(name, Configured(record.spec, record.problems, reload=True, why=LOST))

    def _try_again(self, name: str) -> None:
        """What serves stays as it is when there is no room for its successor; that one starts once there is."""
        register = self._realm.register
        record = register.vassals[name]
        # ``last_word``: a vassal of a user's may say anything.
        put_off = limits.is_short(record.rejected) and not record.last_word
        if not put_off or record.spec is None or not record.running or record.incoming is not None:
            return
        with contextlib.suppress(SpawnError):
            everybody = register.performers
            shares.require_room(everybody[name].claim, record.spec, everybody.values(), len(everybody))
            limits.keep_reserve(DESCRIPTORS + len(record.spec.sockets))
            register.tell(name, Configured(record.spec, record.problems, reload=True, why=ROOM))
