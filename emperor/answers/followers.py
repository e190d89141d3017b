"""Clients that go on listening: to vassals' lines, to what happens, or to an answer that is too long for one message.

It promises: nothing is looked at while nobody follows; a follower survives an upgrade in place and misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emperor.control.connection import Reply
from emperor.control.messages import answer
from emperor.system.eventloop import Loop

FOLLOW_EVERY = 0.2
"""Seconds between two looks at what somebody follows."""

LOGS, EVENTS, STATUS, NUMBERS = "logs", "events", "status", "numbers"

Seen = dict[str, int]
"""Of each ring that is followed the number of the last that was sent; or of each vassal that is still to be told of how
much of it."""

News = Callable[[Reply, Seen], Iterable[Any]]
"""What is new since ``seen``, which is brought up to date; left empty, there is nothing more to come."""


@dataclass(frozen=True)
class FollowerState:
    """Who follows ``what``: LOGS, EVENTS, STATUS, or NUMBERS, which is STATUS with what was counted."""

    caller: int
    seen: dict[str, int]
    what: str = LOGS


@dataclass(frozen=True)
class _Follower:
    reply: Reply
    seen: Seen
    what: str


class Followers:
    """``news``: verb → what is new of it."""

    def __init__(self, loop: Loop, news: Mapping[str, News]) -> None:
        self._loop, self._news = loop, news
        self._all: list[_Follower] = []

    def export(self) -> tuple[FollowerState, ...]:
        return tuple(FollowerState(one.reply.fd, one.seen, one.what) for one in self._all if not one.reply.gone)

    def adopt(self, states: Sequence[FollowerState], reply_to: Callable[[int], Reply | None]) -> None:
        for one in states:
            reply = reply_to(one.caller)
            if reply is not None and one.what in self._news:
                self.begin(one.what, reply, dict(one.seen))

    def begin(self, what: str, reply: Reply, seen: Seen) -> None:
        follower = _Follower(reply, seen, what)
        self._all.append(follower)
        self._look(follower)

    def tell(self) -> None:
        """Somebody is about to be forgotten: what was last heard of him is told before."""
        for one in self._all:
            self._tell_news(one)

    def _tell_news(self, one: _Follower) -> None:
        if not one.reply.gone:
            for data in self._news[one.what](one.reply, one.seen):
                one.reply.send({"ok": True, "data": data})

    def _look(self, one: _Follower) -> None:
        if not one.reply.gone:
            self._tell_news(one)
            if not one.seen:
                one.reply.finish(answer(None))
        if one.reply.gone or not one.seen:
            # By identity: two may follow the same.
            self._all = [other for other in self._all if other is not one]
            return
        self._loop.call_at(self._loop.now() + FOLLOW_EVERY, lambda: self._look(one))
