"""What has happened, as a client may see it: the last events, and each new one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from emperor.answers.followers import Seen
from emperor.chronicle import Chronicle, Entry

May = Callable[[Entry], bool]
"""Is this event the caller's to see?"""

EVERYBODY = ""
"""In ``Seen`` instead of names: of all."""


def last(chronicle: Chronicle, names: Sequence[str], count: int, may: May) -> tuple[dict[str, Any], Seen]:
    """The last of them, and what was seen by that."""
    seen = dict.fromkeys(names or (EVERYBODY,), 0)
    found = list(_visible(chronicle, seen, may))
    return _told(found[-count:] if count else []), dict.fromkeys(seen, chronicle.count)


def news(chronicle: Chronicle, seen: Seen, may: May) -> Iterator[dict[str, Any]]:
    """``followers.News``: there is always more to come."""
    if chronicle.count == max(seen.values()):
        return
    found = list(_visible(chronicle, seen, may))
    seen.update(dict.fromkeys(seen, chronicle.count))
    if found:
        yield _told(found)


def names(chronicle: Chronicle, may: May) -> frozenset[str]:
    """Of whom the caller can see something, also if they are gone."""
    return frozenset(one.name for one in chronicle.since(0) if one.name and may(one))


def _visible(chronicle: Chronicle, seen: Seen, may: May) -> Iterable[Entry]:
    everybody = EVERYBODY in seen
    return (one for one in chronicle.since(min(seen.values())) if (everybody or one.name in seen) and may(one))


def _told(entries: Sequence[Entry]) -> dict[str, Any]:
    return {"events": [json.loads(one.text) for one in entries]}
