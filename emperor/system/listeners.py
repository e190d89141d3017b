"""Listening sockets: bound so that nobody can connect who may not, and removed only if they are ours.

It promises: a socket file is never wider than asked, not for an instant; nothing connects before its mode,
owner and ACL stand, since it listens last; what is unlinked is a socket that we bound (same device and
inode); what a vassal hands up is looked at through the kernel's eyes before it is kept. It makes no folders,
and decides not who binds.
Errors: ListenError, with the command that mends it where there is one.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Optional

from emperor.errors import ListenError
from emperor.model import ABSTRACT, TCP, UNIX, Address, SocketSpec
from emperor.system import acl, passing
from emperor.system.access import Access
from emperor.system.umask import umask as only_umask
from emperor.text import printable

# asm-generic/socket.h; PyPy names neither, CPython not both.
SO_PROTOCOL, SO_DOMAIN = 38, 39
_MENDS = {
    errno.EADDRINUSE: "ss -ltnp shows who has it",
    errno.EACCES: "its folder, or the port (below 1024), is not this user's",
    errno.ENOENT: "make its folder first",
    errno.EPERM: "only root can give it away: leave chown-socket out, or use the emperor's folder",
}
_KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISSOCK, "a socket that is not ours"),
    (stat.S_ISFIFO, "a FIFO"),
)


@dataclass(frozen=True)
class Place:
    """Which file it is, whatever happens to its name."""

    device: int
    inode: int


@dataclass(frozen=True)
class Bound:
    """A listener. ``place``: None without a file; ``warning``: what could not be had, in one line, or ""."""

    sock: socket.socket
    place: Optional[Place]
    warning: str = ""


def place_of(path: str) -> Optional[Place]:
    """The socket file at ``path``; None if there is none."""
    with contextlib.suppress(OSError):
        there = os.lstat(path)
        if stat.S_ISSOCK(there.st_mode):
            return Place(there.st_dev, there.st_ino)
    return None


def bind(spec: SocketSpec, access: Access, ours: Optional[Place]) -> Bound:
    """A listening, non-blocking, close-on-exec socket; or ListenError, and neither descriptor nor file is left.

    ``ours``: the socket file that we left there, and may replace.
    """
    try:
        if spec.address.family == UNIX:
            bound = _bind_unix(spec, access, ours)
        elif spec.address.family == ABSTRACT:
            bound = Bound(_listening(socket.AF_UNIX, "\0" + spec.address.path, spec.backlog), None)
        else:
            family = _family(spec.address)
            bound = Bound(_listening(family, _resolved(spec.address, family)[0], spec.backlog), None)
    except (OSError, ValueError) as error:
        mend = _MENDS.get(getattr(error, "errno", None) or 0, "")
        reason = getattr(error, "strerror", None) or str(error)
        raise ListenError(f"{printable(str(spec.address))}: bind: {reason}{mend and ' -- ' + mend}")
    warning = "; ".join(filter(None, (bound.warning, _clamp(spec.backlog))))
    return replace(bound, warning=warning and f"{printable(str(spec.address))}: {warning}")


def adjust(path: str, place: Place, access: Access, before: Optional[Access] = None) -> None:
    """Give a socket file that we bound another mode and owner. Raises ListenError.

    ``before``: the access it was bound with, whose ACL entry is taken back; without it the entry stays.
    """
    try:
        with _held(path) as descriptor:
            if _place(descriptor) != place:
                raise ListenError(f"{printable(path)}: chmod: another file has taken its place -- left alone")
            if before is not None and before.acl_gid not in (None, access.acl_gid):
                acl.revoke_group(descriptor, before.acl_gid or 0)
            by_folder = access.umask is not None and bool(acl.read(descriptor))
            _apply(descriptor, access, by_folder)
    except (OSError, ValueError) as error:
        raise ListenError(f"{printable(path)}: chmod: {getattr(error, 'strerror', None) or error}")


def unlink(path: str, place: Place) -> bool:
    """Remove the socket file that we bound. False: it is gone, or another file, or the kernel refused."""
    with contextlib.suppress(OSError):
        if place_of(path) == place:
            os.unlink(path)
            return True
    return False


def listens(sock: socket.socket) -> bool:
    """Whoever holds a TCP listener can end it for all, by shutdown(2)."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def check(sock: socket.socket, address: Address) -> None:
    """Is this, handed up by a vassal, the listener at ``address`` and nothing else? Raises ListenError.

    The kernel is asked; what the vassal says, and what Python remembers of the socket, does not count.
    """
    family = _family(address)
    wanted = (
        (SO_DOMAIN, family, "is of another family"),
        (socket.SO_TYPE, socket.SOCK_STREAM, "is no stream"),
        (SO_PROTOCOL, socket.IPPROTO_TCP if address.family == TCP else 0, "speaks another protocol"),
        (socket.SO_ACCEPTCONN, 1, "does not listen"),
    )
    try:
        for option, value, flaw in wanted:
            if sock.getsockopt(socket.SOL_SOCKET, option) != value:
                raise ListenError(f"{printable(str(address))}: the handed-up socket {flaw} -- closed")
        if sock.getsockname() not in _names(address, family):
            raise ListenError(f"{printable(str(address))}: the handed-up socket is bound elsewhere -- closed")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"{printable(str(address))}: the handed-up socket: {reason} -- closed")


def is_bound_to(name: Any, family: int, address: Address) -> bool:
    """``name``: what getsockname(2) says of a socket of that family."""
    try:
        return family == _family(address) and name in _names(address, family)
    except (OSError, ValueError):
        return False


def _family(address: Address) -> int:
    if address.family != TCP:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _names(address: Address, family: int) -> list[Any]:
    """What getsockname says of a socket bound there; abstract names are bytes, with their leading NUL."""
    if address.family == UNIX:
        return [address.path]
    if address.family == ABSTRACT:
        return [b"\0" + os.fsencode(address.path)]
    return _resolved(address, family)


def _resolved(address: Address, family: int) -> list[Any]:
    """Without asking anybody: a resolver may take minutes, and the emperor waits for nobody."""
    host, port = address.host or None, address.port
    flags = socket.AI_PASSIVE | socket.AI_NUMERICHOST
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [row[4] for row in found]


def _listening(family: int, name: Any, backlog: int) -> socket.socket:
    with contextlib.ExitStack() as undo:
        sock = _stream(family, undo)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # [::]:80 and 0.0.0.0:80 are two sockets, whatever net.ipv6.bindv6only says.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(name)
        sock.listen(backlog)
        undo.pop_all()
    return sock


def _stream(family: int, undo: contextlib.ExitStack) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    undo.callback(sock.close)
    if family == socket.AF_UNIX:
        passing.refuse(sock)
    return sock


def _bind_unix(spec: SocketSpec, access: Access, ours: Optional[Place]) -> Bound:
    path = spec.address.path
    _make_way(path, ours)
    with contextlib.ExitStack() as undo:
        sock = _stream(socket.AF_UNIX, undo)
        with only_umask(0o777 & ~access.mode):  # bind(2) makes the file 0777 & ~umask
            sock.bind(path)
        with _held(path) as descriptor:
            place = _place(descriptor)
            undo.callback(unlink, path, place)
            warning = _apply(descriptor, access, by_folder=access.umask is not None)
        sock.listen(spec.backlog)
        undo.pop_all()
    return Bound(sock, place, warning)


def _clamp(backlog: int) -> str:
    """What listen(2) does without a word."""
    with contextlib.suppress(OSError, ValueError), open("/proc/sys/net/core/somaxconn", "rb") as file:
        most = int(file.read())
        if backlog > most:
            return f"listen: {backlog} is more than net.core.somaxconn: {most} can wait -- the sysctl sets it"
    return ""


def _make_way(path: str, ours: Optional[Place]) -> None:
    """Remove what we left there ourselves. A refused connect proves nothing: so do files, and sockets just bound."""
    if not os.path.lexists(path) or (ours is not None and unlink(path, ours)):
        return
    mode = os.lstat(path).st_mode
    kind = next((words for test, words in _KINDS if test(mode)), "a device")
    name = shlex.quote(printable(path))
    if stat.S_ISSOCK(mode) and _answers(path):
        raise ListenError(f"{printable(path)}: bind: somebody listens there -- ss -lxp shows who")
    mend = f"rm {name} if nobody needs it" if stat.S_ISSOCK(mode) else f"mv {name} {name}.away"
    raise ListenError(f"{printable(path)}: bind: {kind} is there -- {mend}")


def _answers(path: str) -> bool:
    """For the message alone: a refused connect proves nothing, one that succeeds does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def _apply(descriptor: int, access: Access, by_folder: bool) -> str:
    """Mode, then owner, then ACL. ``by_folder``: bind has decided the mode. Returns what could not be had, or ""."""
    file, there = acl.by_descriptor(descriptor), os.fstat(descriptor)
    if not by_folder and stat.S_IMODE(there.st_mode) != access.mode:
        os.chmod(file, access.mode)
    uid = there.st_uid if access.uid is None else access.uid
    gid = there.st_gid if access.gid is None else access.gid
    if (uid, gid) != (there.st_uid, there.st_gid):
        os.chown(file, uid, gid)
    if access.acl_gid is not None and not acl.grant_group(descriptor, access.acl_gid):
        return "the filesystem has no ACLs: the web server's group cannot connect"
    return ""


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    """A descriptor on what stands at ``path`` itself, so that a swapped file changes nothing for us."""
    descriptor = os.open(path, acl.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _place(descriptor: int) -> Place:
    there = os.fstat(descriptor)
    if not stat.S_ISSOCK(there.st_mode):
        raise OSError(errno.ENOTSOCK, "another file has taken its place")
    return Place(there.st_dev, there.st_ino)
