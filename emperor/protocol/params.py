"""Request parameters as both wires carry them: names and values in the order in which they came.

Two parallel lists rather than pairs: the WSGI side needs each column whole (to check and to make a dict of
them). It never joins, drops or judges a value: what a repeated name means is the WSGI side's to know.
"""

from __future__ import annotations

from typing import NamedTuple

from emperor.errors import ProtocolError

__all__ = ["MAX_PAIRS", "Params", "checked"]

MAX_PAIRS = 1000
"""No web server sends as many; a block of tiny pairs costs far more to handle than its bytes."""


class Params(NamedTuple):
    """Both lists are equally long; every string holds one character per byte (latin-1, PEP 3333 "Unicode
    Issues").
    """

    names: list[str]
    values: list[str]

    def pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.names, self.values))


def checked(names: list[str], values: list[str]) -> Params:
    """Raises ``ProtocolError``: 431 for more than ``MAX_PAIRS``, 400 for a name without characters."""
    if len(names) > MAX_PAIRS:
        raise ProtocolError(f"parameters: more than {MAX_PAIRS} of them", 431)
    if "" in names:
        raise ProtocolError("parameters: a name is empty")
    return Params(names, values)
