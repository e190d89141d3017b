"""What becomes of vassals, in the one line that the journal and systemd's STATUS show. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from emperor.model import VassalSpec
from emperor.supervision.events import Called, Configured, Order, Outdated, Tick, Tired, VassalEvent
from emperor.supervision.record import Vassal, state

TROUBLE = ("BACKOFF", "FATAL", "INVALID")
MOST_NAMED = 5


def change(before: Vassal, after: Vassal, event: Optional[VassalEvent] = None) -> str:
    """``RUNNING -> BACKOFF: killed by SIGKILL``; "" if people see no other state than before.

    ``event``: what has made one of the other.
    """
    old, new = "new" if untold(before) else state(before), state(after)
    if old == new or (after.incoming is not None and after.binds):
        # That its sockets are being opened is not worth a line: that they are is.
        return ""
    why = cause(after, event) if (old, new) in CAUSED else ""
    # Where it listens is said before it.
    glue = ", " if new == "IDLE" else ": "
    return f"{old} -> {new}{_why(old, after, new)}{glue if why else ''}{why}"


CAUSED = (("IDLE", "STARTING"), ("RUNNING", "IDLE"), ("RUNNING", "RELOADING"), ("RUNNING", "STOPPING"))
"""Where somebody may wonder why."""


def untold(vassal: Vassal) -> bool:
    """Is it as a record begins, of which people have seen nothing yet?"""
    # All but the first steps are past the quick questions.
    return vassal.spec is None and not vassal.problems and vassal == Vassal(vassal.name)


def cause(vassal: Vassal, event: Optional[VassalEvent]) -> str:
    """Who or what has made it so; "": nothing that needs a word."""
    if isinstance(event, Order):
        plain = "its ini is gone" if event.verb == "remove" else f"{event.verb} was ordered"
        return event.why or plain
    if isinstance(event, Configured) and event.why:
        return event.why
    if isinstance(event, Tired) and vassal.proven is not None:
        return f"after {vassal.proven.idle:g} s without a request"
    return _CAUSES.get(type(event), "")


_CAUSES: dict[type, str] = {
    Called: "somebody has connected",
    Configured: "its ini was read anew",
    Outdated: "its app has changed",
    Tick: "its app has changed",
}


def summary(vassals: Iterable[Vassal]) -> str:
    """``5 vassals: 4 running, 1 backoff: blog``: those in trouble last, and by name."""
    names: dict[str, list[str]] = {}
    for one in vassals:
        names.setdefault(state(one), []).append(one.name)
    order = sorted(names, key=lambda word: (word in TROUBLE, word != "RUNNING", word))
    counted = ", ".join(f"{len(names[word])} {word.lower()}{_who(word, names[word])}" for word in order)
    total = sum(map(len, names.values()))
    return f"{total} vassal{'' if total == 1 else 's'}{': ' if counted else ''}{counted}"


def _who(word: str, names: list[str]) -> str:
    if word not in TROUBLE:
        return ""
    more = " …" if len(names) > MOST_NAMED else ""
    return f": {' '.join(sorted(names)[:MOST_NAMED])}{more}"


def _why(old: str, vassal: Vassal, new: str) -> str:
    shown = vassal.serving or vassal.incoming
    number = f" (generation {shown.number})" if shown is not None else ""
    failed_reload = (old, new) == ("RELOADING", "RUNNING") and vassal.rejected
    died = (old, new) == ("RUNNING", "STARTING") and vassal.error
    if failed_reload:
        return f"{number}: the new generation failed: {vassal.error}"
    if died or (new in TROUBLE and vassal.error):
        return f"{number}: {vassal.error}"
    if new == "IDLE":
        return f": listens on {places(vassal.heeds)}"
    return f"{number}: serves on {places(vassal.proven)}" if new == "RUNNING" and vassal.proven is not None else number


def places(spec: Optional[VassalSpec]) -> str:
    """``/tmp/x.sock (uwsgi)``, and so on."""
    return ", ".join(f"{one.address} ({one.protocol})" for one in spec.sockets) if spec is not None else ""
