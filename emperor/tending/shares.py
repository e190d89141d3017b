"""How many of the emperor's descriptors the vassals of one user may take: never more than they leave for all others.

So there is room for one more user's vassals however many a user drops. A vassal counts with all that it takes when it
runs, asleep or not: who is let in can always be woken, and reloaded. Administrators' inis have no share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from emperor.errors import SpawnError
from emperor.model import OWNER, VassalSpec
from emperor.system import limits

KEPT = 4
"""Of ours, while a vassal runs: channel, output, log, pidfd."""


class Claim(NamedTuple):
    """What a vassal has: listening sockets, processes; ``uid``: whose ini it is, None: an administrator's."""

    uid: int | None = None
    sockets: int = 0
    processes: int = 0

    @property
    def open(self) -> int:
        return self.sockets + KEPT * self.processes

    @property
    def weight(self) -> int:
        return self.sockets + KEPT * max(1, self.processes) if self.sockets or self.processes else 0


class Claimant(Protocol):
    """A vassal's performer."""

    @property
    def claim(self) -> Claim: ...


def owner(spec: VassalSpec) -> int | None:
    """None: it counts for nobody."""
    return spec.authority.uid if spec.authority.kind == OWNER else None


def more(own: Claim, spec: VassalSpec) -> int:
    """How many descriptors a generation of it adds for good; 0: a reload, or one that is woken."""
    return max(0, max(own.sockets, len(spec.sockets)) + KEPT * max(1, own.processes) - own.weight)


def excess(uid: int, needed: int, claims: Iterable[Claim], free: int) -> tuple[int, int]:
    """What the user's vassals would have, and what would be left for all others, of ``free`` ones now. Pure."""
    theirs, promised = needed, needed
    for one in claims:
        promised += one.weight - one.open
        theirs += one.weight if one.uid == uid else 0
    return theirs, max(0, free - promised)


def require_room(own: Claim, spec: VassalSpec, everybody: Iterable[Claimant], count: int) -> None:
    """Before another vassal of a user's begins; ``count``: how many there are. SpawnError: their share is used up."""
    uid, needed = owner(spec), more(own, spec)
    if uid is None or not needed:
        return
    taken, most = limits.descriptors()
    room = most - limits.reserve(most) - taken
    if 2 * (taken + KEPT * count + needed) <= most - limits.reserve(most):
        # Whatever part of it is theirs: to count it would take long, and only very many vassals get beyond this.
        return
    theirs, left = excess(uid, needed, (one.claim for one in everybody), room)
    if theirs > left:
        raise SpawnError(
            f"start: vassals of {spec.identity.user} would need {theirs} of {most} descriptors, and leave {left} for "
            f"all others -- {limits.MEND}, or remove some"
        )
