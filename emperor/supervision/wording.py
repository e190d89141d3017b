"""What becomes of vassals, in the one line that the journal and systemd's STATUS show. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from emperor.supervision.record import Vassal, state

TROUBLE = ("BACKOFF", "FATAL", "INVALID")


def change(before: Vassal, after: Vassal) -> str:
    """``RUNNING -> BACKOFF: killed by SIGKILL``; "" if people see no other state than before."""
    old, new = "new" if before == Vassal(before.name) else state(before), state(after)
    return "" if old == new else f"{old} -> {new}{_why(old, after, new)}"


def summary(vassals: Iterable[Vassal]) -> str:
    """``3 vassals: 1 backoff, 2 running``"""
    states = [state(one) for one in vassals]
    counted = ", ".join(f"{states.count(word)} {word.lower()}" for word in sorted(set(states)))
    return f"{len(states)} vassal{'' if len(states) == 1 else 's'}{': ' if counted else ''}{counted}"


def _why(old: str, vassal: Vassal, new: str) -> str:
    shown = vassal.serving or vassal.incoming
    number = f" (generation {shown.number})" if shown is not None else ""
    failed_reload = (old, new) == ("RELOADING", "RUNNING") and vassal.rejected
    died = (old, new) == ("RUNNING", "STARTING") and vassal.error
    if failed_reload:
        return f"{number}: the new generation failed: {vassal.error}"
    if died or (new in TROUBLE and vassal.error):
        return f"{number}: {vassal.error}"
    return number
