"""From questions to findings: what runs, the way to it, a real request, the app's own surroundings, the machine.

It promises: nothing is changed, and everything ends within a bounded time. A request is made of each vassal that
serves, and one that sleeps wakes up by it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from emperor.doctor import appside, fronts, machinelook, machineside, replies, socketside
from emperor.doctor.calling import Ask, aftermath, called, origins
from emperor.doctor.facts import Aftermath, Knock, Subject, Well
from emperor.doctor.finding import FAILS, Finding
from emperor.doctor.imports import tried, wanted
from emperor.doctor.knocking import knocks
from emperor.doctor.socketside import UP
from emperor.doctor.surroundings import located
from emperor.doctor.surveying import machine, safely, surroundings
from emperor.model import Identity

_UNTOLD = "its sockets, its files, and what web servers pass to it"


_LOST = re.compile(r"(?:there is no|cannot enter|cannot read) (/[^\s,:]+)")
"""As ``ctl.obstacles`` says it."""


_ABOUT_MODE = re.compile(r": (chmod-socket|chown-socket|socket-umask): ")

LOCATED = 2.0
"""Seconds for the lines of all inis."""


class Wish(NamedTuple):
    """``names``: () for all. ``as_user``: whom the web server is; "" as found. ``target``: what is asked for."""

    control: str
    names: tuple[str, ...] = ()
    as_user: str = ""
    target: str = "/"
    load: bool = False
    confs: Mapping[str, str] = MappingProxyType({})
    """The main files of web servers, by their kind."""


class Report(NamedTuple):
    """``unseen``: what was not looked at, and why. ``strangers``: names that no vassal has, or none that we may see.

    ``denied``: the emperor listens, and does not hear us.
    """

    findings: tuple[Finding, ...]
    wells: tuple[Well, ...]
    unseen: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    denied: bool = False


class Notes:
    """What an examination has gathered so far."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.wells: list[Well] = []
        self.unseen: list[str] = []


def examine(wish: Wish, ask: Ask, tell: Callable[[str], None] = lambda text: None) -> Report:
    """``tell`` hears what is looked at now. Raises EmperorError where nothing at all can be looked at."""
    notes = Notes()
    tell("asking the emperor")
    peer = machinelook.listener_of(wish.control)
    roll = called(ask, wish.control, peer)
    known = {one.name for one in roll.subjects}
    strangers = tuple(name for name in wish.names if name not in known) if not roll.silence else ()
    chosen = [one for one in roll.subjects if not wish.names or one.name in wish.names]
    notes.unseen += [roll.distrust] if roll.distrust else []
    notes.unseen += [f"{one.name}: {_UNTOLD}: {one.silence}" for one in chosen if one.silence]
    tell("web servers")
    servers, unread = fronts.servers(wish.confs)
    notes.unseen += unread
    web = fronts.user_of(servers, wish.as_user)
    if not roll.silence and not roll.distrust:
        notes.findings += fronts.findings(servers, roll.subjects, wish.names, fronts.listening(servers, web))
    tell("the machine")
    seen = machine(wish.control, wish.as_user, roll, peer, web, chosen)
    notes.findings += machineside.findings(seen, chosen)
    notes.wells += machineside.wells(seen)
    if web is not None:
        tell(f"sockets, as {web.user}")
        _sockets(wish, ask, chosen, web, notes)
    tell("apps, as their users")
    _apps(wish, chosen, notes, tell)
    notes.findings = _located(_without_doubles(notes.findings), chosen, ask)
    findings = tuple(_without_commands(notes.findings, known) if roll.distrust else notes.findings)
    return Report(findings, tuple(notes.wells), tuple(notes.unseen), strangers, roll.denied)


def _located(found: Sequence[Finding], subjects: Sequence[Subject], ask: Ask) -> list[Finding]:
    """What an ini's option is to be changed for names its line."""
    inis = {one.name: one.spec.config for one in subjects if one.spec is not None}
    end, lines = time.monotonic() + LOCATED, dict[str, dict[str, str]]()
    for one in found:
        named = one.subject in inis and any(f"{inis[one.subject]}: " in text for text in (one.what, *one.mend))
        if named and one.subject not in lines and time.monotonic() < end:
            lines[one.subject] = origins(ask, one.subject)
    return [located(one, inis[one.subject], lines[one.subject]) if one.subject in lines else one for one in found]


def _without_commands(found: Sequence[Finding], names: Collection[str]) -> list[Finding]:
    """What an emperor says that root does not trust: root types nothing on its word."""
    told = "# ask as that emperor's own user what to type"
    return [one._replace(mend=(told,)) if one.subject in names else one for one in found]


def _sockets(wish: Wish, ask: Ask, chosen: Sequence[Subject], web: Identity, notes: Notes) -> None:
    acls = shutil.which("setfacl") is not None
    for knock in knocks(chosen, web, wish.target, os.path.dirname(wish.control)):
        if knock.late:
            notes.unseen.append(f"{knock.subject.name}: socket {knock.address}: a disk on the way does not answer")
        notes.findings += socketside.findings(knock, acls)
        after = aftermath(ask, knock.subject) if _ill(knock) else Aftermath()
        fallen = knock.subject._replace(snapshot=after.snapshot)
        if knock.subject.state == "IDLE" and fallen.state in ("BACKOFF", "FATAL"):
            # It was woken, and did not come up: why says more than that no answer came.
            notes.findings += appside.findings(fallen)
        else:
            notes.findings += replies.findings(knock, after)
        notes.wells += replies.well(knock)
    if chosen and os.geteuid() not in (0, web.uid):
        notes.unseen.append(f"a request as {web.user}, who is another user: modes and ACLs were read -- ask as root")


def _apps(wish: Wish, chosen: Sequence[Subject], notes: Notes, tell: Callable[[str], None]) -> None:
    about, blind = surroundings(chosen)
    doubtful = [one for one in chosen if wanted(one, wish.load) and not any(one.name == two.subject for two in about)]
    if doubtful:
        tell("imports, as the apps' users")
    fresh, untried = tried(doubtful, wish.control)
    said = _without_echo([one for subject in chosen for one in appside.findings(subject)], (*about, *fresh))
    notes.findings += safely([*said, *about, *fresh])
    notes.unseen += [*blind, *untried]
    for subject in chosen:
        if subject.state not in UP and not any(one.subject == subject.name for one in notes.findings):
            notes.unseen.append(f"{subject.name}: what it answers: it is {subject.state} -- ask again in a moment")
        if subject.spec is not None and subject.state in UP:
            letters = machinelook.states(_workers(subject), subject.spec.identity.uid)
            notes.findings += appside.frozen(subject, letters)
        most = machinelook.most_files(next(iter(_workers(subject)), 0))
        notes.findings += machineside.open_files(subject, most) if most else ()


def _workers(subject: Subject) -> list[int]:
    """Their pids."""
    rows = [one for one in subject.snapshot.get("workers") or () if isinstance(one, Mapping)]
    return [one["pid"] for one in rows if type(one.get("pid")) is int and one["pid"] > 0]


def _ill(knock: Knock) -> bool:
    reply = knock.reply
    return reply is not None and reply.stage != "connect" and (not reply.status or reply.status >= 500)


def _without_echo(said: list[Finding], seen: Sequence[Finding]) -> list[Finding]:
    """What the emperor says of a failed start, but for what was seen with the same words now, or tried anew.

    The path that its user does not get to is why an error that names it came: what was seen has the better mend.
    """
    causes = {(one.subject, one.what.rpartition(": ")[2]) for one in seen if one.kind in ("app-path", "app-python")}
    lost = ((one.subject, _LOST.search(one.what)) for one in seen if one.kind == "app-path" and one.weight == FAILS)
    causes |= {(name, match[1]) for name, match in lost if match is not None}
    causes |= {(one.subject, "") for one in seen if one.kind in ("app-failed", "app-mended")}
    down = ("app-failed", "app-python")
    return [
        one
        for one in said
        if one.kind not in down or not any(one.subject == name and _names(one.what, cause) for name, cause in causes)
    ]


def _without_doubles(found: Sequence[Finding]) -> list[Finding]:
    """Where a mode was seen to shut the web server out, the warning that it would is known, and mends it worse."""
    shut = {one.subject for one in found if one.kind == "socket-mode"}
    return [
        one for one in found if one.kind != "warned" or one.subject not in shut or _ABOUT_MODE.search(one.what) is None
    ]


def _names(what: str, cause: str) -> bool:
    """As a whole: /srv/app is not /srv/app2."""
    return re.search(rf"{re.escape(cause)}(?![\w.-])", what) is not None
