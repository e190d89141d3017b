"""The listening end of the control socket.

It promises: the kernel says who calls; a stuck or hostile client blocks nobody, and ordinary users together
cannot take the places that are kept for administrators. What a request means is the handler's.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from emperor.control import binding, messages
from emperor.control.connection import Caller, Connection, Reply
from emperor.control.messages import Peer, Policy, Request
from emperor.errors import EmperorError
from emperor.system import passing
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop, Timer

Handler = Callable[[Request, Peer, Reply], None]
"""Answers through its ``Reply``, at once or later. An EmperorError becomes the answer; a bug goes to the loop's
``on_error``, and its client hears that there was one."""

MOST_CLIENTS = 64
MOST_ORDINARY = 48
"""Clients that are no administrators, together; the other places are kept."""
MOST_OF_ONE_USER = 16

MOST_UNCLOSED = 64
"""Sockets of clients whose close waits, which only those can be through which descriptors can be sent (before Linux
6.16): with so many nobody is accepted, rather than that all our descriptors go that way."""

_ACCEPTS_A_ROUND = 16
_BREATHER_SECONDS = 1.0
"""Without descriptors accept fails at once, for ever: look again later, or the loop would spin."""

_FULL = "control socket: too many clients -- try again"


@dataclass(frozen=True)
class ControlState:
    """A control socket that is handed over, its lock held: descriptors, and who is connected."""

    path: str
    fd: int
    inode: tuple[int, int]
    lock: int
    callers: tuple[Caller, ...]

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self.fd, self.lock, *(caller.fd for caller in self.callers))


class ControlServer:
    """Listens from its making until ``close``. ``state``: what an older program of ours hands over in its stead."""

    def __init__(
        self, loop: Loop, path: str, handler: Handler, policy: Policy, state: Optional[ControlState] = None
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._policy = policy
        self._clients: set[Connection] = set()
        self._breather: Optional[Timer] = None
        # Of its own: what strangers leave behind is no reason not to upgrade, or to start nobody of theirs.
        self._closer = Closer()
        self._left_behind: set[int] = set()
        bound = binding.bind(path) if state is None else _adopt(state)
        # What came to one that is handed over may have brought descriptors before that was refused.
        self._bound: Optional[binding.Bound] = bound
        self._clean = passing.refuses(bound.sock)
        passing.refuse(bound.sock)
        self._replies = {caller.fd: self._resume(caller) for caller in (state.callers if state is not None else ())}
        self._listen()

    def look(self) -> str:
        """Has somebody removed our file? Then it is bound anew; what happened, in a line, or ""."""
        if self._bound is None:
            return ""
        try:
            fresh = binding.restore(self._bound)
        except EmperorError as error:
            return str(error)
        if fresh is None:
            return ""
        self._loop.unwatch(self._bound.sock.fileno())
        self._close_listener(self._bound)
        self._bound, self._clean = fresh, passing.refuses(fresh.sock)
        if self._breather is None:
            self._listen()
        return f"control socket {fresh.path}: its file was removed -- bound again"

    def export(self) -> ControlState:
        assert self._bound is not None
        callers = tuple(client.export() for client in self._clients)
        bound = self._bound
        return ControlState(bound.path, bound.sock.fileno(), bound.inode, bound.lock, callers)

    def reply_to(self, fd: int) -> Optional[Reply]:
        """How to answer the caller who was handed over under this number; None: it has left."""
        return self._replies.pop(fd, None)

    def _resume(self, caller: Caller) -> Reply:
        os.set_inheritable(caller.fd, False)
        client = Connection(
            self._loop, socket.socket(fileno=caller.fd), caller.peer, self._dispatch, self._clients.discard, self._leave
        )
        self._clients.add(client)
        client.resume(caller)
        return Reply(client)

    def close(self) -> None:
        """Hang up on everybody and remove the path, if it is still ours. A second time: nothing."""
        if self._bound is None:
            return
        if self._breather is not None:
            self._breather.cancel()
        self._loop.unwatch(self._bound.sock.fileno())
        for client in tuple(self._clients):
            client.close()
        self._close_listener(self._bound)
        binding.release(self._bound)
        self._bound = None

    def _close_listener(self, bound: binding.Bound) -> None:
        """Who waits there may have sent something already."""
        if self._clean:
            bound.sock.close()
        else:
            self._closer.close(bound.sock.detach())

    def _listen(self) -> None:
        self._breather = None
        if self._bound is not None:
            self._loop.watch(self._bound.sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_ROUND):
            if self._bound is None:
                return
            if self._unclosed() >= MOST_UNCLOSED:
                self._pause()
                return
            try:
                sock, _address = self._bound.sock.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError:
                self._pause()
                return
            sock.setblocking(False)
            pid, uid, gid = binding.credentials(sock)
            peer = Peer(uid, gid, binding.supplementary_groups(sock), pid)
            room = self._room_for(peer)
            client = Connection(self._loop, sock, peer, self._dispatch, self._clients.discard, self._leave)
            self._clients.add(client)
            if not room:
                client.finish(messages.refusal(_FULL, messages.FAILED))

    def _pause(self) -> None:
        assert self._bound is not None
        self._loop.unwatch(self._bound.sock.fileno())
        self._breather = self._loop.call_at(self._loop.now() + _BREATHER_SECONDS, self._listen)

    def _leave(self, sock: socket.socket, peer: Peer) -> None:
        """Somebody else closes it, and may wait."""
        self._left_behind.add(peer.uid)
        self._closer.end(sock, peer.uid)

    def _unclosed(self) -> int:
        owed = {uid: self._closer.owed(uid)[0] for uid in self._left_behind}
        self._left_behind = {uid for uid, count in owed.items() if count}
        return sum(owed.values())

    def _room_for(self, peer: Peer) -> bool:
        if len(self._clients) >= MOST_CLIENTS:
            return False
        if self._policy.administers(peer):
            return True
        ordinary = [client.peer.uid for client in self._clients if not self._policy.administers(client.peer)]
        return len(ordinary) < MOST_ORDINARY and ordinary.count(peer.uid) < MOST_OF_ONE_USER

    def _dispatch(self, request: Request, client: Connection) -> None:
        if not self._conceivable(request, client.peer):
            client.finish(messages.refusal(f"{request.verb}: not permitted", messages.DENIED))
            return
        try:
            self._handler(request, client.peer, Reply(client))
        except EmperorError as error:
            client.finish(messages.refusal(str(error), messages.FAILED))
        except Exception as error:
            self._loop.report(error)
            client.finish(messages.refusal("the emperor failed to answer", messages.FAILED))

    def _conceivable(self, request: Request, peer: Peer) -> bool:
        """May this caller use the verb on anything at all? The handler still asks for each vassal."""
        return self._policy.permits(request.verb, peer, vassal_uid=peer.uid)


def _adopt(state: ControlState) -> binding.Bound:
    for fd in (state.fd, state.lock):
        os.set_inheritable(fd, False)
    sock = socket.socket(fileno=state.fd)
    sock.setblocking(False)
    return binding.Bound(state.path, sock, state.inode, state.lock)
