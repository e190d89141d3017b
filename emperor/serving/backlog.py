"""The listening sockets of a server: open and shut, and whoever comes through them."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from emperor.errors import EmperorError
from emperor.serving import fastcgi_peer, uwsgi_peer
from emperor.serving.fastcgi_peer import FastcgiPeer
from emperor.serving.lingering import Lingering
from emperor.serving.service import Service
from emperor.serving.uwsgi_peer import UwsgiPeer

__all__ = ["Backlog", "Kind", "Peer", "kind_of"]

if TYPE_CHECKING:
    from emperor.serving.http_peer import HttpPeer

Peer = Union[UwsgiPeer, FastcgiPeer, "HttpPeer", Lingering]
Kind = Callable[[int, Service], Peer]

_KINDS: dict[str, tuple[Kind, str]] = {
    "uwsgi": (UwsgiPeer, uwsgi_peer.LINE),
    "fastcgi": (FastcgiPeer, fastcgi_peer.LINE),
}

# One of the waiting processes wakes for a connection, not all; PyPy does not know the flag.
_LISTEN = select.EPOLLIN | getattr(select, "EPOLLEXCLUSIVE", 0)
_COMMON = (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPERM, errno.EPROTO)


def kind_of(protocol: str) -> tuple[Kind, str]:
    """The peer that speaks it, and what stands in front of its status. Raises ``EmperorError`` for a protocol that is
    not ours.
    """
    if protocol == "http":
        # h11 is imported only where a socket speaks HTTP.
        from emperor.serving import http_peer

        http_peer.require()
        return http_peer.HttpPeer, http_peer.LINE
    if protocol not in _KINDS:
        raise EmperorError(f"server: protocol {protocol}: the native engine does not speak it")
    return _KINDS[protocol]


class Backlog:
    """``listeners``: non-blocking, perhaps shared with other processes, each with what its connections become.

    ``open``: do they wake us? Only the leader calls it.
    """

    __slots__ = ("_listeners", "open")

    def __init__(self, listeners: Sequence[tuple[socket.socket, Kind, Service]]) -> None:
        self.open = False
        self._listeners: dict[int, tuple[Callable[[], tuple[int, Any]], Kind, Service]] = {}
        for listener, kind, service in listeners:
            if listener.family != socket.AF_UNIX:
                # Inherited by what is accepted; several small sends must not wait for each other's ACK.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The public accept() makes an object with two more system calls for a descriptor that is all we want.
            accept = listener._accept  # type: ignore[attr-defined]  # typeshed leaves it out
            self._listeners[listener.fileno()] = (accept, kind, service)

    def watch(self, epoll: select.epoll, on: bool) -> None:
        if on == self.open:
            return
        self.open = on
        for fd in self._listeners:
            if on:
                epoll.register(fd, _LISTEN)
            else:
                epoll.unregister(fd)

    def accept(self, fd: int) -> Optional[Peer]:
        """A new connection; None if there is none after all. Raises ``KeyError`` for a descriptor that is no listener,
        ``OSError`` if the process or the machine has no room for it.
        """
        accept, kind, service = self._listeners[fd]
        try:
            accepted, _ = accept()
            os.set_blocking(accepted, False)
        except OSError as error:
            if error.errno in _COMMON:
                return None
            raise
        return kind(accepted, service)
