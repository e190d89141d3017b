"""Unix sockets through which strangers pass us no descriptors (SCM_RIGHTS of unix(7)).

Whoever may connect may send some along, and the last close of one may wait: of a connection with SO_LINGER for as long
as its sender likes. That close is whose who reads the message, wanted or not, or who closes a socket in which it lies.

It promises: nothing here takes a descriptor, and nothing here is the last to let go of one.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import termios

SO_PASSRIGHTS = 83
"""asm-generic/socket.h of Linux 6.16; the socket module has no name for it."""

_INT_SIZE = 4


class Passed(OSError):
    """Descriptors come with what is to be read next."""


def refuse(sock: socket.socket) -> None:
    """Sending some to it, and to all that it accepts from now on, fails (EPERM). Before Linux 6.16: nothing happens."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)


def refuses(sock: socket.socket) -> bool:
    try:
        return sock.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) == 0
    except OSError:
        return False


def prepare(sock: socket.socket) -> None:
    """To be called once, before ``receive``: a byte that was sent out of band would be dropped with what it brings."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


def receive(sock: socket.socket, most: int) -> bytes:
    """As recv(2) of a stream. ``Passed``: descriptors come next, and stay in the queue with their bytes."""
    # Without room for them a look tells that they are there (recvmsg(2), MSG_CTRUNC), and leaves them where they are.
    seen, _, flags, _ = sock.recvmsg(most, 0, socket.MSG_PEEK)
    if flags & socket.MSG_CTRUNC:
        raise Passed("descriptors come with it")
    # These very bytes: what has come since lies behind them.
    return sock.recv(len(seen)) if seen else b""


def may_be_closed(sock: socket.socket) -> bool:
    """Is there nothing in it whose last close ours would be? If not, it is shut down, so that no more comes."""
    if refuses(sock):
        return True
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
        unread = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(_INT_SIZE))
        return unread == bytes(_INT_SIZE)
    return False
