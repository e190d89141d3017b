"""How many wait at which listening socket, as the kernel tells anybody: sock_diag(7), which knows of unix ones too.

It promises: whatever the kernel refuses, or answers, costs half a second at most, and is then a listener of which
nothing is known. Nothing is asked of anybody but the kernel.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple, Optional

AF_NETLINK, NETLINK_SOCK_DIAG = 16, 4
"""linux/netlink.h; not every Python names the first, none the others."""
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
LISTEN = 10
"""TCP_LISTEN, the state of a listening socket of either kind."""
UDIAG_SHOW_NAME, UDIAG_SHOW_VFS, UDIAG_SHOW_RQLEN = 0x1, 0x2, 0x10
UNIX_DIAG_NAME, UNIX_DIAG_VFS, UNIX_DIAG_RQLEN = 0, 1, 4

_HEAD = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port"""
_UNIX_REQUEST = struct.Struct("=BBHIIIQ")
"""struct unix_diag_req: family, protocol, -, states, inode, show, cookie"""
_UNIX_ROW = struct.Struct("=BBBxI8x")
"""struct unix_diag_msg: family, type, state, inode; attributes follow"""
_INET_REQUEST = struct.Struct("=BBBxI48x")
"""struct inet_diag_req_v2: family, protocol, extensions, states"""
_INET_ROW = struct.Struct("=BB2x2s2x16s32xII4xI")
"""struct inet_diag_msg: family, state, port, address, who waits, who may, inode"""
_ATTRIBUTE = struct.Struct("=HH")
_PAIR = struct.Struct("=II")

PATIENCE = 0.5
BLOCK = 65536
"""The kernel fills 32 KiB at most."""
MOST_ROWS = 65536
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)


class Queue(NamedTuple):
    """``waiting``: connections that nobody has accepted yet; ``most``: of how many, as listen(2) has set it."""

    waiting: int
    most: int


class Listener(NamedTuple):
    """A listening socket. ``inode``: its own (``os.fstat(fd).st_ino``). ``file``: (device, inode) of a unix one's.

    The kernel tells the lower 32 bits of the file's inode, and its own idea of the device, which btrfs does not show.
    ``address``: as getsockname(2) had it when it was bound; the port is 0 of a unix one.
    """

    family: int
    inode: int
    queue: Queue
    address: str = ""
    port: int = 0
    file: Optional[tuple[int, int]] = None


def queues(families: Iterable[int] = FAMILIES) -> dict[int, Queue]:
    """Of every listener of these families in our network namespace, by the socket's inode (``os.fstat(fd).st_ino``).

    What the kernel does not tell is not there: an empty answer where AF_NETLINK is forbidden.
    """
    return {one.inode: one.queue for one in _all(families, UDIAG_SHOW_RQLEN)}


def listeners(families: Iterable[int] = FAMILIES) -> list[Listener]:
    """The same with their addresses and files, anybody's. No right is needed for it."""
    return _all(families, UDIAG_SHOW_RQLEN | UDIAG_SHOW_NAME | UDIAG_SHOW_VFS)


def _all(families: Iterable[int], show: int) -> list[Listener]:
    found: list[Listener] = []
    deadline = time.monotonic() + PATIENCE
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    refused = contextlib.suppress(OSError, ValueError, struct.error)
    with refused, socket.socket(AF_NETLINK, kind, NETLINK_SOCK_DIAG) as kernel:
        for number, family in enumerate(families, 1):
            _dump(kernel, _question(family, show), number, deadline, found)
    return found


def _dump(kernel: socket.socket, question: bytes, number: int, deadline: float, found: list[Listener]) -> None:
    """Raises OSError: the kernel is late, or does not know how to be asked."""
    kernel.settimeout(max(0.001, deadline - time.monotonic()))
    head = _HEAD.pack(_HEAD.size + len(question), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, number, 0)
    kernel.sendto(head + question, (0, 0))
    more = True
    while more and len(found) < MOST_ROWS and time.monotonic() < deadline:
        data, (port, _) = kernel.recvfrom(BLOCK)
        # Only the kernel is port 0.
        more = port != 0 or _take(data, number, found)


def _question(family: int, show: int) -> bytes:
    if family == socket.AF_UNIX:
        return _UNIX_REQUEST.pack(family, 0, 0, 1 << LISTEN, 0, show, 0)
    return _INET_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << LISTEN)


def _take(data: bytes, number: int, found: list[Listener]) -> bool:
    """One datagram of rows. False: these were the last. What answers an earlier question is passed over."""
    offset = 0
    while offset + _HEAD.size <= len(data):
        length, kind, _, sequence, _ = _HEAD.unpack_from(data, offset)
        if length < _HEAD.size or offset + length > len(data):
            return False
        if sequence == number and kind in (NLMSG_ERROR, NLMSG_DONE):
            # An error of one family (IPv6 may be off) is no word about the others.
            return False
        if sequence == number and kind == SOCK_DIAG_BY_FAMILY:
            row = data[offset + _HEAD.size : offset + length]
            one = _unix_row(row) if row[:1] == bytes([socket.AF_UNIX]) else _inet_row(row)
            found += [one] if one is not None else []
        offset += length + 3 & ~3
    return True


def _inet_row(row: bytes) -> Optional[Listener]:
    family, state, port, address, waiting, most, inode = _INET_ROW.unpack_from(row)
    if state != LISTEN:
        return None
    host = socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16])
    return Listener(family, inode, Queue(waiting, most), host, int.from_bytes(port, "big"))


def _unix_row(row: bytes) -> Optional[Listener]:
    family, _, state, inode = _UNIX_ROW.unpack_from(row)
    told = _attributes(row, _UNIX_ROW.size)
    if state != LISTEN or UNIX_DIAG_RQLEN not in told:
        return None
    name, file = os.fsdecode(told.get(UNIX_DIAG_NAME, b"")), None
    if UNIX_DIAG_VFS in told:
        number, device = _PAIR.unpack_from(told[UNIX_DIAG_VFS])
        # Within the kernel the minor number has the lower 20 bits (linux/kdev_t.h).
        file = os.makedev(device >> 20, device & 0xFFFFF), number
    queue = Queue(*_PAIR.unpack_from(told[UNIX_DIAG_RQLEN]))
    # A path comes with its NUL, an abstract name begins with one.
    return Listener(family, inode, queue, name if name.startswith("\0") else name.rstrip("\0"), 0, file)


def _attributes(row: bytes, offset: int) -> dict[int, bytes]:
    """struct nlattr: length, type, value."""
    told = {}
    while offset + _ATTRIBUTE.size <= len(row):
        length, kind = _ATTRIBUTE.unpack_from(row, offset)
        told[kind] = row[offset + _ATTRIBUTE.size : offset + length]
        offset += max(_ATTRIBUTE.size, length + 3 & ~3)
    return told
