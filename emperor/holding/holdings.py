"""The listening sockets of one vassal, held open over every generation: clients wait, they are not refused.

Who binds is ``config.placement``'s table; how, is ``system.listeners``. What a vassal hands up is kept only if the
kernel says that it is the listener of an address in that vassal's spec, and nobody else holds that address. A
generation that may not share its predecessor's listener (``fresh.changed``) gets one of its own, and the older one
beside it, so that those who wait there are served.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from emperor.config.placement import EMPEROR, SYSTEMD, VASSAL
from emperor.errors import ListenError
from emperor.holding import entitled, opening
from emperor.holding import fresh as fresh_ones
from emperor.holding.estate import Estate
from emperor.holding.fresh import Fresh
from emperor.holding.held import (
    Held,
    HeldState,
    access_of,
    checked,
    held_of,
    shown,
    state_of,
    still_shared,
)
from emperor.holding.missing import Missing
from emperor.model import ADMIN, UNIX, Address, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening, Lost
from emperor.system import listeners, passing
from emperor.system.listeners import Place

__all__ = ["Estate", "Held", "HeldState", "Holdings"]


class Holdings:
    """``leaving``: its vassal's ini is gone, so that another ini of the same user may take over its sockets.

    ``closing``: called before a listener is closed. epoll(7) goes on telling of a closed one that others hold open too.
    """

    def __init__(self, name: str, estate: Estate) -> None:
        self.name, self._estate = name, estate
        self.leaving = False
        self.closing: Callable[[], object] = lambda: None
        self._held: dict[Address, Held] = {}
        self._fresh: dict[Address, Fresh] = {}
        self._missing = Missing()

    def provide(self, spec: VassalSpec, number: int = 0) -> dict[int, int]:
        """Before generation ``number`` starts: index → descriptor of every socket that is already open.

        Raises ListenError. Until ``keep`` or ``give_up`` its listeners may be others than its predecessor's.
        """
        self._drop_fresh()
        try:
            for wanted in spec.sockets:
                self._claim(wanted, spec)
                self._open(wanted, spec, number)
        except ListenError:
            self._drop_fresh()
            raise
        ready = {**self._held, **{address: one.held for address, one in self._fresh.items()}}
        return {
            index: ready[wanted.address].sock.fileno()
            for index, wanted in enumerate(spec.sockets)
            if wanted.address in ready
        }

    def complete(self, spec: VassalSpec) -> bool:
        """Is every socket of it open?"""
        return all(wanted.address in self._held or wanted.address in self._fresh for wanted in spec.sockets)

    def looked_after(self, spec: VassalSpec) -> bool:
        """Are all of them open, and none of them its user's, who alone sees whether its file is still there?"""
        theirs = any(held.binder == VASSAL for held in self._held.values())
        return self.complete(spec) and not theirs

    @property
    def owner(self) -> VassalSpec | None:
        """For whom they are held; None: there are none."""
        return next((held.owner for held in self._held.values()), None)

    def descriptors(self) -> tuple[int, ...]:
        return tuple(held.sock.fileno() for held in self._held.values())

    def leftovers(self, spec: VassalSpec) -> tuple[tuple[int, str], ...]:
        """Older listeners, and their protocols, whose waiting clients the generation just provided for is to serve."""
        old = [self._held[address] for address in self._fresh if address in self._held]
        # flup speaks one protocol in all its process.
        spoken = [held for held in old if spec.fastcgi_engine != "flup" or held.spec.protocol == "fastcgi"]
        return tuple((held.sock.fileno(), held.spec.protocol) for held in spoken)

    def give_up(self, number: int) -> None:
        """Generation ``number`` has ended; if it never served, nobody needs what was bound for it."""
        if any(one.number == number for one in self._fresh.values()):
            self._drop_fresh()

    def being_removed(self, spec: VassalSpec) -> bool:
        """Is an errand about to remove one of these files?"""
        return self._estate.errands.touches(wanted.address.path for wanted in spec.sockets if wanted.address.path)

    def when_removed(self, callback: Callable[[], None]) -> None:
        self._estate.errands.when_done(callback)

    def places(self, spec: VassalSpec) -> dict[int, tuple[int, int]]:
        """Index → the file that this user's vassals bound there, for the vassal's own sockets."""
        found = {}
        for index, wanted in enumerate(spec.sockets):
            held = self._held.get(wanted.address)
            if wanted.address.family != UNIX or (held is not None and held.binder != VASSAL):
                continue
            place = self._estate.book.find(wanted.address.path, spec.identity.uid)
            if place is not None:
                found[index] = (place.device, place.inode)
        return found

    def take(self, spec: VassalSpec, message: Listening, fd: int) -> None:
        """Keep a listener that a vassal hands up. Raises ListenError; the descriptor is ours in any case."""
        try:
            wanted = self._expected(spec, message)
            sock = checked(fd, wanted)
        except ListenError:
            self._estate.closer.close(fd)
            raise
        before = self._held.pop(wanted.address, None)
        if before is not None:
            # Its file was removed under it, and it was bound anew.
            self.closing()
            self._estate.unstore(before)
            self._estate.closer.close(before.sock.detach())
        if wanted.address.family != UNIX:
            self._hold(Held(sock, wanted, VASSAL, None, None, spec))
            return
        place = Place(message.device, message.inode)
        self._hold(Held(sock, wanted, VASSAL, place, None, spec, message))
        self._estate.book.note(wanted.address.path, place, spec.identity.uid)

    def keep(self, spec: VassalSpec) -> None:
        """This spec's generation serves: give its sockets the access that it names, let go of all others."""
        for address, one in list(self._fresh.items()):
            before = self._held.get(address)
            if before is None:
                # Another ini of the same user has taken it over meanwhile.
                fresh_ones.drop(self._estate, one)
                continue
            self.closing()
            fresh_ones.publish(self._estate, self.name, one, before)
            self._hold(one.held)
        self._fresh.clear()
        named = {wanted.address for wanted in spec.sockets}
        self._let_go([held for address, held in self._held.items() if address not in named])
        for wanted in spec.sockets:
            if wanted.address in self._held:
                sharing = still_shared(self._held[wanted.address], spec)
                if sharing:
                    self._estate.journal.warning(self.name, sharing)
                self._adjust(wanted, spec)
                # Systemd may have been deaf before.
                self._estate.store(self.name, self._held[wanted.address])

    def release(self) -> None:
        """Let go of all of them; of their files too, unless the next emperor is to find them."""
        self._drop_fresh()
        self._let_go(list(self._held.values()), leave=self._estate.leave_behind and not self.leaving)

    def refuse(self, fd: int) -> None:
        """A listener that a generation hands up which was told to go, or whose successor is awaited: close it."""
        self._estate.closer.close(fd)

    def hear_word(self, spec: VassalSpec, message: Listening) -> None:
        """A vassal tells what it sees of its file by now: it is shown, and means nothing else."""
        held = self._held.get(spec.sockets[message.index].address) if message.index < len(spec.sockets) else None
        if held is not None and held.binder == VASSAL:
            held.word = message

    def hear_lost(self, spec: VassalSpec, message: Lost) -> None:
        """A vassal misses the file of a socket that it bound. Its word alone: it costs it no more than a reload."""
        if message.index < len(spec.sockets):
            held = self._held.get(spec.sockets[message.index].address)
            if held is not None and held.binder == VASSAL:
                self._missing.hear(held.spec.address)

    def look(self) -> list[str]:
        """To be called every few seconds: what is wrong with a file, so that the vassal must be reloaded; [] usually.

        What stays wrong is said again at growing distances. Nothing is looked at that a user could have changed.
        """
        return self._missing.look(self._held, self._fresh)

    def export(self) -> tuple[HeldState, ...]:
        """In plain values, for the program that inherits the descriptors."""
        fresh = (state_of(one.held, one.draft, one.number) for one in self._fresh.values())
        return (*(state_of(held) for held in self._held.values()), *fresh)

    def adopt(self, states: Iterable[HeldState]) -> None:
        """Go on with what an older program of this process held; the estate has adopted its own before."""
        for state in states:
            lent = self._estate.heirlooms.lent_as(state.fd) if state.binder == SYSTEMD else None
            if state.binder == SYSTEMD and lent is None:
                # It listens no more (its app has shut it down), so it was closed, and its number may be another's.
                continue
            sock = lent.sock if lent is not None else socket.socket(fileno=state.fd)
            sock.setblocking(False)
            passing.refuse(sock)
            os.set_inheritable(state.fd, False)
            held = held_of(state, sock)
            if state.draft is None:
                self._hold(held)
                continue
            self._fresh[state.spec.address] = Fresh(held, state.draft, state.number)
            if state.draft:
                self._estate.drafts.add(state.draft)

    def shown(self) -> list[dict[str, Any]]:
        """``sockets`` of the status; of a file in a user's folder only what its vassal said of it."""
        return [shown(held) for held in self._held.values()]

    def _binder(self, address: Address, spec: VassalSpec) -> str:
        default = os.path.join(self._estate.runtime, f"{self.name}.sock")
        return entitled.who_binds(address, spec, default)

    def _expected(self, spec: VassalSpec, message: Listening) -> SocketSpec:
        if message.index >= len(spec.sockets):
            raise ListenError(f"{self.name}: handed up a socket that its ini does not name -- closed")
        wanted = spec.sockets[message.index]
        holder = self._estate.holders.get(wanted.address)
        if holder is not None and holder is not self:
            raise ListenError(f"{wanted.address}: handed up, but it is vassal {holder.name}'s -- closed")
        entitled.require_theirs(wanted, spec, self._binder(wanted.address, spec), self._held.get(wanted.address))
        return wanted

    def _claim(self, wanted: SocketSpec, spec: VassalSpec) -> None:
        """One address, one vassal. What a leaving one of the same user holds changes hands without being closed."""
        other = self._estate.holders.get(wanted.address)
        if other is None or other is self:
            return
        held = other._held[wanted.address]
        lent = held.binder == SYSTEMD and spec.authority.kind == ADMIN
        who = SYSTEMD if lent else self._binder(wanted.address, spec)
        same = held.owner.identity == spec.identity and held.binder == who
        if not (other.leaving and same):
            raise ListenError(f"{wanted.address}: bind: it is vassal {other.name}'s already")
        self._hold(other._held.pop(wanted.address))

    def _open(self, wanted: SocketSpec, spec: VassalSpec, number: int) -> None:
        """Have a listener for it: the one that is held, one of systemd's, or a new one; unless the vassal binds it."""
        binder = self._binder(wanted.address, spec)
        held = self._held.get(wanted.address)
        if held is not None and held.binder != SYSTEMD and not listeners.listens(held.sock):
            # Its app has shut it down, for everybody who holds it.
            self._let_go([held])
        if wanted.address not in self._held:
            may_claim = binder != VASSAL or entitled.can_bind(wanted.address, spec)
            found = opening.inherit(self._estate, self.name, wanted, spec, binder, may_claim)
            if found is None:
                if binder == EMPEROR:
                    self._hold(opening.bind(self._estate, self.name, wanted, spec))
                return
            self._hold(found)
        held = self._held[wanted.address]
        if binder == EMPEROR and fresh_ones.changed(held, wanted, spec):
            access = access_of(wanted, spec)
            self._fresh[wanted.address] = fresh_ones.bind(self._estate, held, wanted, spec, access, number)

    def _adjust(self, wanted: SocketSpec, spec: VassalSpec) -> None:
        """A reload may change who may connect; a vassal does that to its own files itself."""
        held = self._held[wanted.address]
        access = access_of(wanted, spec)
        if held.binder == EMPEROR and held.place is not None and access != held.access:
            try:
                listeners.adjust(wanted.address.path, held.place, access, held.access)
            except ListenError as error:
                self._estate.journal.warning(self.name, str(error))
            held.access = access
        before, now = held.owner.identity, spec.identity
        held.spec, held.owner = wanted, spec
        if (before.uid, before.gid) != (now.uid, now.gid):
            # Its name says for whom it is kept.
            self._estate.unstore(held)
            self._estate.store(self.name, held)

    def _hold(self, held: Held) -> None:
        passing.refuse(held.sock)
        self._held[held.spec.address] = held
        self._estate.holders[held.spec.address] = self
        self._estate.moved.add(held.spec.address)
        self._estate.store(self.name, held)

    def _drop_fresh(self) -> None:
        for one in self._fresh.values():
            fresh_ones.drop(self._estate, one)
        self._fresh.clear()

    def _let_go(self, doomed: Iterable[Held], leave: bool = False) -> None:
        """``leave``: close our copy, and no more than that."""
        for held in list(doomed):
            self.closing()
            address = held.spec.address
            del self._held[address]
            if self._estate.holders.get(address) is self:
                del self._estate.holders[address]
                self._estate.moved.add(address)
            self._estate.dismiss(self.name, held, leave)
