"""Looks at what inis name, for ``emperorctl check``: as the app's user, and as the web server's.

Root looks at folders that are root's alone, to know who binds there, and has the rest looked at by deputies. Anybody
else looks as who they are, and says nothing of what somebody else would see.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from emperor.config.language.inifile import Row
from emperor.config.placement import EMPEROR, VASSAL, binder, opener
from emperor.ctl.asking import (
    BOUND,
    LOG,
    PYTHONPATH,
    SCRIPT,
    Ask,
    Ini,
    Look,
    Place,
    Seen,
    asked_of_user,
    asked_of_web,
)
from emperor.errors import EmperorError
from emperor.model import UNIX, Address, Identity, VassalSpec
from emperor.supervision.interpreter import FILE, FOLDER, Step
from emperor.system import accounts, deputy, interpreter, trust
from emperor.system.walk import walk

HEAD = 65536
"""Bytes of a script that are looked at."""

_FLUP = (b"WSGIServer", b"bindAddress")


def surveyed(
    spec: VassalSpec, rows: Sequence[Row], sockets: Sequence[Row | None], runtime: str, web: Identity | None
) -> Ini:
    """An ini with what the emperor's own user is to know of it. ``web``: the web server's user, if there is one."""
    euid = os.geteuid()
    own = os.path.join(runtime, f"{spec.name}.sock")
    places = tuple(_socket_place(one.address, spec, own, euid) for one in spec.sockets)
    log = _log_place(spec, euid) if spec.logto else Place("")
    known = web if web is not None and euid in (0, web.uid) else None
    debians = os.path.realpath(sys.prefix) == "/usr"
    given = (*sockets, *(None for _ in spec.sockets))[: len(spec.sockets)]
    return Ini(spec, rows, given, places, log, known, euid == 0, debians, own)


def seen(inis: Sequence[Ini]) -> list[Seen]:
    """One for each, in their order."""
    euid = os.geteuid()
    by_user = _answers([(ini.spec.identity, asked_of_user(ini), ini.spec) for ini in inis], euid)
    by_web = _answers([(ini.web, asked_of_web(ini), None) for ini in inis], euid)
    return [_seen(ini, one, other) for ini, one, other in zip(inis, by_user, by_web, strict=True)]


def _seen(ini: Ini, by_user: Any, by_web: Any) -> Seen:
    late = by_user is None or by_web is None
    flaw, user = by_user or ("", [])
    _, web = by_web or ("", [])
    asked, web_asked = asked_of_user(ini), asked_of_web(ini)
    return Seen(
        flaw,
        dict(zip(asked, map(_look_of, user), strict=False)),
        dict(zip(web_asked, map(_look_of, web), strict=False)),
        late,
    )


def _look_of(raw: Any) -> Look:
    way, *rest = raw
    return Look(tuple(Step(*step) for step in way), *rest)


Task = tuple[Identity | None, Sequence[Ask], VassalSpec | None]


def _answers(tasks: Sequence[Task], euid: int) -> list[Any]:
    """``("", [])`` for what nobody here can look at, None for what was not answered."""
    found: list[Any] = [("", []) for _ in tasks]
    groups: dict[Identity, list[int]] = {}
    for number, (identity, asks, spec) in enumerate(tasks):
        if identity is not None and euid in (0, identity.uid) and (asks or spec is not None):
            groups.setdefault(identity, []).append(number)
    for identity, numbers in groups.items():
        questions = [partial(_look_all, tasks[number][1], tasks[number][2]) for number in numbers]
        try:
            answered = deputy.answers(questions, identity if euid == 0 else None)
        except OSError as error:
            raise EmperorError(f"check: fork: {error.strerror} -- nothing is looked at") from error
        for number, one in zip(numbers, answered, strict=True):
            found[number] = one
    return found


def _look_all(asks: Sequence[Ask], spec: VassalSpec | None) -> tuple[str, list[Look]]:
    """In the deputy."""
    os.chdir("/")
    return interpreter.flaw(spec, try_it=False) if spec is not None else "", [_look(ask) for ask in asks]


def _look(ask: Ask) -> Look:
    path = next(iter(sorted(glob.glob(ask.path))), ask.path) if ask.kind == PYTHONPATH else ask.path
    way = walk(path)
    end = way[-1]
    at = path if end.kind in (FILE, FOLDER) or ask.kind != LOG else os.path.dirname(path)
    readable, writable = os.access(at, os.R_OK), os.access(at, os.W_OK)
    owner = "" if readable and writable else _owner(at)
    gives = ask.kind == BOUND and end.kind == FOLDER and _gives(path, end.mode)
    flup = ask.kind == SCRIPT and end.kind == FILE and readable and _names_flup(path)
    return Look(way, readable, writable, owner, gives, flup)


def _owner(path: str) -> str:
    try:
        return accounts.name_of(os.stat(path).st_uid)
    except OSError:
        return ""


def _gives(folder: str, mode: int) -> bool:
    try:
        return bool(mode & stat.S_ISGID) or "system.posix_acl_default" in os.listxattr(folder)
    except OSError:
        return False


def _names_flup(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return all(word in head for word in _FLUP)


def _socket_place(address: Address, spec: VassalSpec, own: str, euid: int) -> Place:
    if address.family != UNIX:
        return Place("")
    folder = os.path.dirname(address.path)
    standing = trust.only_ours(folder, euid)
    who = binder(address, spec.authority, standing.ours, own)
    made = who == EMPEROR and standing.missing and _made(folder, euid)
    if who == EMPEROR and euid != 0 and address.path != own and not made:
        # One who is not root can see it as the app's user, who is the same.
        who = VASSAL
    occupant = _occupant(address.path) if standing.ours else ""
    return Place(folder, who, standing.missing, made, address.path == own, occupant if who == EMPEROR else "")


def _occupant(path: str) -> str:
    """Of a folder that is ours alone."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    return "folder" if stat.S_ISDIR(mode) else "" if stat.S_ISSOCK(mode) else "file"


def _log_place(spec: VassalSpec, euid: int) -> Place:
    folder = os.path.dirname(spec.logto)
    standing = trust.only_ours(folder, euid)
    return Place(folder, opener(spec.authority, standing.ours), standing.missing)


def _made(folder: str, euid: int) -> bool:
    """As ``holding.held.make_folder`` has it, where one may; asked of folders that are ours alone."""
    return os.path.realpath(folder).startswith("/run/" if euid == 0 else f"/run/user/{euid}/")
