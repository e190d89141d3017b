"""A stream socket to somebody's server: connected within a time, and both directions moved at once.

It promises: an app that answers while it reads cannot lock up; nobody waits longer than ``give_up`` allows. What the
kernel refuses is raised as the kernel words it.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Optional, Union

CHUNK = 65536
_SLICE_MILLISECONDS = 250

GiveUp = Callable[[float], Optional[Exception]]


class BrokenOff(OSError):
    """The peer's answer did, as the kernel words it: not what the sender of ``outgoing`` may have raised."""


def dial(target: Union[str, tuple[str, int]], seconds: float) -> socket.socket:
    """A connection to a path (an abstract one begins with NUL), or to an IP address and a port; it is non-blocking.

    ``seconds``: how long a full backlog, or a host that says nothing, may block: then it is a BlockingIOError. Raises
    OSError.
    """
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    # unix(7): a full backlog blocks a blocking connect for SO_SNDTIMEO, but fails a non-blocking one at once
    # with EAGAIN, and settimeout() would make it non-blocking.
    timeout = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        connection.connect(target)
        connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return connection


def converse(connection: socket.socket, outgoing: Iterator[bytes], give_up: GiveUp) -> Iterator[bytes]:
    """Send all of ``outgoing``, yield what comes back until the peer closes. Raises BrokenOff.

    ``give_up`` hears about four times a second how many seconds nothing has moved; the error it returns is
    raised. A peer that no longer reads may still answer (413, say), so a failed send only ends the sending.
    """
    poller = select.poll()
    pending, sending, moved_at = memoryview(b""), True, time.monotonic()
    while True:
        if sending and not pending:
            pending = memoryview(next(outgoing, b""))
            sending = bool(pending)
            moved_at = time.monotonic()
        poller.register(connection, select.POLLIN | (select.POLLOUT if pending else 0))
        events = sum(event for _, event in poller.poll(_SLICE_MILLISECONDS))
        if events & ~select.POLLOUT:
            data = _receive(connection)
            if not data:
                return
            yield data
            moved_at = time.monotonic()
        elif events:
            sent = _send(connection, pending)
            pending, sending = (memoryview(b""), False) if sent is None else (pending[sent:], sending)
            moved_at = time.monotonic()
        error = give_up(time.monotonic() - moved_at)
        if error:
            raise error


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK)
    except OSError as error:
        raise BrokenOff(error.errno, error.strerror) from error


def _send(connection: socket.socket, data: memoryview) -> Optional[int]:
    """How many bytes went out; None: the peer takes no more."""
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None
