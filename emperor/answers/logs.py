"""Vassals' lines, as a client sees them: the last ones, and each new one.

With the lines goes the number of the last of them (``count``) and whose numbers these are (``ring``): a client that has
to come again, perhaps to another emperor, knows which it has shown, and how many it has missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from emperor.answers.followers import Seen
from emperor.answers.realm import Realm
from emperor.control.connection import Reply
from emperor.system.ring import Ring


def last(realm: Realm, names: Sequence[str], count: int, reply: Reply) -> Seen:
    """Send the last lines of each, and say what was sent."""
    seen, life = {}, _life()
    for name in names:
        ring = realm.performers[name].ring
        reply.send({"ok": True, "data": _told(name, ring, ring.last(count), life)})
        seen[name] = ring.count
    return seen


def news(realm: Realm, seen: Seen, may: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """``followers.News``. ``may``: is the vassal still the client's to see?

    A vassal that is gone, or somebody else's by now, is followed no longer.
    """
    for name in list(seen):
        performer = realm.performers.get(name)
        if performer is None and realm.stopping:
            # It is not removed: the next emperor will have it.
            continue
        if performer is None or not may(name):
            del seen[name]
            yield {"name": name, "lines": [], "gone": True}
        elif performer.ring.count > seen[name]:
            ring = performer.ring
            lines, seen[name] = ring.since(seen[name]), ring.count
            yield _told(name, ring, lines, _life())


def _told(name: str, ring: Ring, lines: list[str], life: str) -> dict[str, Any]:
    return {"name": name, "lines": lines, "ring": life, "count": ring.count}


def _life() -> str:
    """Of this process: it goes on counting over an upgrade in place (proc(5): when it was started, in ticks)."""
    with open("/proc/self/stat", "rb") as file:
        started = file.read().rpartition(b")")[2].split()[19]
    return f"{os.getpid()}.{int(started)}"
