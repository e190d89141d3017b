"""What ``emperorctl check`` looks at beside an ini: which paths, as whom, and what can be seen there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from emperor.config.language.inifile import Row
from emperor.config.placement import VASSAL
from emperor.model import Identity, VassalSpec
from emperor.supervision.interpreter import Step

CHDIR, CHDIR2, SCRIPT, PYTHONPATH = "chdir", "chdir2", "wsgi-file", "pythonpath"
BOUND, OCCUPANT, REACHED, LOG, STATIC = "bound", "occupant", "reached", "logto", "static-map"
"""What a path is for. BOUND: the folder of a socket, for its binder; OCCUPANT: the socket's own path; REACHED: the same
folder, for the web server."""

MOST = 200
"""Paths of one ini that are looked at."""


class Ask(NamedTuple):
    """``number``: which one, of those of its kind that the spec has."""

    kind: str
    path: str
    number: int = 0


class Look(NamedTuple):
    """The way to a path, and of its end: may it be read, and written (or made, if it is missing)?

    ``owner``: whose the end is, or the folder that would hold it. ``gives``: the folder gives its group or an ACL to
    what is made in it. ``flup``: a script that names a ``bindAddress`` for flup's server.
    """

    way: tuple[Step, ...]
    readable: bool = True
    writable: bool = True
    owner: str = ""
    gives: bool = False
    flup: bool = False

    @property
    def end(self) -> Step:
        return self.way[-1]


class Place(NamedTuple):
    """A folder of a socket's, or of the log. ``missing``: it is not there, as far as the emperor's user is to look.

    ``made``: the emperor makes it. ``own``: it is the vassal's own socket, in the emperor's folder. ``occupant``: what
    lies in the socket's place, "file" or "folder", where that is the emperor's to see.
    """

    folder: str
    binder: str = ""
    missing: bool = False
    made: bool = False
    own: bool = False
    occupant: str = ""


@dataclass(frozen=True)
class Ini:
    """One that has a spec. ``sockets``, ``places``: the row and the folder of each of its sockets. ``default``: its own
    socket."""

    spec: VassalSpec
    rows: Sequence[Row]
    sockets: Sequence[Row | None]
    places: Sequence[Place]
    log: Place
    web: Identity | None = None
    root: bool = False
    debians: bool = False
    """Is the emperor's own Python that of Debian?"""
    default: str = ""


@dataclass(frozen=True)
class Seen:
    """What was seen: ``flaw``, of the interpreter; None: nobody could look. ``late``: it took too long."""

    flaw: str = ""
    user: dict[Ask, Look] = field(default_factory=dict)
    web: dict[Ask, Look] = field(default_factory=dict)
    late: bool = False


def asked_of_user(ini: Ini) -> tuple[Ask, ...]:
    """What the app's user is to look at."""
    spec = ini.spec
    found = [Ask(CHDIR, spec.chdir)] if spec.chdir else []
    found += [Ask(CHDIR2, spec.chdir2)] if spec.chdir2 else []
    found += [Ask(SCRIPT, one.where, number) for number, one in enumerate(spec.targets) if one.kind == "file"]
    for number, (socket, place) in enumerate(zip(spec.sockets, ini.places, strict=True)):
        if place.binder == VASSAL:
            found += [Ask(BOUND, place.folder, number), Ask(OCCUPANT, socket.address.path, number)]
    found += [Ask(LOG, spec.logto)] if ini.log.binder == VASSAL or (spec.logto and not ini.root) else []
    found += [Ask(PYTHONPATH, path, number) for number, path in enumerate(spec.pythonpath)]
    if ini.web is None:
        found += [Ask(STATIC, folder, number) for number, (_, folder) in enumerate(spec.static_map)]
    return tuple(found[:MOST])


def asked_of_web(ini: Ini) -> tuple[Ask, ...]:
    """What the web server's user is to look at."""
    if ini.web is None:
        return ()
    found = [Ask(REACHED, place.folder, number) for number, place in enumerate(ini.places) if place.binder]
    found += [Ask(STATIC, folder, number) for number, (_, folder) in enumerate(ini.spec.static_map)]
    return tuple(found[:MOST])
