"""What stands in the way of an ini, from what its user and the web server's saw of the paths that it names. Pure.

A path that is missing now is an error of ``emperorctl check`` alone: the emperor starts the app all the same, for a
folder may be mounted by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from emperor.config.language.inifile import Row
from emperor.config.options import find
from emperor.config.placement import EMPEROR
from emperor.ctl.asking import (
    BOUND,
    CHDIR,
    CHDIR2,
    LOG,
    OCCUPANT,
    PYTHONPATH,
    SCRIPT,
    STATIC,
    Ask,
    Ini,
    Look,
    Seen,
)
from emperor.ctl.obstacles import mended, no_way, unreachable, unreadable
from emperor.ctl.wording import octal
from emperor.model import ADMIN, UNIX, Identity, Problem, SocketSpec
from emperor.supervision.interpreter import FILE, FOLDER, MISSING, Step
from emperor.system.access import access

UMASK = 0o022


class Remark(NamedTuple):
    """What uWSGI does otherwise, at a row."""

    row: Row | None
    message: str


class Prospect(NamedTuple):
    """``cut_off``: it runs, and the web server's requests do not reach it."""

    problems: tuple[Problem, ...]
    remarks: tuple[Remark, ...] = ()
    cut_off: bool = False


def prospect(ini: Ini, seen: Seen, problems: Sequence[Problem] = ()) -> Prospect:
    """``problems``: what is known of it already."""
    judge = _Judge(ini, seen)
    judge.user()
    judge.places()
    judge.web()
    shut = judge.shut_out(any(" shuts " in one.message for one in problems))
    remarks = tuple((*_debians_python(ini), *_flup(ini, seen)))
    return Prospect(tuple(judge.found), remarks, shut or judge.closed_to_web)


class _Judge:
    """Gathers problems; what stands in the way of several paths is told once."""

    def __init__(self, ini: Ini, seen: Seen) -> None:
        self.ini, self.seen, self.spec, self.who = ini, seen, ini.spec, ini.spec.identity
        self.found: list[Problem] = []
        self.closed_to_web = False
        self._told: set[str] = set()

    def say(self, row: Row | None, message: str, fatal: bool = True) -> None:
        at = (row.path, row.line, row.key) if row else (self.spec.config, 0, "")
        self.found.append(Problem(*at, message, fatal))

    def once(self, step: Step, row: Row | None, message: str, fatal: bool = True) -> None:
        if step.path not in self._told:
            self._told.add(step.path)
            self.say(row, message, fatal)

    def user(self) -> None:
        if self.seen.late:
            self.say(None, "its paths do not answer: a disk hangs, perhaps", fatal=False)
        for ask, look in self.seen.user.items():
            _USER[ask.kind](self, ask, look)
        if self.seen.flaw:
            row = _last(self.ini.rows, "python", "virtualenv")
            self.say(row, self.seen.flaw)

    def folder(self, ask: Ask, look: Look) -> None:
        row = _last(self.ini.rows, ask.kind)
        flaw = no_way(look, self.who, listed=True) or (
            "" if look.end.kind == FOLDER else f"{look.end.path} is no folder"
        )
        if flaw:
            make = "make it, or " if look.end.kind == MISSING else ""
            self.once(look.end, row, mended(flaw, f"{make}name the folder that is meant"))

    def script(self, ask: Ask, look: Look) -> None:
        row = self._of_target(ask.number)
        flaw = no_way(look, self.who, listed=True)
        if not flaw and look.end.kind == FOLDER:
            flaw = f"{look.end.path} is a folder, no script"
        if flaw:
            self.once(look.end, row, mended(flaw, "name the file that is meant"))
        elif not look.readable:
            self.once(look.end, row, unreadable(look, self.who))

    def library(self, ask: Ask, look: Look) -> None:
        flaw = no_way(look, self.who, listed=True)
        if flaw:
            self.once(look.end, _nth(self.ini.rows, ask), mended(flaw, "nothing is imported from it"), fatal=False)

    def static(self, ask: Ask, look: Look) -> None:
        flaw = no_way(look, self.ini.web or self.who)
        if flaw:
            self.say(_nth(self.ini.rows, ask), mended(flaw, "the web server has nothing to serve there"), fatal=False)

    def bound(self, ask: Ask, look: Look) -> None:
        row, flaw, user = self.ini.sockets[ask.number], no_way(look, self.who), self.who.user
        mine = self.spec.authority.kind == ADMIN
        own = f"leave this line out: the socket is {self.ini.default} then"
        other = f"name a folder of {user}'s" + (", or one that only root can write" if mine and self.ini.root else "")
        if look.end.kind == MISSING:
            run = "" if mine or not ask.path.startswith("/run/") else ", and below /run only root's inis get folders"
            self.once(look.end, row, f"{flaw}{run} -- {f'make it, for {user}' if mine else own}, or {other}")
        elif flaw or look.end.kind != FOLDER:
            self.once(look.end, row, mended(flaw or f"{look.end.path} is no folder", other))
        elif not look.writable:
            whose = f"({look.owner}'s, mode {octal(look.end.mode)})"
            self.once(look.end, row, f"{user}, who binds it, cannot write {look.end.path} {whose} -- {own}, or {other}")

    def occupant(self, ask: Ask, look: Look) -> None:
        if look.end.path == ask.path and look.end.kind in (FILE, FOLDER):
            self.occupied(self.ini.sockets[ask.number], "file" if look.end.kind == FILE else "folder")

    def occupied(self, row: Row | None, kind: str) -> None:
        self.say(row, f"is a {kind}, no socket -- move it away, or name another path")

    def log(self, ask: Ask, look: Look) -> None:
        """What cannot be written there goes to the emperor alone; the app serves all the same."""
        row, folder = _last(self.ini.rows, "logto"), os.path.dirname(ask.path)
        missing = look.end.kind == MISSING and look.end.path == ask.path
        flaw = "" if missing else no_way(look, self.who)
        if flaw:
            mend = f"make {folder}, for {self.who.user}, or leave this line out"
            self.once(look.end, row, mended(flaw, mend), fatal=False)
        elif look.end.kind == FOLDER:
            self.say(row, "is a folder -- name the file", fatal=False)
        elif not look.writable:
            at = look.way[-2] if missing else look.end
            whose = f"({look.owner}'s, mode {octal(at.mode)})"
            mend = f"name a file in a folder of {self.who.user}'s, or leave this line out"
            self.say(row, f"{self.who.user}, who opens it, cannot write {at.path} {whose} -- {mend}", fatal=False)

    def places(self) -> None:
        """What is the emperor's own to bind and to open."""
        for row, place in zip(self.ini.sockets, self.ini.places, strict=True):
            if place.binder == EMPEROR and place.missing and not place.made and not place.own:
                message = f"there is no {place.folder}, and folders are made below /run alone"
                self.say(row, f"{message} -- mkdir -p {place.folder}")
            if place.occupant:
                self.occupied(row, place.occupant)
        if self.ini.root and self.ini.log.binder == EMPEROR and self.ini.log.missing:
            message = f"there is no {self.ini.log.folder}: what it writes stays with the emperor"
            self.say(_last(self.ini.rows, "logto"), f"{message} -- mkdir -p {self.ini.log.folder}", fatal=False)

    def web(self) -> None:
        for ask, look in self.seen.web.items():
            if ask.kind == STATIC:
                self.static(ask, look)
            elif look.end.kind == FOLDER and not look.end.usable and self.ini.web is not None:
                self.closed_to_web = True
                self.once(look.end, self.ini.sockets[ask.number], unreachable(look.end, self.ini.web), False)

    def shut_out(self, warned: bool) -> bool:
        """By a socket's own mode, for certain? ``warned``: it was said already that it may."""
        web = self.ini.web
        if web is None:
            return False
        shut = [number for number, socket in enumerate(self.spec.sockets) if self._shuts_out(socket, number, web)]
        if shut and not warned:
            message = f"as it is made it shuts {web.user} out, the web server"
            self.say(self.ini.sockets[shut[0]], f"{message} -- write chmod-socket = 660, and chown-socket", False)
        return bool(shut)

    def _shuts_out(self, socket: SocketSpec, number: int, web: Identity) -> bool:
        place = self.ini.places[number]
        if socket.address.family != UNIX or socket.silent or web.uid == 0:
            return False
        by_root = place.binder == EMPEROR and self.ini.root
        allowed = access(socket, self.who, self.spec.web_gid, UMASK, by_root)
        uid = self.who.uid if allowed.uid is None else allowed.uid
        gid = self.who.gid if allowed.gid is None else allowed.gid
        if allowed.mode & 0o002 or web.uid == uid:
            return web.uid == uid and not allowed.mode & 0o200
        if gid in (web.gid, *web.groups):
            return not allowed.mode & 0o020
        look = self.seen.user.get(Ask(BOUND, place.folder, number))
        return not (look is not None and look.gives)

    def _of_target(self, number: int) -> Row | None:
        mount = self.spec.targets[number].mount
        if not mount:
            return _last(self.ini.rows, "wsgi-file") or _last(self.ini.rows, "mount")
        rows = (row for row in _rows(self.ini.rows, "mount"))
        return next((row for row in rows if row.value.partition("=")[0].strip().rstrip("/") == mount), None)


_USER: dict[str, Callable[[_Judge, Ask, Look], None]] = {
    CHDIR: _Judge.folder,
    CHDIR2: _Judge.folder,
    SCRIPT: _Judge.script,
    PYTHONPATH: _Judge.library,
    STATIC: _Judge.static,
    BOUND: _Judge.bound,
    OCCUPANT: _Judge.occupant,
    LOG: _Judge.log,
}


def _rows(rows: Sequence[Row], *names: str) -> list[Row]:
    return [row for row in rows if (option := find(row.key)) is not None and option.name in names]


def _last(rows: Sequence[Row], *names: str) -> Row | None:
    found = _rows(rows, *names)
    return found[-1] if found else None


def _nth(rows: Sequence[Row], ask: Ask) -> Row | None:
    found = _rows(rows, ask.kind)
    return found[ask.number] if ask.number < len(found) else None


_PLUGINS = ("plugin", "plugins", "need-plugin", "need-plugins")


def _debians_python(ini: Ini) -> Iterator[Remark]:
    if not ini.root or ini.spec.python or ini.spec.virtualenv or ini.debians:
        return
    for row in ini.rows:
        if row.key in _PLUGINS and any(name.strip().startswith("python") for name in row.value.split(",")):
            theirs = "uWSGI's plugin is Debian's Python, with the packages that apt installs"
            yield Remark(row, f"{theirs}; here it is the emperor's own -- write python = /usr/bin/python3")
            return


def _flup(ini: Ini, seen: Seen) -> Iterator[Remark]:
    for number, target in enumerate(ini.spec.targets):
        if target.kind != "file":
            continue
        look = seen.user.get(Ask(SCRIPT, target.where, number))
        if look.flup if look is not None else target.where.endswith(".fcgi"):
            row = _Judge(ini, seen)._of_target(number)
            yield Remark(
                row, "bindAddress and umask of a flup script are not used: its app is on the ini's own sockets"
            )
