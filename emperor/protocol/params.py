"""Request parameters as both wires carry them: names and values in the order in which they came.

It never joins, drops or judges a value: what a repeated name means is the WSGI side's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emperor.errors import ProtocolError

__all__ = ["MAX_PAIRS", "Params", "checked"]

MAX_PAIRS = 1000
"""No web server sends as many; a block of tiny pairs costs far more to handle than its bytes."""


class Params(NamedTuple):
    """Every string holds one character per byte (latin-1, PEP 3333 "Unicode Issues").

    ``fields``: a name's last value. ``displaced``: the values that a later one of the same name displaced, in their
    order; ``fastcgi_param SCRIPT_NAME ""`` behind ``include fastcgi_params`` makes one in every request.
    """

    fields: dict[str, str]
    displaced: Sequence[tuple[str, str]] = ()

    def pairs(self) -> list[tuple[str, str]]:
        """All of them; those of one name stand in their order."""
        return [*self.displaced, *self.fields.items()]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.pairs()]

    @property
    def values(self) -> list[str]:
        return [value for _, value in self.pairs()]


def checked(params: Params) -> Params:
    """Raises ``ProtocolError``: 431 for more than ``MAX_PAIRS``, 400 for a name without characters."""
    fields, displaced = params
    if len(fields) + len(displaced) > MAX_PAIRS:
        raise ProtocolError(f"parameters: more than {MAX_PAIRS} of them", 431)
    if "" in fields:
        raise ProtocolError("parameters: a name is empty")
    return params
