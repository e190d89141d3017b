"""Which vassal answers a path: the emperor's table as a value, and the longest prefix that matches.

It promises: a table line is either a whole new table or an error, never half of one; the same table and path
always give the same answer. It touches no socket and no file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional, Union

from emperor.errors import ChannelError

DOWN = frozenset({"STOPPED", "FATAL", "INVALID"})
"""States in which nobody will accept, however long one waits."""
DOUBTFUL = DOWN | {"BACKOFF"}
"""States in which waiting for an answer is only worth a moment."""


@dataclass(frozen=True)
class Vassal:
    """One row of the table. ``address`` is a path, ``@name`` (abstract) or ``host:port``."""

    name: str
    state: str
    protocol: str
    address: str
    mounts: tuple[str, ...] = ()

    @property
    def doors(self) -> tuple[str, ...]:
        """The paths a person would click on."""
        return tuple(mount + "/" for mount in self.mounts) or (f"/{self.name}/",)


@dataclass(frozen=True)
class Place:
    """A request goes to ``vassal``, with these two CGI variables (RFC 3875 sections 4.1.13 and 4.1.5)."""

    vassal: Vassal
    script_name: str
    path_info: str


@dataclass(frozen=True)
class Moved:
    """A request has to ask again, at ``path``."""

    path: str


Answer = Union[Place, Moved, None]


@dataclass(frozen=True)
class Entry:
    """One prefix that leads to a mount (``bare``: SCRIPT_NAME ""), to a name, or on to ``moved``."""

    prefix: str
    vassal: Vassal
    bare: bool = False
    moved: str = ""

    def matches(self, path: str) -> bool:
        if self.moved:
            return path in (self.prefix, self.prefix + "/")
        return path == self.prefix or path.startswith(self.prefix + "/")

    def answer(self, path: str) -> Answer:
        if self.moved:
            return Moved(self.moved)
        if self.bare:
            return Place(self.vassal, "", path)
        if path == self.prefix:
            # Without the slash every relative link of the app would point one level too high.
            return Moved(self.prefix + "/")
        return Place(self.vassal, self.prefix, path[len(self.prefix) :])


@dataclass(frozen=True)
class Table:
    """All vassals, sorted by name."""

    vassals: tuple[Vassal, ...] = ()

    def state(self, name: str) -> str:
        """The state of a vassal; STOPPED when it is not in the table any more."""
        return next((one.state for one in self.vassals if one.name == name), "STOPPED")

    def find(self, path: str) -> Answer:
        """Where ``path`` (decoded, with its leading slash) leads; None: nowhere."""
        entry = next((entry for entry in self._entries if entry.matches(path)), None)
        return entry.answer(path) if entry else None

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        """Longest prefix first. Claimed twice: the vassal of that name has it, then the first mount."""
        claims = [Entry(f"/{one.name}", one) for one in self.vassals if not one.mounts]
        claims += [Entry(mount, one, bare=True) for one in self.vassals for mount in one.mounts]
        claims += [Entry(f"/{one.name}", one, moved=one.doors[0]) for one in self.vassals if one.mounts]
        entries: dict[str, Entry] = {}
        for claim in claims:
            entries.setdefault(claim.prefix, claim)
        return tuple(sorted(entries.values(), key=lambda entry: len(entry.prefix), reverse=True))


def parse_table(line: bytes) -> Table:
    """The table that one line of the channel describes.

    Raises ChannelError for anything else, so that the last good table stays.
    """
    try:
        vassals = [_parse_vassal(row) for row in json.loads(line)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChannelError(f"routing table: {error!r} -- the last good one stays") from error
    return Table(tuple(sorted(vassals, key=lambda one: one.name)))


def _parse_vassal(row: dict[str, Any]) -> Vassal:
    name, state, protocol, address = (row[key] for key in ("name", "state", "protocol", "address"))
    if not all(isinstance(value, str) for value in (name, state, protocol, address)):
        raise TypeError("name, state, protocol and address are strings")
    return Vassal(name, state, protocol, address, _clean_mounts(row.get("mounts", ())))


def _clean_mounts(mounts: list[str]) -> tuple[str, ...]:
    """``/app/`` is ``/app``. The root is nobody's, for several may want it: such an app is reached by its
    name.

    One slash in front, whatever was written: a browser takes ``//x/`` in a redirect for another host.
    """
    stripped = [mount.strip("/") for mount in mounts]
    return () if "" in stripped else tuple("/" + mount for mount in stripped)


def parse_address(text: str) -> Union[str, tuple[str, int]]:
    """What ``connect`` takes, for a path, ``@name``, ``host:port`` or ``[v6]:port``. Raises ValueError."""
    if text.startswith("@"):
        return "\0" + text[1:]
    if text.startswith("/"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        raise ValueError(f"not an address: {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def parse_length(text: str) -> Optional[int]:
    """CONTENT_LENGTH as bytes: ASCII digits only (RFC 9110 section 8.6), "" is 0, None is a bad one.

    ``int`` alone would take ``5_0``, ``+5`` and digits of other scripts.
    """
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
