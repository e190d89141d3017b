"""A vassal's spec, as the emperor has it, for verbs that work from it."""

from __future__ import annotations

import json
from typing import Any

from emperor.control.messages import FAILED, NO_VASSAL, Request
from emperor.ctl.console import ANOTHER_VERSION, Console, impossible_names
from emperor.errors import EmperorError
from emperor.model import VassalSpec
from emperor.text import printable

_PATIENCE = 10.0
"""Seconds for the emperor to answer."""


def spec_of(name: str, console: Console) -> VassalSpec | int:
    """The spec, or an exit code once the reason has been said. Raises EmperorError for another version's."""
    if impossible_names([name]):
        console.error(f"{printable(name)}: no such vassal")
        return NO_VASSAL
    reply = list(console.answers(Request("spec", (name,)), _PATIENCE))[-1]
    if not reply.get("ok"):
        console.error(str(reply.get("error")))
        code = reply.get("exit")
        return code if isinstance(code, int) and code else FAILED
    return _spec(reply.get("data"))


def _spec(data: Any) -> VassalSpec:
    try:
        return VassalSpec.from_json(json.dumps(data))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EmperorError(ANOTHER_VERSION) from None
