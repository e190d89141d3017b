"""The one thread of a server that has but one, the main thread: it hears, accepts and serves in a plain loop.

What it has accepted waits for its present request, which may be long, while other workers idle. So it takes nobody in
whom it cannot serve at once: whom it has already come first, and a new one is given a moment to speak.
"""

from __future__ import annotations

import select
from typing import Optional

from emperor.serving.backlog import Peer
from emperor.serving.reactor import Reactor
from emperor.serving.waiting import is_idle

__all__ = ["accepted_first", "serve"]

_SPEAKS_SOON = 3
"""Milliseconds: a web server's request follows its connection within microseconds."""
_IN_VAIN = 8
"""So many of those a second: silent connections are not to cost a worker its time."""


def serve(reactor: Reactor) -> None:
    """Until drained. It hands no lead on, and hides no connection from others while it serves it."""
    peers = reactor.waiting.peers
    while reactor.drain_began is None or not reactor.is_done():
        reactor.wait()
        pending = reactor.pending if len(reactor.pending) == 1 else accepted_first(reactor)
        while pending:
            fd, _ = pending.pop()
            peer = peers.get(fd) or reactor.take(fd)
            if peer is None:
                continue
            watched = reactor.advance(peer, 0)
            if watched is None:
                # One that was never waited for, which is every uwsgi request's, is unknown.
                peers.pop(fd, None)
            elif watched is not peer or peer.watcher is None:
                _watch_new(reactor, peer, watched)
            elif peer.deadline is not None:
                reactor.hurried = True


def accepted_first(reactor: Reactor) -> list[tuple[int, int]]:
    """``pending``: nobody is accepted while somebody who was is heard. But listening sockets are not passed over
    twice in a row, and not in a drain: they are heard for the last time.
    """
    peers = reactor.waiting.peers
    accepted = [one for one in reactor.pending if one[0] in peers]
    if accepted and len(accepted) < len(reactor.pending) and reactor.drain_began is None:
        doors = [one for one in reactor.pending if one[0] not in peers]
        # Taken from the end. What is passed over is heard again (epoll(7), level-triggered).
        reactor.pending = doors + accepted if reactor.passed_over else accepted
        reactor.passed_over = not reactor.passed_over
    return reactor.pending


def _watch_new(reactor: Reactor, peer: Peer, watched: Optional[Peer]) -> None:
    """If its request was not there, or not the whole of it, it is given a moment before."""
    if watched is peer and not (reactor.pending or reactor.in_vain >= _IN_VAIN or is_idle(peer)):
        poll = select.poll()
        poll.register(peer.fd, select.POLLIN)
        if poll.poll(_SPEAKS_SOON):
            watched = reactor.advance(peer, 0)
        else:
            reactor.in_vain += 1
    if watched is not None:
        reactor.watch(watched)
