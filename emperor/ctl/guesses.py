"""Which vassal may be meant by a name that none has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from emperor.errors import EmperorError

_CLOSE = 0.6


def did_you_mean(names: Sequence[str], status: Callable[[], Iterable[Mapping[str, Any]]]) -> str:
    """``; did you mean blog?``, or "". ``status``: the emperor's answer to it; where it has none nothing is meant."""
    try:
        known = [str(one.get("name")) for reply in status() for one in reply.get("data") or ()]
    except EmperorError:
        return ""
    found = dict.fromkeys(_closest(name, known) for name in names if name not in known)
    meant = " ".join(one for one in found if one)
    return f"; did you mean {meant}?" if meant else ""


def _closest(name: str, known: Sequence[str]) -> str:
    """An ini's name is its vassal's, with four letters more."""
    bare = name.removesuffix(".ini")
    return bare if bare in known else next(iter(get_close_matches(bare, known, n=1, cutoff=_CLOSE)), "")
