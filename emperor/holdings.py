"""The listening sockets of one vassal, held open over every generation: clients wait, they are not refused.

Who binds is ``config.placement``'s table; how, is ``system.listeners``. What a vassal hands up is kept only if the
kernel says that it is the listener of an address in that vassal's spec, and nobody else holds that address.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emperor.config.placement import EMPEROR, VASSAL, binder
from emperor.errands import Errands
from emperor.errors import ListenError
from emperor.journal import Journal
from emperor.model import ADMIN, UNIX, Address, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening
from emperor.system import listeners, trust
from emperor.system.closer import Closer
from emperor.system.listeners import Access, Place
from emperor.system.placebook import PlaceBook

UMASK = 0o022


@dataclass
class Held:
    """One open listener. ``binder``: EMPEROR or VASSAL, who made the file and will remove it. ``word``: a vassal's."""

    sock: socket.socket
    spec: SocketSpec
    binder: str
    place: Place | None
    access: Access | None
    owner: VassalSpec
    word: Listening | None = None


@dataclass
class Estate:
    """What all holdings share."""

    runtime: str
    book: PlaceBook
    errands: Errands
    journal: Journal
    closer: Closer
    holders: dict[Address, Holdings]


class Holdings:
    """``leaving``: its vassal's ini is gone, so that another ini of the same user may take over its sockets."""

    def __init__(self, name: str, estate: Estate) -> None:
        self.name, self._estate = name, estate
        self.leaving = False
        self._held: dict[Address, Held] = {}

    def provide(self, spec: VassalSpec) -> dict[int, int]:
        """Before a generation starts: index → descriptor of every socket that is already open. Raises ListenError."""
        for wanted in spec.sockets:
            self._claim(wanted, spec)
            self._notice_loss(wanted.address)
            if wanted.address not in self._held and self._binder(wanted.address, spec) == EMPEROR:
                self._bind(wanted, spec)
        return {
            index: self._held[wanted.address].sock.fileno()
            for index, wanted in enumerate(spec.sockets)
            if wanted.address in self._held
        }

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
            if wanted.address.family != UNIX or (held is not None and held.binder == EMPEROR):
                continue
            place = self._estate.book.find(wanted.address.path, spec.identity.uid)
            if place is not None:
                found[index] = (place.device, place.inode)
        return found

    def take(self, spec: VassalSpec, message: Listening, fd: int) -> None:
        """Keep a listener that a vassal hands up. Raises ListenError; the descriptor is ours in any case."""
        try:
            wanted = self._expected(spec, message)
            sock = _listener(fd, wanted)
        except ListenError:
            self._estate.closer.close(fd)
            raise
        before = self._held.pop(wanted.address, None)
        if before is not None:
            # Its file was removed under it, and it was bound anew.
            self._estate.closer.close(before.sock.detach())
        if wanted.address.family != UNIX:
            self._hold(Held(sock, wanted, VASSAL, None, None, spec))
            return
        place = Place(message.device, message.inode)
        self._hold(Held(sock, wanted, VASSAL, place, None, spec, message))
        self._estate.book.note(wanted.address.path, place, spec.identity.uid)

    def keep(self, spec: VassalSpec) -> None:
        """This spec's generation serves: give its sockets the access that it names, let go of all others."""
        named = {wanted.address for wanted in spec.sockets}
        self._let_go([held for address, held in self._held.items() if address not in named])
        for wanted in spec.sockets:
            if wanted.address in self._held:
                self._adjust(wanted, spec)

    def release(self) -> None:
        """Let go of all of them."""
        self._let_go(list(self._held.values()))

    def shown(self) -> list[dict[str, Any]]:
        """``sockets`` of the status; of a file in a user's folder only what its vassal said of it."""
        return [_shown(held) for held in self._held.values()]

    def _binder(self, address: Address, spec: VassalSpec) -> str:
        default = os.path.join(self._estate.runtime, f"{self.name}.sock")
        return binder(address, spec.authority, self._in_our_folder(address), default)

    def _in_our_folder(self, address: Address) -> bool:
        """Can nobody but root and we make a file there?"""
        return address.family == UNIX and trust.only_ours(os.path.dirname(address.path), os.geteuid()).ours

    def _expected(self, spec: VassalSpec, message: Listening) -> SocketSpec:
        if message.index >= len(spec.sockets):
            raise ListenError(f"{self.name}: handed up a socket that its ini does not name -- closed")
        wanted = spec.sockets[message.index]
        held, holder = self._held.get(wanted.address), self._estate.holders.get(wanted.address)
        if holder is not None and holder is not self:
            raise ListenError(f"{wanted.address}: handed up, but it is vassal {holder.name}'s -- closed")
        if self._binder(wanted.address, spec) != VASSAL or (held is not None and held.binder != VASSAL):
            raise ListenError(f"{wanted.address}: handed up, but it is not the vassal's to bind -- closed")
        if self._in_our_folder(wanted.address) and spec.identity.uid not in (0, os.geteuid()):
            # In a mount namespace of their own anybody can bind any path, and getsockname(2) says the same of it.
            raise ListenError(f"{wanted.address}: handed up, but {spec.identity.user} cannot bind there -- closed")
        return wanted

    def _claim(self, wanted: SocketSpec, spec: VassalSpec) -> None:
        """One address, one vassal. What a leaving one of the same user holds changes hands without being closed."""
        other = self._estate.holders.get(wanted.address)
        if other is None or other is self:
            return
        held = other._held[wanted.address]
        same = held.owner.identity == spec.identity and held.binder == self._binder(wanted.address, spec)
        if not (other.leaving and same):
            raise ListenError(f"{wanted.address}: bind: it is vassal {other.name}'s already")
        self._hold(other._held.pop(wanted.address))

    def _notice_loss(self, address: Address) -> None:
        """A socket file of ours that somebody removed: nobody can connect any more, so bind anew."""
        held = self._held.get(address)
        if held is None or held.binder != EMPEROR or held.place is None:
            return
        if listeners.place_of(address.path) != held.place:
            self._let_go([held])

    def _bind(self, wanted: SocketSpec, spec: VassalSpec) -> None:
        own = os.geteuid()
        ours = None
        if wanted.address.family == UNIX:
            self._make_folder(os.path.dirname(wanted.address.path), spec)
            ours = self._estate.book.find(wanted.address.path, own)
        access = _access(wanted, spec)
        bound = listeners.bind(wanted, access, ours)
        if bound.warning:
            self._estate.journal.warning(self.name, bound.warning)
        self._hold(Held(bound.sock, wanted, EMPEROR, bound.place, access, spec))
        if bound.place is not None:
            self._estate.book.note(wanted.address.path, bound.place, own)

    def _adjust(self, wanted: SocketSpec, spec: VassalSpec) -> None:
        """A reload may change who may connect; a vassal does that to its own files itself."""
        held = self._held[wanted.address]
        access = _access(wanted, spec)
        if held.binder == EMPEROR and held.place is not None and access != held.access:
            try:
                listeners.adjust(wanted.address.path, held.place, access, held.access)
            except ListenError as error:
                self._estate.journal.warning(self.name, str(error))
            held.access = access
        held.spec, held.owner = wanted, spec

    def _make_folder(self, folder: str, spec: VassalSpec) -> None:
        """Only below /run, where nothing survives a boot, and only for an administrator's ini."""
        if spec.authority.kind == ADMIN and os.path.realpath(folder).startswith("/run/"):
            with contextlib.suppress(OSError):
                os.makedirs(folder, mode=0o755, exist_ok=True)

    def _hold(self, held: Held) -> None:
        self._held[held.spec.address] = held
        self._estate.holders[held.spec.address] = self

    def _let_go(self, doomed: Iterable[Held]) -> None:
        for held in list(doomed):
            address = held.spec.address
            del self._held[address]
            if self._estate.holders.get(address) is self:
                del self._estate.holders[address]
            if held.binder == EMPEROR:
                held.sock.close()
                self._unlink(held)
            else:
                self._estate.closer.close(held.sock.detach())
                self._unlink_as_user(held)

    def _unlink(self, held: Held) -> None:
        if held.place is not None:
            listeners.unlink(held.spec.address.path, held.place)
            self._estate.book.strike(held.spec.address.path)

    def _unlink_as_user(self, held: Held) -> None:
        if held.place is not None:
            places = {held.spec.address.path: held.place}
            self._estate.errands.unlink(self.name, held.owner.identity, places)


def _listener(fd: int, wanted: SocketSpec) -> socket.socket:
    """What was handed up, as a socket, if the kernel says that it is the listener of that address."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        raise ListenError(f"{wanted.address}: handed up something that is no socket -- closed") from None
    try:
        listeners.check(sock, wanted.address)
    except ListenError:
        sock.detach()
        raise
    return sock


def _access(wanted: SocketSpec, spec: VassalSpec) -> Access:
    umask = UMASK if spec.umask is None else spec.umask
    return listeners.access(wanted, spec.identity, spec.web_gid, umask, can_chown=os.geteuid() == 0)


def _shown(held: Held) -> dict[str, Any]:
    mode = owner = group = None
    if held.word is not None:
        mode, owner, group = f"{held.word.mode:04o}", held.word.uid, held.word.gid
    elif held.spec.address.family == UNIX:
        with contextlib.suppress(OSError):
            found = os.lstat(held.spec.address.path)
            mode, owner, group = f"{found.st_mode & 0o7777:04o}", found.st_uid, found.st_gid
    return {
        "protocol": held.spec.protocol,
        "address": str(held.spec.address),
        "mode": mode,
        "owner": owner,
        "group": group,
    }
