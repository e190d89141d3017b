"""Descriptors that systemd gives us at our start: listeners that an emperor before us stored, and its own.

A stored listener's name says what has to be known to take it back, as systemd keeps a descriptor and a name, and
nothing else (sd_notify(3), FDSTORE and FDNAME). The name is ours; what the descriptor is, the kernel says.
It promises: what comes out of here is a listening stream socket, close-on-exec, of an address that the kernel told; the
environment is read once and emptied, so that neither a vassal nor a program we become takes it for its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import struct
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from emperor.model import ABSTRACT, TCP, UNIX, VASSAL_NAME, Address
from emperor.system import listeners
from emperor.system.listeners import Place

FIRST = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
MAX_NAME = 255
MAX_DESCRIPTORS = 65536
SHARE = 2048
"""Half of FileDescriptorStoreMax= in our units: what vassals of one user may keep there, for systemd drops the rest,
whoever's they are."""

_PREFIX = "emperor.1"
_NUMBER = r"(0|[1-9][0-9]{0,19})"
_NAME = re.compile(
    rf"{re.escape(_PREFIX)}/([^/]+)/([a-z]{{1,16}})/{_NUMBER}\.{_NUMBER}/(?:-|{_NUMBER}\.{_NUMBER})/([0-9a-f]{{1,32}})"
)
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_PROTOCOLS: dict[int, int] = {
    socket.AF_UNIX: 0,
    socket.AF_INET: socket.IPPROTO_TCP,
    socket.AF_INET6: socket.IPPROTO_TCP,
}
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Label:
    """What an emperor noted of a listener. ``uid``, ``gid``: of the vassal's user; ``place``: None without a file."""

    vassal: str
    binder: str
    uid: int
    gid: int
    place: Place | None
    serial: str

    @property
    def name(self) -> str:
        """As FDNAME: ASCII without a colon or control characters, at most 255 of them."""
        place = f"{self.place.device}.{self.place.inode}" if self.place is not None else "-"
        return f"{_PREFIX}/{self.vassal}/{self.binder}/{self.uid}.{self.gid}/{place}/{self.serial}"


def label(vassal: str, binder: str, uid: int, gid: int, place: Place | None) -> Label:
    """A new one, unlike every other."""
    return Label(vassal, binder, uid, gid, place, secrets.token_hex(8))


def parse(name: str) -> Label | None:
    """The inverse of ``Label.name``; None: a name that is none of ours."""
    found = _NAME.fullmatch(name) if len(name) <= MAX_NAME else None
    if found is None or not VASSAL_NAME.fullmatch(found[1]):
        return None
    place = None if found[5] is None else Place(int(found[5]), int(found[6]))
    return Label(found[1], found[2], int(found[3]), int(found[4]), place, found[7])


@dataclass(frozen=True)
class Received:
    """A listener from systemd. ``label`` None: no emperor stored it, so that it is systemd's own.

    ``bound_to``: what getsockname(2) says. ``listener``: the uid that called listen(2) on a local socket, as the
    kernel remembers it; None for TCP.
    """

    sock: socket.socket
    name: str
    label: Label | None
    bound_to: Any
    listener: int | None

    @property
    def address(self) -> Address:
        return _address(self.sock.family, self.bound_to)

    def is_at(self, address: Address) -> bool:
        """Is it bound to this very address? The address may be spelt otherwise (an empty host is 0.0.0.0)."""
        return listeners.is_bound_to(self.bound_to, self.sock.family, address)


def received(
    environ: MutableMapping[str, str], refuse: Callable[[str, str], None], first: int = FIRST
) -> list[Received]:
    """What systemd has passed (sd_listen_fds(3)), from descriptor ``first`` on; the variables are removed.

    ``refuse(name, reason)`` is called of each descriptor that is no listening stream socket; it is closed already.
    """
    values = {name: environ.pop(name, "") for name in _VARIABLES}
    count = values["LISTEN_FDS"]
    if values["LISTEN_PID"] != str(os.getpid()) or not re.fullmatch(r"[0-9]{1,6}", count, re.ASCII):
        return []
    names = values["LISTEN_FDNAMES"].split(":") if values["LISTEN_FDNAMES"] else []
    found = []
    for index in range(min(int(count), MAX_DESCRIPTORS)):
        name = names[index] if index < len(names) else "unknown"
        try:
            found.append(look(first + index, name))
        except OSError as error:
            refuse(name, error.strerror or str(error))
    return found


def look(fd: int, name: str) -> Received:
    """What is this, close-on-exec from now on? OSError: no listener that we could serve; it is closed."""
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    try:
        if not _listens(sock):
            raise OSError(0, "no listening stream socket")
        sock.setblocking(False)
        return Received(sock, name, parse(name), sock.getsockname(), _who_listened(sock))
    except OSError:
        sock.close()
        raise


def _listens(sock: socket.socket) -> bool:
    """Is it a listening stream socket of a family and a protocol that we serve?"""
    option = sock.getsockopt
    domain = option(socket.SOL_SOCKET, listeners.SO_DOMAIN)
    return (
        option(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        and option(socket.SOL_SOCKET, listeners.SO_PROTOCOL) == _PROTOCOLS.get(domain, -1)
        and option(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )


def _who_listened(sock: socket.socket) -> int | None:
    """unix(7), SO_PEERCRED: of a listener these are the credentials of whoever called listen(2)."""
    if sock.family != socket.AF_UNIX:
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def _address(family: int, bound_to: Any) -> Address:
    if family != socket.AF_UNIX:
        return Address(TCP, host=bound_to[0], port=bound_to[1])
    if isinstance(bound_to, bytes):
        return Address(ABSTRACT, os.fsdecode(bound_to[1:]))
    return Address(UNIX, bound_to)
