"""How the vassals are, as a client sees it: all of them in one answer, or piece by piece as it reads them.

It promises: an answer is not too large for however many vassals and workers there are, and nobody else waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from emperor.answers.followers import Seen
from emperor.answers.realm import Realm
from emperor.control.connection import Reply

MOST = 1000
"""Rows of a piece, more or less: one for each vassal, worker and log line; a row is about 400 bytes."""
ROOM = 1024 * 1024
"""Bytes that a client has not read yet, with which it is told nothing more."""


def piece(realm: Realm, wanted: Seen, numbers: bool, may: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The next vassals, which are taken out of ``wanted``: name → how many of its lines."""
    found: list[dict[str, Any]] = []
    size = 0
    while wanted and size < MOST:
        name = next(iter(wanted))
        lines = wanted.pop(name)
        if name in realm.vassals and may(name):
            one = realm.show(name, lines, numbers)
            found.append(one)
            size += 1 + len(one["workers"]) + sum(1 + len(line) // 400 for line in one.get("lines", ()))
    return found


def rest(
    realm: Realm, reply: Reply, wanted: Seen, numbers: bool, may: Callable[[str], bool]
) -> Iterator[list[dict[str, Any]]]:
    """``followers.News``: what comes after the first piece."""
    while wanted and reply.unread < ROOM:
        yield piece(realm, wanted, numbers, may)
