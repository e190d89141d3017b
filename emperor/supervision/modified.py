"""What an app was made of: which of it has changed since, and what to say of it. Pure; signatures and the time come in.

It promises: a change is told once, when two looks in a row have seen the same, so that of an editor's three writes the
last is told. No clock is compared with a file's time: a clock that is wrong makes neither a hole nor a circle.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

SETTLE = 0.1
"""Seconds for which a change must have stayed as it is."""

LOOK_AGAIN = 0.12
"""Seconds until the next look at what has just changed."""

LONGEST = 5.0
"""Seconds after which a file that never comes to rest is told of all the same."""

QUICKEST = 0.1
"""Seconds between two looks, at least."""

SAY_EVERY = 1.0
"""Seconds between two words about it, at least: each costs a whole import."""

MOST_WORDS = 256

Signature = Optional[Hashable]
"""None: it is not there."""


class Place(NamedTuple):
    """The signature of what ``touch-reload`` names. ``leads_to``: where its links end."""

    leads_to: str
    device: int
    inode: int
    size: int
    mtime: int


class Moving(NamedTuple):
    """What differs from what is known. ``first``: since when; ``since``: since when as it is now; monotonic seconds."""

    signature: Signature
    first: float
    since: float


class Change(NamedTuple):
    """Of one path."""

    path: str
    before: Signature
    after: Signature


@dataclass(frozen=True)
class Known:
    """What was told of, or there from the beginning; and what has changed too recently.

    ``absence``: is it a change that something is gone? Not of a module: what was imported needs its file no more, and
    many an editor moves a file away before it writes another.
    """

    absence: bool
    files: Mapping[str, Signature] = field(default_factory=dict)
    moving: Mapping[str, Moving] = field(default_factory=dict)


def learn(before: Known, found: Mapping[str, Signature]) -> Known:
    """What is to be watched from now on. Of what is known already, the older signature counts."""
    return Known(before.absence, {**found, **before.files}, before.moving)


def look(before: Known, seen: Mapping[str, Signature], now: float) -> tuple[Known, tuple[Change, ...]]:
    """``seen``: all that there is of it now. What nobody has learnt of is new, and so a change."""
    if not before.moving and seen == before.files:
        return before, ()
    files, moving, changes = dict(before.files), {}, []
    for path in {**before.files, **seen}:
        known, signature = before.files.get(path), seen.get(path)
        if signature == known or (signature is None and not before.absence):
            continue
        last = before.moving.get(path)
        one = Moving(signature, now, now)
        if last is not None:
            one = Moving(signature, last.first, last.since if last.signature == signature else now)
        if now >= one.since + SETTLE or now >= one.first + LONGEST:
            files[path] = signature
            changes.append(Change(path, known, signature))
        else:
            moving[path] = one
    return Known(before.absence, files, moving), tuple(changes)


def pace(promised: float) -> float:
    """Seconds between two looks, so that a change is told within ``promised``: it is seen, and seen again."""
    return max(QUICKEST, promised - 2 * LOOK_AGAIN - SETTLE / 2)


def touched(change: Change) -> str:
    """In words, of what ``touch-reload`` names."""
    before, after = change.before, change.after
    what = "was touched"
    if after is None:
        what = "was removed"
    elif before is None:
        what = "was made"
    elif isinstance(before, Place) and isinstance(after, Place) and before.leads_to != after.leads_to:
        what = f"leads to {after.leads_to} now"
    return f"touch-reload: {change.path} {what}"


def led_elsewhere(change: Change) -> str:
    """In words, of a path of the ini, whose signature is where its links end."""
    return f"py-autoreload: {change.path} leads to {change.after} now"


def written(change: Change) -> str:
    """In words, of a module's file."""
    return f"py-autoreload: {change.path} {'is new' if change.before is None else 'has changed'}"


@dataclass(frozen=True)
class Words:
    """What is still to be said, and when something was, monotonic seconds."""

    unsaid: tuple[str, ...] = ()
    said_at: float = -SAY_EVERY

    def wait(self, now: float) -> float:
        """Seconds until it may be said."""
        return max(0.0, self.said_at + SAY_EVERY - now)


def note(before: Words, said: Iterable[str]) -> Words:
    """More to say. Of what is noted twice, or of too much, nobody learns more by hearing it all."""
    return replace(before, unsaid=tuple(dict.fromkeys((*before.unsaid, *said)))[:MOST_WORDS])


def say(before: Words, now: float) -> tuple[Words, str]:
    """The first of them, and how many more there are; ``""``: nothing, or not yet."""
    if not before.unsaid or before.wait(now) > 0:
        return before, ""
    first, *more = before.unsaid
    return Words((), now), f"{first}, and {len(more)} more" if more else first


def outermost(folders: Collection[str]) -> tuple[str, ...]:
    """Those that lie in no other of them. Never the root, below which is everything."""
    kept: list[str] = []
    for folder in sorted({one.rstrip("/") for one in folders} - {""}):
        if not any(folder.startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return tuple(kept)
