"""How much of a vassal's talk is heard in a second: enough for any log, too little to keep the emperor from others."""

from __future__ import annotations

from dataclasses import dataclass, replace

LINES = 2000
"""Each costs the emperor 10 to 25 microseconds, to hear it, to keep it and to write it: a twentieth of a core."""
BATCHES = 2000
"""Messages that are nothing but lines: under load a line comes alone, or a few together (``crew.hand``)."""
DATAGRAMS = 200
"""All other messages: what comes of one is more than a line."""
BYTES = 1 << 20
"""Of messages and of what is printed, together."""


RATE = 256 << 10
BURST = 8 << 20
"""Bytes a second, and at once, of the emperor's own log for all vassals of one user together: an app that means well
prints a hundredth of it, and a disk that others need too is not full within minutes."""
OF_A_LINE = 64
"""Bytes that stand around what was printed: when, and by whom."""


@dataclass(frozen=True)
class Purse:
    """What of a user's may go into the emperor's own log at ``since``. ``lost``: lines that nobody was told of yet."""

    left: float = BURST
    since: float = 0.0
    lost: int = 0


def pay(purse: Purse, size: int, now: float) -> tuple[Purse, bool, int]:
    """For a line of so many bytes: is it written, and how many were lost before it and are to be told of?

    Once one is lost so are the next ones, for a second: or each that is written had a word on others beside it.
    """
    left = min(BURST, purse.left + RATE * max(0.0, now - purse.since))
    cost = size + OF_A_LINE
    if left < (RATE if purse.lost else cost):
        return Purse(left, now, purse.lost + 1), False, 0
    return Purse(left - cost, now), True, purse.lost


def is_over(purse: Purse, now: float) -> bool:
    """Would the next line be written?"""
    return purse.left + RATE * max(0.0, now - purse.since) >= RATE


@dataclass(frozen=True)
class Ration:
    """What is left of the second that began at ``since``. ``lost``: lines that nobody was told of yet."""

    since: float = 0.0
    lines: int = LINES
    datagrams: int = DATAGRAMS
    size: int = BYTES
    lost: int = 0
    batches: int = BATCHES

    @property
    def exhausted(self) -> bool:
        """Nothing more is read before the next second."""
        return min(self.datagrams, self.batches, self.size) <= 0


def refresh(ration: Ration, now: float) -> Ration:
    return Ration(since=now, lost=ration.lost) if now - ration.since >= 1.0 else ration


def spend(ration: Ration, datagrams: int = 0, batches: int = 0, size: int = 0) -> Ration:
    return replace(
        ration,
        datagrams=ration.datagrams - datagrams,
        batches=ration.batches - batches,
        size=ration.size - size,
    )


def admit(ration: Ration, lines: int) -> tuple[Ration, int, int]:
    """Of ``lines`` new ones: how many are heard, and how many were lost before them and are to be told of."""
    heard = min(lines, ration.lines)
    told = ration.lost if heard else 0
    lost = ration.lost - told + (lines - heard)
    return replace(ration, lines=ration.lines - heard, lost=lost), heard, told
