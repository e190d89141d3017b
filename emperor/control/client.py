"""The asking end of the control socket: blocking, for programs that do one thing.

It promises: one request, its replies in order, the last one marked; every way in which that can fail is an
error that says what to do. It never waits longer than it was told.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, Optional

from emperor.control.messages import Request, decode_reply, encode
from emperor.errors import EmperorError, ProtocolError

_TIMEVAL = struct.Struct("ll")
_LINE_LIMIT = 64 * 1024 * 1024


class NoDaemon(EmperorError):
    """Nobody listens at the control socket."""


class NotPermitted(EmperorError):
    """The kernel does not let us connect."""


class Unanswered(EmperorError):
    """The emperor took the request and did not answer it: in time, or at all."""


def call(path: str, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
    """Ask once; the last reply has ``end``.

    ``timeout``, in seconds, is for the whole answer, but for the first reply only if the request follows;
    None is for ever. Raises NoDaemon, NotPermitted, Unanswered; ProtocolError if the other end is no emperor.
    """
    line = encode(request)
    started = time.monotonic()
    deadline = None if timeout is None else started + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _connect(sock, path, timeout)
        # Refused before it asked (too many clients): the reason is there to be read.
        with contextlib.suppress(ConnectionError):
            sock.sendall(line)
        buffer = bytearray()
        while True:
            reply = decode_reply(_line(sock, path, buffer, deadline, timeout))
            yield reply
            if reply.get("end"):
                return
            if request.options.get("follow"):
                deadline = None


def _connect(sock: socket.socket, path: str, timeout: Optional[float]) -> None:
    if timeout is not None:
        # The kernel's own timer: connecting a non-blocking Unix socket to a full queue fails at once.
        seconds, fraction = divmod(max(timeout, 0.001), 1)
        timeval = _TIMEVAL.pack(int(seconds), int(fraction * 1_000_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    try:
        sock.connect(path)
    except PermissionError:
        raise NotPermitted(f"control socket {path}: connect: Permission denied") from None
    except BlockingIOError:
        raise _silence(path, timeout) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoDaemon(f"control socket {path}: connect: {reason} -- is the emperor running?") from None


def _line(
    sock: socket.socket, path: str, buffer: bytearray, deadline: Optional[float], timeout: Optional[float]
) -> bytes:
    searched = 0
    while True:
        end = buffer.find(b"\n", searched) + 1
        if end:
            line = bytes(buffer[:end])
            del buffer[:end]
            return line
        searched = len(buffer)
        if searched > _LINE_LIMIT:
            raise ProtocolError(f"control socket {path}: endless answer -- is it an emperor's?")
        buffer += _receive(sock, path, deadline, timeout)


def _receive(sock: socket.socket, path: str, deadline: Optional[float], timeout: Optional[float]) -> bytes:
    if deadline is None:
        sock.settimeout(None)
    else:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _silence(path, timeout)
        sock.settimeout(left)
    try:
        data = sock.recv(65536)
    except TimeoutError:
        raise _silence(path, timeout) from None
    except ConnectionError:
        data = b""
    if not data:
        raise Unanswered(f"control socket {path}: the emperor hung up -- it may be stopping")
    return data


def _silence(path: str, timeout: Optional[float]) -> Unanswered:
    return Unanswered(
        f"control socket {path}: no answer in {timeout:g} s -- the emperor is busy; --timeout waits longer"
    )
