"""What ``emperor run`` hands to the lone server that it becomes: a spec, and what is lent to the app's Python.

Root writes it and the app's user reads it: it stands apart from the server, which root has no use for.
This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from emperor.model import VassalSpec


@dataclass(frozen=True)
class Paper:
    """What the first half hands to the second. ``lent``: package → its folder, for what the app's packages may lack."""

    spec: VassalSpec
    lent: Mapping[str, str]

    def to_bytes(self) -> bytes:
        return json.dumps({"spec": self.spec.to_json(), "lent": dict(self.lent)}).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Paper:
        """The inverse; it trusts its input, which the first half sealed."""
        raw = json.loads(data)
        return cls(VassalSpec.from_json(raw["spec"]), raw["lent"])
