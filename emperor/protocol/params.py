"""Request parameters as both wires carry them.

It never joins, drops or judges a value: what a repeated name means is the WSGI side's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emperor.errors import ProtocolError

__all__ = ["MAX_PAIRS", "Params", "pairs", "refuse"]

MAX_PAIRS = 1000
"""No web server sends as many; a block of tiny pairs costs far more to handle than its bytes."""

Params = tuple[dict[str, Any], Sequence[tuple[str, Any]]]
"""Each name's last value, and the pairs that a later one of the same name displaced, in their order: ``fastcgi_param
SCRIPT_NAME ""`` behind ``include fastcgi_params`` makes one in every request. Every string holds one character per byte
(latin-1, PEP 3333 "Unicode Issues"). A bare tuple, for it is made at every request.

A codec puts them into a dictionary that may hold something already: what stood there under the same name is displaced
like an earlier pair. An environ is so made without a copy of every parameter.
"""


def pairs(params: Params) -> list[tuple[str, str]]:
    """All of them; those of one name stand in their order."""
    return [*params[1], *params[0].items()]


def refuse(fields: dict[str, Any]) -> ProtocolError:
    """For parameters of which one has no name, or that are more than ``MAX_PAIRS``."""
    if "" in fields:
        return ProtocolError("parameters: a name is empty")
    return ProtocolError(f"parameters: more than {MAX_PAIRS} of them", 431)
