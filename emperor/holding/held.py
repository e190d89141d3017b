"""One listening socket as it is held: what it is, what is shown of it, how it is handed over to another program."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import Any

from emperor.config.placement import EMPEROR
from emperor.errors import ListenError
from emperor.model import ADMIN, UNIX, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening
from emperor.system import listeners
from emperor.system.access import Access, access
from emperor.system.listeners import Place

UMASK = 0o022


@dataclass
class Held:
    """One open listener. ``binder``: EMPEROR, VASSAL or SYSTEMD, who made the file and will remove it.

    ``word``: a vassal's. ``stored``: its name in the fd store; "": it is not there.
    """

    sock: socket.socket
    spec: SocketSpec
    binder: str
    place: Place | None
    access: Access | None
    owner: VassalSpec
    word: Listening | None = None
    stored: str = ""


@dataclass(frozen=True)
class HeldState:
    """A ``Held`` in plain values, for a program that inherits the descriptor.

    ``draft``, ``number``: of one that is to take the place of another once generation ``number`` serves; None: held.
    """

    fd: int
    spec: SocketSpec
    binder: str
    place: Place | None
    access: Access | None
    owner: VassalSpec
    word: Listening | None = None
    stored: str = ""
    draft: str | None = None
    number: int = 0


def state_of(held: Held, draft: str | None = None, number: int = 0) -> HeldState:
    return HeldState(
        held.sock.fileno(),
        held.spec,
        held.binder,
        held.place,
        held.access,
        held.owner,
        held.word,
        held.stored,
        draft,
        number,
    )


def held_of(state: HeldState, sock: socket.socket) -> Held:
    """``sock``: of the state's descriptor."""
    return Held(sock, state.spec, state.binder, state.place, state.access, state.owner, state.word, state.stored)


def checked(fd: int, wanted: SocketSpec) -> socket.socket:
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


def access_of(wanted: SocketSpec, spec: VassalSpec) -> Access:
    """Who may connect, when the emperor binds it."""
    umask = UMASK if spec.umask is None else spec.umask
    return access(wanted, spec.identity, spec.web_gid, umask, can_chown=os.geteuid() == 0)


def make_folder(folder: str, spec: VassalSpec) -> None:
    """Only below /run, where nothing survives a boot, and only for an administrator's ini."""
    if spec.authority.kind == ADMIN and os.path.realpath(folder).startswith("/run/"):
        with contextlib.suppress(OSError):
            os.makedirs(folder, mode=0o755, exist_ok=True)


def still_shared(held: Held, spec: VassalSpec) -> str:
    """Whose processes may go on accepting, in a line, or "": a socket without a file cannot be moved under them."""
    before, address = held.owner.identity, held.spec.address
    if address.family == UNIX or before.uid == spec.identity.uid:
        return ""
    return (
        f"{address}: what is left of {before.user}'s processes may still accept from it -- "
        f"emperorctl stop {spec.name}, then start, gives {spec.identity.user} one of its own"
    )


def shown(held: Held) -> dict[str, Any]:
    """A row of ``sockets``; of a file in a user's folder only what its vassal said of it.

    ``inode``: of the socket itself, as sock_diag(7) has it; ``file``: device and inode of what was bound.
    """
    mode = owner = group = None
    if held.word is not None:
        mode, owner, group = f"{held.word.mode:04o}", held.word.uid, held.word.gid
    elif held.spec.address.family == UNIX and held.binder == EMPEROR:
        with contextlib.suppress(OSError):
            found = os.lstat(held.spec.address.path)
            mode, owner, group = f"{found.st_mode & 0o7777:04o}", found.st_uid, found.st_gid
    return {
        "protocol": held.spec.protocol,
        "address": str(held.spec.address),
        "mode": mode,
        "owner": owner,
        "group": group,
        "binder": held.binder,
        "inode": os.fstat(held.sock.fileno()).st_ino,
        "file": [held.place.device, held.place.inode] if held.place is not None else None,
    }
