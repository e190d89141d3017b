"""What a vassal is given at its birth, sealed: the spec that was validated, and which descriptors are what.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from emperor.model import VassalSpec

SERVE, CHECK, BIND, INQUIRE = "serve", "check", "bind", "inquire"
"""Serve the app; import it once and report; bind its sockets, hand them up and end; say why an interpreter did not get
so far."""


@dataclass(frozen=True)
class Commission:
    """What one process of the vassal side is to do, and with what.

    ``listeners``: socket index → inherited descriptor. ``places``: socket index → (device, inode) of a socket file that
    this user's vassals bound before, and may remove. ``keeps_log``: the vassal opens ``logto`` itself.
    ``parent``: the emperor's pid; a vassal whose parent is another one by now must not start to serve.
    ``leftovers``: (descriptor, protocol) of listeners that others have replaced: who waits there is to be served.
    ``workers``: how many at most, if it is not what the ini says; 0: it is.
    """

    role: str
    spec: VassalSpec
    listeners: dict[int, int] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    keeps_log: bool = False
    parent: int = 0
    leftovers: tuple[tuple[int, str], ...] = ()
    workers: int = 0

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those of all listeners that it hands down."""
        return (*self.listeners.values(), *(descriptor for descriptor, _ in self.leftovers))

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "role": self.role,
                "spec": self.spec.to_json(),
                "listeners": self.listeners,
                "places": self.places,
                "keeps_log": self.keeps_log,
                "parent": self.parent,
                "leftovers": self.leftovers,
                "workers": self.workers,
            }
        ).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Commission:
        """The inverse; it trusts its input, which the emperor sealed."""
        raw = json.loads(data)
        return cls(
            raw["role"],
            VassalSpec.from_json(raw["spec"]),
            {int(index): fd for index, fd in raw["listeners"].items()},
            {int(index): (place[0], place[1]) for index, place in raw["places"].items()},
            raw["keeps_log"],
            raw["parent"],
            tuple((fd, protocol) for fd, protocol in raw["leftovers"]),
            raw["workers"],
        )
