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
