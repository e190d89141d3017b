"""The control socket's path: taken by one emperor at a time, given back when it ends.

It promises: the socket is never wider than 0666, not even between two calls; a file is removed only if it is
a socket, nobody answers on it, and we hold the lock beside it; what is not ours is never removed.
The lock decides, not the connect: a socket that is bound and not yet listening refuses as well.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from dataclasses import dataclass

from emperor.errors import EmperorError
from emperor.system import passing
from emperor.system.umask import umask

SO_PEERGROUPS = 59
"""asm-generic/socket.h; the socket module has no name for it."""

_UCRED = struct.Struct("iII")
_BACKLOG = 64
_NOT_STARTED = "this emperor does not start"


@dataclass(frozen=True)
class Bound:
    """A listening socket, who it is on disk (device, inode), and the lock that goes with it."""

    path: str
    sock: socket.socket
    inode: tuple[int, int]
    lock: int


def bind(path: str) -> Bound:
    """Listen at ``path``. EmperorError: somebody else is there, or the kernel refuses."""
    path = os.path.abspath(path)
    try:
        _make_folder(os.path.dirname(path))
        lock = _take_lock(path)
    except OSError as error:
        raise EmperorError(f"control socket {path}: {error.strerror} -- {_NOT_STARTED}") from error
    try:
        _clear(path)
        return _listen(path, lock)
    except BaseException:
        _drop_lock(path, lock)
        raise


def restore(bound: Bound) -> Bound | None:
    """Listen anew if its file is gone: nobody could reach us any more. None: it is there, or something else is.

    EmperorError: the kernel refuses.
    """
    with contextlib.suppress(OSError):
        os.lstat(bound.path)
        return None
    return _listen(bound.path, bound.lock)


def release(bound: Bound) -> None:
    """Close, and remove the path if it is still the socket that we bound."""
    bound.sock.close()
    with contextlib.suppress(OSError):
        if _inode(bound.path) == bound.inode:
            os.unlink(bound.path)
    _drop_lock(bound.path, bound.lock)


def credentials(sock: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the other end as it connected, or began to listen (unix(7), SO_PEERCRED)."""
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid, gid


def supplementary_groups(sock: socket.socket) -> tuple[int, ...]:
    """The other end's groups; none at all above 256 of them, for which Python's getsockopt has no room."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 1024)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _make_folder(folder: str) -> None:
    with umask(0o022):
        os.makedirs(folder, 0o755, exist_ok=True)


def _take_lock(path: str) -> int:
    lock = path + ".lock"
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.fstat(fd)
            # Its holder unlinks it before letting go: then we locked a file that nobody else can find.
            if _inode(lock) == (there.st_dev, there.st_ino):
                return fd
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(fd)
            raise EmperorError(f"control socket {path}: {_who(path)} -- {_NOT_STARTED}") from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _drop_lock(path: str, lock: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path + ".lock")
    os.close(lock)


def _who(path: str) -> str:
    pid = answering_pid(path)
    return f"the emperor with pid {pid} answers there" if pid else f"another emperor holds {path}.lock"


def _clear(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EmperorError(f"control socket {path}: there is a file that is no socket -- move it away")
    pid = answering_pid(path)
    if pid is not None:
        who = f"pid {pid} answers there" if pid else "somebody answers there"
        raise EmperorError(f"control socket {path}: {who} -- {_NOT_STARTED}")
    os.unlink(path)


def answering_pid(path: str) -> int | None:
    """Who listens at ``path``: None is nobody, 0 is somebody whose queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return None
            # Another type of socket (EPROTOTYPE), or one that we may not connect to, is somebody's.
            return 0
        return credentials(probe)[0]


def _listen(path: str, lock: int) -> Bound:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        passing.refuse(sock)
        with umask(0o111):  # bind(2) makes it 0777 & ~umask
            sock.bind(path)
        inode = _inode(path)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        # "AF_UNIX path too long" has no errno
        raise EmperorError(f"control socket {path}: bind: {error.strerror or error} -- {_NOT_STARTED}") from error
    return Bound(path, sock, inode, lock)


def _inode(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
