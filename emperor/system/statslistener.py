"""Where a vassal tells its numbers: bound by the vassal itself, beside or in the place of the generation before it.

It promises: the younger generation takes a socket file over in one step, so that whoever asks is answered by one of
them; nothing else is replaced, be it a file, another user's socket, or one where somebody else answers.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from dataclasses import replace
from typing import Optional

from emperor.errors import ListenError
from emperor.model import UNIX, UWSGI, Address, SocketSpec
from emperor.system import listeners
from emperor.system.access import Access
from emperor.system.listeners import Bound, Place
from emperor.text import printable

BACKLOG = 64
SO_PEERCRED = 17
"""asm-generic/socket.h; PyPy does not name it."""
_CREDENTIALS = struct.Struct("=iII")


class Taken(ListenError):
    """Somebody has it: perhaps the generation before us, for as long as it lives."""


def bind(address: Address, mode: int) -> Bound:
    """A listening, non-blocking socket. Raises ListenError; ``Taken`` if it may be free in a while."""
    if address.family == UNIX and os.path.lexists(address.path):
        return _in_the_place_of(address.path, mode)
    try:
        return _bound(address, mode)
    except ListenError as error:
        if getattr(error.__context__, "errno", None) == errno.EADDRINUSE:
            raise Taken(str(error)) from None
        raise


def _bound(address: Address, mode: int) -> Bound:
    return listeners.bind(SocketSpec(UWSGI, address, backlog=BACKLOG), Access(mode), None)


def _in_the_place_of(path: str, mode: int) -> Bound:
    _may_be_replaced(path)
    # Short, as no path of a socket may be longer than 107 bytes.
    draft = os.path.join(os.path.dirname(path), f".{os.urandom(4).hex()}")
    bound = _bound(Address(UNIX, draft), mode)
    try:
        os.rename(draft, path)
    except OSError as error:
        bound.sock.close()
        listeners.unlink(draft, bound.place or Place(0, 0))
        raise ListenError(f"{printable(path)}: rename: {error.strerror}")
    return replace(bound, warning=bound.warning.replace(printable(draft), printable(path)))


def _may_be_replaced(path: str) -> None:
    """Raises ListenError. A refused connect is no proof, but the socket is our own user's, who has asked for it."""
    with contextlib.suppress(FileNotFoundError):
        there = os.lstat(path)
        if not stat.S_ISSOCK(there.st_mode) or there.st_uid != os.geteuid():
            raise ListenError(f"{printable(path)}: bind: something is there that is not this user's socket")
        pid = _who_listens(path)
        if pid is not None and not _is_one_of_us(pid):
            raise Taken(f"{printable(path)}: bind: somebody listens there -- ss -lxp shows who")


def _who_listens(path: str) -> Optional[int]:
    """The pid that listens; 0 if the kernel does not tell; None: nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        code = probe.connect_ex(path)
        if code:
            return 0 if code == errno.EAGAIN else None
        with contextlib.suppress(OSError):
            return _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size))[0] or 0
    return 0


def _is_one_of_us(pid: int) -> bool:
    """Is it this very process, or another generation of the same vassal?"""
    return pid == os.getpid() or (pid > 0 and _name(str(pid)) == _name("self") != b"")


def _name(pid: str) -> bytes:
    """Of a vassal, as launch.py is called: ``launch.py NAME CHANNEL PAPER``; empty if it is none."""
    with contextlib.suppress(OSError, ValueError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            program, name, _, _ = file.read().split(b"\0")[-5:-1]
        if os.path.basename(program) == b"launch.py":
            return name
    return b""
