"""What the daemon hands to the program that replaces it in its own process: one sealed text, and open descriptors.

It promises: what was encoded by this version decodes to the same value; what another version cannot read it refuses
as a whole, by the name of what it misses, and that is found out before anything is replaced (``emperor --check``).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from emperor import plain
from emperor.answers.answers import AnswersState
from emperor.chronicle import ChronicleState
from emperor.control.server import ControlState
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontState
from emperor.holding.estate import HeldState
from emperor.intake.inis import IniState
from emperor.supervision.record import Vassal
from emperor.tending.performer import PerformerState

VARIABLE = "EMPEROR_HANDOVER"
"""In the environment of the program that takes over: the descriptor of the text."""

FORMAT = 1
"""Counted up when a field changes its meaning; that one is there or gone is seen without it."""

READ = "handover: OK"
"""The last line of a check by a program that could take over: it got that far, and has read everything."""

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True)
class VassalState:
    """``ini``: where it lies and what was known of it; None: it has none, or no more."""

    record: Vassal
    ini: IniState | None
    performer: PerformerState
    held: tuple[HeldState, ...]


@dataclass(frozen=True)
class State:
    """``askers``: the clients who wait to hear that it is done. ``begun``: monotonic seconds.

    ``launcher``: of the vassals that were started last. ``book``: the descriptor that keeps the place book ours, -1:
    none. ``folders``: those that keep the folders ours. ``heirlooms``: systemd's listeners that no vassal has yet, and
    their names. ``before_us``: children of this process that are none of ours, None: nobody has told.
    """

    version: str
    begun: float
    vassals: tuple[VassalState, ...]
    control: ControlState
    answers: AnswersState
    askers: tuple[int, ...]
    launcher: str
    book: int
    folders: dict[str, int]
    heirlooms: tuple[tuple[int, str], ...]
    front: FrontState | None
    before_us: tuple[int, ...] | None = None
    chronicle: ChronicleState | None = None

    @property
    def descriptors(self) -> frozenset[int]:
        """Everything that must stay open."""
        return frozenset(fd for fd in self._descriptors() if fd >= 0)

    def _descriptors(self) -> Iterator[int]:
        yield self.book
        yield from self.folders.values()
        yield from self.control.descriptors
        yield from (descriptor for descriptor, _ in self.heirlooms)
        if self.front is not None:
            yield from self.front.descriptors
        for vassal in self.vassals:
            yield from (held.fd for held in vassal.held)
            for crib in vassal.performer.cribs:
                yield from crib.child.descriptors
            for grave in vassal.performer.unburied:
                yield from grave.child.descriptors


def encode(state: State) -> bytes:
    """With the schema: what the state might hold a moment later is read, or refused, as a whole and in time."""
    whole = {"format": FORMAT, "schema": plain.schema(State), "state": plain.lower(state)}
    return json.dumps(whole).encode("ascii")


def decode(data: bytes) -> State:
    """EmperorError: it is another version's, and cannot be read."""
    try:
        raw = json.loads(data)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(f"format {raw.get('format') if isinstance(raw, dict) else '?'}, {FORMAT} is known")
        gap = plain.gaps(State, raw["schema"])
        if gap:
            raise ValueError(gap)
        state = plain.build(State, raw["state"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmperorError(f"handover: cannot be read: {error} -- restart instead of upgrading") from None
    assert isinstance(state, State)
    return state


def received(environ: MutableMapping[str, str]) -> State | None:
    """What an older program of this process left for us; None: nobody did. EmperorError: it cannot be read.

    The variable is taken out of the environment, and the text closed.
    """
    number = environ.pop(VARIABLE, "")
    if not (number.isascii() and number.isdigit()):
        return None
    fd = int(number)
    try:
        # Nobody can have changed it since: so it is the one that was written.
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) != _SEALS:
            raise EmperorError(f"handover: descriptor {fd} is not sealed -- restart instead of upgrading")
        with open(fd, "rb", closefd=False) as file:
            file.seek(0)
            return decode(file.read())
    except OSError as error:
        raise EmperorError(f"handover: descriptor {fd}: {error.strerror} -- restart instead of upgrading") from None
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)
