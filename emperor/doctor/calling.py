"""What the emperor says: its vassals, what they were told, their last lines.

It promises: root takes an emperor's word on who is who only if that emperor is root's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from emperor.control.client import NoDaemon, NotPermitted, Unanswered
from emperor.control.messages import Request
from emperor.doctor import replies
from emperor.doctor.facts import Aftermath, Subject
from emperor.errors import EmperorError
from emperor.model import VASSAL_NAME, VassalSpec
from emperor.system import accounts, trust
from emperor.text import printable

LINES = 60
PATIENCE = 5.0
"""Seconds for the emperor's answers: for each, and for all that its vassals were told."""

_BUSY = "the emperor did not answer in time -- ask again in a moment"

_LOGGED = 0.6
"""Seconds within which the log has what the request has caused."""

Ask = Callable[[Request, float], Iterator[dict[str, Any]]]


class Roll(NamedTuple):
    """What the emperor says. ``silence``: "" if it says anything. ``denied``: it does not hear us.

    ``distrust``: why root does not act on what it says; "": it does.
    """

    subjects: tuple[Subject, ...] = ()
    silence: str = ""
    denied: bool = False
    distrust: str = ""
    trouble: str = ""
    """What is wrong with the emperor itself, in its words; "": nothing that it tells us."""


def called(ask: Ask, control: str, peer: tuple[int, int] | None) -> Roll:
    """Every vassal that we may see."""
    try:
        snapshots, trouble = _snapshots(ask)
    except (NoDaemon, Unanswered) as error:
        return Roll(silence=str(error))
    except NotPermitted as error:
        return Roll(silence=str(error), denied=True)
    flaw = distrust(control, peer)
    if flaw:
        return Roll(tuple(Subject(name, one) for name, one in _named(snapshots)), distrust=flaw)
    end = time.monotonic() + PATIENCE
    subjects = tuple(Subject(name, one, *_spec(ask, name, end)) for name, one in _named(snapshots))
    return Roll(subjects, trouble=trouble)


def _named(snapshots: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """But those of names that no vassal of ours has: a user's own emperor says what it likes, and names stand in
    commands that are typed."""
    named = ((str(one.get("name")), one) for one in snapshots)
    return ((name, one) for name, one in named if VASSAL_NAME.fullmatch(name))


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


def _snapshots(ask: Ask) -> tuple[list[dict[str, Any]], str]:
    for options in ({"lines": LINES, "numbers": True}, {"lines": LINES}):
        replies_ = list(ask(Request("status", (), options), PATIENCE))
        if all(reply.get("ok") or reply.get("data") for reply in replies_):
            trouble = next((str(reply["trouble"]) for reply in replies_ if reply.get("trouble")), "")
            return [one for reply in replies_ for one in reply.get("data") or ()], printable(trouble)
    raise Unanswered(f"the emperor refuses: {replies_[-1].get('error')}")


def _spec(ask: Ask, name: str, end: float) -> tuple[VassalSpec | None, str]:
    """What it was told; else why that is not known. ``end``: when nobody is asked any more, of the monotonic clock."""
    left = end - time.monotonic()
    if left <= 0:
        return None, _BUSY
    try:
        (*_, reply) = ask(Request("spec", (name,)), left)
        if not reply.get("ok"):
            # Of a vassal that never was valid there is none; or it went meanwhile, or became somebody else's.
            return None, printable(str(reply.get("error"))).removeprefix(f"{name}: ")
        return VassalSpec.from_json(json.dumps(reply.get("data"))), ""
    except EmperorError:
        return None, _BUSY
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, "the emperor is another version than this program, and tells them otherwise"


def origins(ask: Ask, name: str) -> dict[str, str]:
    """Option → ``file:line`` of what an ini says; {}: the emperor does not tell."""
    with contextlib.suppress(EmperorError, ValueError):
        (*_, reply) = ask(Request("config", (name,)), 1.0)
        data = reply.get("data")
        rows = data.get("values") if isinstance(data, Mapping) else ()
        return {
            str(one["option"]): printable(str(one["origin"]))
            for one in rows or ()
            if isinstance(one, Mapping) and one.get("path") and one.get("origin")
        }
    return {}


def aftermath(ask: Ask, subject: Subject) -> Aftermath:
    """What came since it was looked at, once that says why a request failed, or the time for it is over."""
    before = [str(line) for line in subject.snapshot.get("lines") or ()]
    end, found = time.monotonic() + _LOGGED, Aftermath()
    while True:
        with contextlib.suppress(EmperorError):
            (*_, reply) = ask(Request("status", (subject.name,), {"lines": LINES}), PATIENCE)
            rows = [one for one in reply.get("data") or () if isinstance(one, dict)]
            lines = [str(line) for one in rows for line in one.get("lines") or ()]
            death = next((replies.death(subject.snapshot, one) for one in rows), "")
            found = Aftermath(tuple(replies.news(lines, before)), death, next(iter(rows), {}))
        if found.death or replies.traceback_of(found.lines) or time.monotonic() > end:
            return found
        time.sleep(0.05)
