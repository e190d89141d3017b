"""The connections that are waited for: known by their descriptor, watched by epoll, closed when they are overdue."""

from __future__ import annotations

import select
import threading
from collections.abc import Container
from typing import Any

from emperor.serving.backlog import Peer
from emperor.serving.settings import report

__all__ = ["Waiting", "is_idle"]

_EXCUSE_SECONDS = 1.0


class Waiting:
    """``shared``: several threads serve. While one serves a connection, no other may hear of it; a lone thread cannot
    be in two places.

    ``peers``: whoever takes one out of it serves it.
    """

    __slots__ = ("_epoll", "_lock", "_mask", "_shared", "peers")

    def __init__(self, epoll: Any, shared: bool) -> None:
        self._epoll = epoll
        self._shared = shared
        self._mask = select.EPOLLIN | (select.EPOLLONESHOT if shared else 0)
        # Known and watched, or neither: else the thread that sweeps could close what another is about to watch, and its
        # number be another connection's by then.
        self._lock = threading.Lock()
        self.peers: dict[int, Peer] = {}

    def watch(self, peer: Peer) -> None:
        """Known first, watched second: the leader may hear of it at once."""
        with self._lock:
            self.peers[peer.fd] = peer
            try:
                if peer.watcher is None:
                    peer.watcher = self._epoll
                    self._epoll.register(peer.fd, self._mask)
                elif self._shared:
                    self._epoll.modify(peer.fd, self._mask)
            except OSError as error:
                # epoll(7): a user's descriptors are counted, max_user_watches.
                report(f"connection: cannot be watched: {error.strerror} -- connection closed")
                del self.peers[peer.fd]
                peer.close()

    def sweep(self, now: float, speaking: Container[int], idle_too: bool) -> bool:
        """Close who is overdue, and with ``idle_too`` who is idle. Does a deadline remain?

        ``speaking``: who was heard just now. Perhaps all was here in time, and we were busy: he is excused, once.
        """
        remains = False
        for fd, peer in list(self.peers.items()):
            if peer.deadline is None or (idle_too and is_idle(peer)):
                # A request that is here already is answered.
                overdue = idle_too and fd not in speaking
            else:
                remains = True
                overdue = now >= peer.deadline
                if overdue and fd in speaking and not peer.excused:
                    peer.excused, peer.deadline = True, now + _EXCUSE_SECONDS
                    overdue = False
            if overdue:
                self._close(fd, peer)
        return remains

    def idle(self) -> bool:
        """Is there one that waits between two requests?"""
        return any(map(is_idle, list(self.peers.values())))

    def make_room(self, speaking: Container[int]) -> bool:
        """Close the idle one that came first. False: there is none."""
        for fd, peer in list(self.peers.items()):
            if is_idle(peer) and fd not in speaking:
                self._close(fd, peer)
                return True
        return False

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()
        self.peers.clear()

    def _close(self, fd: int, peer: Peer) -> None:
        with self._lock:
            if self.peers.get(fd) is peer:
                del self.peers[fd]
                peer.close()


def is_idle(peer: Peer) -> bool:
    """Does it wait between two requests?"""
    return peer.deadline is None or getattr(peer, "idle", False)
