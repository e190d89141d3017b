"""A vassal's listening sockets: inherited from its emperor, or bound here and handed up.

It promises: a generation that never serves changes nothing of the files that the one before it has bound; who waits at
a listener that another has replaced is served beside the others. The files are looked at now and then, as nobody tells
when one is removed.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass

from emperor.errors import ListenError
from emperor.model import UNIX, Address
from emperor.supervision.backoff import worth_repeating
from emperor.supervision.channel import Listening, Lost
from emperor.supervision.commission import Commission
from emperor.system import listeners as sockets
from emperor.system.access import Access, access
from emperor.system.listeners import Place
from emperor.system.uplink import Uplink


@dataclass(frozen=True)
class Opening:
    """A socket file that this user's vassals bound. ``older``: by a generation before this one."""

    index: int
    address: Address
    place: Place
    access: Access
    older: bool


class Openings:
    """``listeners``: with their protocols, what the workers serve. Raises ListenError."""

    def __init__(self, commission: Commission, uplink: Uplink) -> None:
        self._uplink = uplink
        self.listeners: list[tuple[socket.socket, str]] = []
        self._files: list[Opening] = []
        self._misses: dict[int, int] = {}
        mask = os.umask(0o022)
        os.umask(mask)
        for index in range(len(commission.spec.sockets)):
            self._open(commission, index, mask)
        for descriptor, protocol in commission.leftovers:
            self._serve(descriptor, protocol)

    def adjust(self) -> None:
        """This generation serves: give the older files the access that its ini names, and tell what came of it."""
        for one in self._files:
            if not one.older:
                continue
            try:
                sockets.adjust(one.address.path, one.place, one.access)
                self._uplink.say(_listening(one.index, one.address))
            except (ListenError, OSError) as error:
                sys.stderr.write(f"{error}\n")

    def look(self) -> None:
        """To be called every few seconds: tell the emperor, at growing distances, of a file that is not there."""
        for one in self._files:
            there = sockets.place_of(one.address.path)
            self._misses[one.index] = 0 if there == one.place else self._misses.get(one.index, 0) + 1
            if self._misses[one.index] and worth_repeating(self._misses[one.index]):
                self._uplink.mention(Lost(one.index))

    def _open(self, commission: Commission, index: int, mask: int) -> None:
        spec = commission.spec
        wanted = spec.sockets[index]
        allowed = access(wanted, spec.identity, spec.web_gid, mask, can_chown=False)
        place = Place(*commission.places[index]) if index in commission.places else None
        inherited = commission.listeners.get(index)
        lost = place is not None and sockets.place_of(wanted.address.path) != place
        if inherited is not None:
            # Nobody new comes to one whose file is gone; who came before is waiting there.
            self._serve(inherited, wanted.protocol)
        if inherited is None or lost:
            fresh = sockets.bind(wanted, allowed, place)
            if fresh.warning:
                sys.stderr.write(fresh.warning + "\n")
            self._uplink.say(_listening(index, wanted.address), [fresh.sock.fileno()])
            self.listeners.append((fresh.sock, wanted.protocol))
            place = fresh.place
        if place is not None:
            self._files.append(Opening(index, wanted.address, place, allowed, inherited is not None and not lost))

    def _serve(self, descriptor: int, protocol: str) -> None:
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        self.listeners.append((listener, protocol))


def _listening(index: int, address: Address) -> Listening:
    if address.family != UNIX:
        return Listening(index)
    seen = os.lstat(address.path)
    return Listening(index, seen.st_dev, seen.st_ino, seen.st_mode & 0o7777, seen.st_uid, seen.st_gid)
