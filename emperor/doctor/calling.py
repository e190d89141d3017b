"""What the emperor says: its vassals, what they were told, their last lines.

It promises: root takes an emperor's word on who is who only if that emperor is root's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from emperor.control.client import NoDaemon, NotPermitted, Unanswered
from emperor.control.messages import Request
from emperor.doctor import replies
from emperor.doctor.facts import Subject
from emperor.errors import EmperorError
from emperor.model import VassalSpec
from emperor.system import accounts, trust
from emperor.text import printable

LINES = 60
_PATIENCE = 5.0
"""Seconds for the emperor's answers."""

_LOGGED = 0.6
"""Seconds within which the log has what the request has caused."""

Ask = Callable[[Request, float], Iterator[dict[str, Any]]]


class Roll(NamedTuple):
    """What the emperor says. ``silence``: "" if it says anything."""

    subjects: tuple[Subject, ...] = ()
    silence: str = ""
    denied: bool = False
    unseen: tuple[str, ...] = ()


def called(ask: Ask, control: str, peer: tuple[int, int] | None) -> Roll:
    """Every vassal that we may see."""
    try:
        snapshots = _snapshots(ask)
    except (NoDaemon, Unanswered) as error:
        return Roll(silence=str(error))
    except NotPermitted as error:
        return Roll(silence=str(error), denied=True)
    flaw = distrust(control, peer)
    unseen = [flaw] if flaw else []
    specs: dict[str, VassalSpec | None] = {}
    for one in snapshots:
        name = str(one.get("name"))
        specs[name] = None if flaw else _spec(ask, name)
    subjects = tuple(Subject(str(one.get("name")), one, specs[str(one.get("name"))]) for one in snapshots)
    return Roll(subjects, unseen=tuple(unseen))


def distrust(control: str, peer: tuple[int, int] | None) -> str:
    """Why root does not act on what this emperor says of users and paths; "": it does."""
    if os.geteuid() != 0:
        return ""
    if peer is not None and peer[1] == 0 and trust.only_ours(os.path.dirname(os.path.abspath(control)), 0).ours:
        return ""
    whose = accounts.name_of(peer[1]) if peer is not None else "nobody's that can be told"
    return (
        f"sockets and apps of this emperor, which is {whose}: root takes no user's word for whose they are -- "
        f"ask as that user: runuser -u {whose} -- emperorctl --control-socket {printable(control)} doctor"
    )


def _snapshots(ask: Ask) -> list[dict[str, Any]]:
    for options in ({"lines": LINES, "numbers": True}, {"lines": LINES}):
        replies_ = list(ask(Request("status", (), options), _PATIENCE))
        if all(reply.get("ok") or reply.get("data") for reply in replies_):
            return [one for reply in replies_ for one in reply.get("data") or ()]
    raise Unanswered(f"the emperor refuses: {replies_[-1].get('error')}")


def _spec(ask: Ask, name: str) -> VassalSpec | None:
    """None: its ini is invalid, or the emperor is another version."""
    with contextlib.suppress(EmperorError, ValueError, TypeError, KeyError, AttributeError):
        (*_, reply) = ask(Request("spec", (name,)), _PATIENCE)
        if reply.get("ok"):
            return VassalSpec.from_json(json.dumps(reply.get("data")))
    return None


def lines_of(ask: Ask, subject: Subject) -> list[str]:
    """Those that came since it was looked at, once a traceback is among them, or the time for it is over."""
    before = [str(line) for line in subject.snapshot.get("lines") or ()]
    end, found = time.monotonic() + _LOGGED, list[str]()
    while True:
        with contextlib.suppress(EmperorError):
            (*_, reply) = ask(Request("status", (subject.name,), {"lines": LINES}), _PATIENCE)
            found = [str(line) for one in reply.get("data") or () for line in one.get("lines") or ()]
            found = replies.news(found, before)
        if replies.traceback_of(found) or time.monotonic() > end:
            return found
        time.sleep(0.05)
