"""Listeners that systemd gave us at our start: stored ones wait for their vassal, systemd's own are lent for ever.

It promises: a stored listener goes only to a vassal of the user for whom it was held, bound by whoever would bind it
now and by nobody else, as the kernel remembers; one with a file of ours only if that very file stands at its path, so
that whoever connects there comes to it. What nobody may have is closed, taken from the store, and its
file removed if it is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from emperor.config.placement import EMPEROR, VASSAL
from emperor.errors import EmperorError
from emperor.holding.errands import Errands
from emperor.journal import Journal
from emperor.model import UNIX, Address, Identity
from emperor.system import fdstore, listeners, trust
from emperor.system.closer import Closer
from emperor.system.fdstore import Label, Received
from emperor.system.listeners import Place
from emperor.system.placebook import PlaceBook


class Heirlooms:
    """``unstore(name)``: systemd need not keep it any more."""

    def __init__(
        self,
        received: Iterable[Received],
        book: PlaceBook,
        errands: Errands,
        journal: Journal,
        closer: Closer,
        unstore: Callable[[str], None],
    ) -> None:
        self._book, self._errands, self._journal = book, errands, journal
        self._closer, self._unstore = closer, unstore
        self._stored: list[tuple[Received, Label]] = []
        self._lent: list[Received] = []
        for one in received:
            self._add(one)

    def _add(self, one: Received) -> None:
        if one.label is None:
            self._lent.append(one)
        else:
            self._stored.append((one, one.label))

    def lent(self, address: Address) -> Received | None:
        """The listener of a ``.socket`` unit at this address."""
        return next((one for one in self._lent if one.is_at(address)), None)

    def lent_as(self, descriptor: int) -> Received | None:
        return next((one for one in self._lent if one.sock.fileno() == descriptor), None)

    def claim(self, address: Address, vassal: str, binder: str, uid: int, by_root: bool) -> Received | None:
        """The stored listener of this address, if a vassal of user ``uid`` may have it; it is the caller's then.

        ``by_root``: it is root's ini that says who the user is. Then a listener of the emperor's also goes to a vassal
        of the same name and another user. One that was held for another name and user is left to that one.
        """
        there = listeners.place_of(address.path) if binder == EMPEROR and address.family == UNIX else None
        found = None
        for row in list(self._stored):
            one, label = row
            same_file = there is not None and label.place == there
            if not (same_file or self._is_for(one, label, address)):
                continue
            same = label.uid == uid or (by_root and binder == EMPEROR and label.vassal == vassal)
            if found is None and same and label.binder == binder and _is_as_noted(one, label, there):
                self._stored.remove(row)
                found = one
            elif label.vassal == vassal:
                self._refuse(one, label)
        return found

    def settle(self, named: Iterable[Address]) -> None:
        """Let go of every stored one that is not ``named``."""
        for one, label in list(self._stored):
            if not any(self._is_for(one, label, address) for address in named):
                self._journal.info(
                    label.vassal, f"{self._where(one, label)}: kept by systemd, wanted by nobody -- closed"
                )
                self._refuse(one, label)

    def remove(self, path: str, place: Place) -> None:
        """Unlink a socket file of ours, if it is still there and nobody else can have put it there."""
        if trust.only_ours(os.path.dirname(path), os.geteuid(), near=True, roots=True).ours:
            listeners.unlink(path, place)
        self._book.strike(path)

    def export(self) -> tuple[tuple[int, str], ...]:
        """(descriptor, name) of all of them."""
        everything = [*self._lent, *(one for one, _ in self._stored)]
        return tuple((one.sock.fileno(), one.name) for one in everything)

    def adopt(self, states: Iterable[tuple[int, str]]) -> None:
        for descriptor, name in states:
            try:
                self._add(fdstore.look(descriptor, name))
            except OSError as error:
                self._journal.warning("emperor", f"{name}: inherited descriptor: {error.strerror or error} -- closed")

    def _is_for(self, one: Received, label: Label, address: Address) -> bool:
        return one.is_at(address) or (address.family == UNIX and self._where(one, label) == address.path)

    def _where(self, one: Received, label: Label) -> str:
        """Where its file is now; the kernel knows only the name under which it was bound."""
        known = self._book.where(label.place) if label.place is not None and label.binder == EMPEROR else ""
        return known or str(one.address)

    def _refuse(self, one: Received, label: Label) -> None:
        self._stored.remove((one, label))
        self._unstore(one.name)
        address, where = one.address, self._where(one, label)
        if label.binder == EMPEROR:
            # At once: the address may be bound anew by our next line.
            one.sock.close()
        else:
            self._closer.close(one.sock.detach())
        if label.place is None or address.family != UNIX:
            return
        if label.binder == EMPEROR:
            self.remove(where, label.place)
        elif label.binder == VASSAL:
            whose = Identity(label.uid, label.gid, (label.gid,), str(label.uid), "/")
            try:
                self._errands.unlink(label.vassal, whose, {address.path: label.place})
            except EmperorError as error:
                self._journal.warning(label.vassal, f"{address}: unlink: {error} -- it stays")


def _is_as_noted(one: Received, label: Label, there: Place | None) -> bool:
    """Does its file stand at its path, and is it who binds now that listens?

    Local sockets remember who called listen(2); with that, no name that somebody made up counts for anything.
    """
    ours = label.binder == EMPEROR
    if ours and label.place != there:
        return False
    return one.listener is None or one.listener == (os.geteuid() if ours else label.uid)
