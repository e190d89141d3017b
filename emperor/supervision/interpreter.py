"""What keeps an app's Python from running, in one line, from what was seen of it. Pure.

Each line names what the ini names, then the first thing that is wrong, then the command that mends it.
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

from emperor.model import Identity

FOLDER, FILE, LINK, OTHER = "folder", "file", "link", "other"
MISSING, IN_THE_WAY, LOOP, HIDDEN = "missing", "in the way", "loop", "hidden"
"""The last four end a way: nothing is there; something that is no folder; links in a circle; it cannot be looked at."""

OLDEST = (3, 9)
EVERYBODYS = "/usr/bin/python3"
"""A Python that every user can run, on every distribution."""

PROGRAMS = ("python", "python3", "pypy3")
"""What a virtualenv's own Python may be called. The first that is there counts."""

_LIBRARY = re.compile(r"error while loading shared libraries: ([^\s:]+)")
"""ld.so(8)'s own words, which no locale changes."""

ROOTS = "/root"

INNER = ("venv", ".venv", "env")
"""What people call a virtualenv inside of a project's folder."""


class Step(NamedTuple):
    """One thing that the kernel meets on its way to a file. ``usable``: may it be entered, or executed, by the user?

    ``target``: where a link leads, from /. ``owner``: a name, if it is not usable.
    """

    path: str
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    usable: bool = True
    target: str = ""
    owner: str = ""


class Trial(NamedTuple):
    """What came of running it. ``error``: errno of the exec, or 0. ``code``: None if it did not end in time.

    ``complaint``: the line of its standard error that says most. ``version``: what it says that it is; None if it is
    no Python. ``machine``: what an ELF file is made for, if it is not this machine. ``script``: begins it with #!?
    ``spoiled_by``: names that the ini's ``env`` sets, if it does not start with them; ``complaint`` is of that then.
    """

    error: int = 0
    code: Optional[int] = 0
    complaint: str = ""
    version: Optional[tuple[int, int]] = None
    machine: str = ""
    script: bool = False
    spoiled_by: Sequence[str] = ()


class Looks(NamedTuple):
    """``virtualenv``, ``python``: the paths, "" for a virtualenv that is not named. Ways lead there step by step.

    ``holds``: which of ``INNER``, pyvenv.cfg and Scripts there are in the virtualenv. ``lost_home``: the folder that
    pyvenv.cfg gives as its Python's, if it is not there. ``noexec``: does the mount forbid to execute? ``around``: the
    virtualenv that the named folder lies in, or "".
    """

    user: Identity
    virtualenv: str
    python: str
    to_virtualenv: Sequence[Step]
    to_python: Sequence[Step]
    holds: frozenset[str] = frozenset()
    lost_home: str = ""
    noexec: bool = False
    trial: Optional[Trial] = None
    around: str = ""


def flaw(looks: Looks) -> str:
    """The first thing that is wrong, or ""."""
    return (looks.virtualenv and _folder_flaw(looks)) or _python_flaw(looks) or _trial_flaw(looks)


def complaint(text: str) -> str:
    """The line that says most: the last that names an error, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w*Error:|Fatal Python error:", line)]
    return (errors or lines or [""])[-1]


def fatal(text: str) -> str:
    """The line in which a Python says why it cannot start, else the one that says most."""
    found = re.search(r"^Fatal Python error: .*\S", text, re.MULTILINE)
    return found.group() if found else complaint(text)


def programs(virtualenv: str) -> tuple[str, ...]:
    """Where a virtualenv's own Python may be."""
    return tuple(f"{virtualenv}/bin/{name}" for name in PROGRAMS)


def is_own(virtualenv: str, python: str) -> bool:
    """Is ``python`` what stands in a spec for the virtualenv's own Python, whatever it is called?"""
    return bool(virtualenv) and python == programs(virtualenv)[0]


def again(virtualenv: str) -> str:
    """The command that makes a virtualenv anew."""
    return f"make it again: {EVERYBODYS} -m venv --clear {virtualenv}, then install its packages"


def closed(step: Step, user: Identity) -> str:
    """That ``user`` cannot pass a step, and whose it is."""
    verb = "enter" if step.kind == FOLDER else "execute"
    return f"{user.user} cannot {verb} {step.path} ({step.owner}'s, mode {step.mode & 0o7777:04o})"


def opening(step: Step, user: Identity) -> str:
    """The command after which ``user`` can. Root's own folder is to stay closed."""
    if _is_roots(step):
        return f"leave it so, and put what {user.user} runs elsewhere"
    who = "u" if step.uid == user.uid else "g" if step.gid in (user.gid, *user.groups) else "o"
    if step.mode & {"u": 0o100, "g": 0o010, "o": 0o001}[who]:
        return f"its mode would allow it: look at getfacl {step.path}, and at what a security module says"
    return f"chmod {who}+x {step.path}"


def _is_roots(step: Step) -> bool:
    return f"{step.path}/".startswith(f"{ROOTS}/")


def _folder_flaw(looks: Looks) -> str:
    subject, end = f"virtualenv {looks.virtualenv}", looks.to_virtualenv[-1]
    if end.kind == FOLDER and not end.usable:
        return f"{subject}: {closed(end, looks.user)} -- {opening(end, looks.user)}"
    make = f"make it: {EVERYBODYS} -m venv {looks.virtualenv}"
    if end.kind == MISSING:
        link = _last_link(looks.to_virtualenv)
        if link is not None:
            return f"{subject}: {link.path} is a link to {link.target}, and {end.path} is not there -- {make}"
        where = "there is no such folder" if end.path == looks.virtualenv else f"there is no {end.path}"
        return f"{subject}: {where} -- {make}"
    if looks.around and end.kind in (FILE, IN_THE_WAY):
        return f"{subject}: {end.path} is no folder -- is {looks.around} meant?"
    return "" if end.kind == FOLDER else _odd_end(subject, end, "no folder")


def _odd_end(subject: str, end: Step, lack: str) -> str:
    if end.kind == LOOP:
        return f"{subject}: {end.path}: links that lead nowhere but to each other -- name the folder that is meant"
    if end.kind == HIDDEN:
        return f"{subject}: {end.path}: cannot be looked at -- name the one that is meant"
    return f"{subject}: {end.path} is {lack} -- name the one that is meant"


def _python_flaw(looks: Looks) -> str:
    end, link = looks.to_python[-1], _last_link(looks.to_python)
    subject = _subject(looks)
    if end.kind == MISSING:
        return _missing_python(looks, subject, end, link)
    if end.kind == FOLDER and end.usable:
        return f"{subject}: {end.path} is a folder, no Python -- name the program, {end.path}/bin/python perhaps"
    if end.kind not in (FOLDER, FILE):
        return _odd_end(subject, end, "no program")
    if end.usable:
        return ""
    if end.kind == FILE and looks.noexec:
        return f"{subject}: {end.path} lies on a filesystem that is mounted noexec -- {_elsewhere(looks)}"
    leads = f"its Python is {link.target}, and " if link is not None and _within(looks) else ""
    mends = [opening(end, looks.user)]
    if leads and _is_virtualenv(looks):
        mends.append(f"make it with a Python that everybody can run: {EVERYBODYS} -m venv --clear {looks.virtualenv}")
        if _is_roots(end):
            del mends[0]
    return f"{subject}: {leads}{closed(end, looks.user)} -- {', or '.join(mends)}"


def _missing_python(looks: Looks, subject: str, end: Step, link: Optional[Step]) -> str:
    if not _within(looks):
        points = f"{link.path} is a link to {link.target}, which is gone" if link is not None else ""
        return f"{subject}: {points or f'there is no {end.path}'} -- name one that is there: {EVERYBODYS} perhaps"
    if link is not None and link.path.startswith(f"{looks.to_virtualenv[-1].path}/"):
        return (
            f"{subject}: its Python is gone: {link.path} is a link to {link.target}, and {end.path} is not there"
            f" -- {_anew(looks)}"
        )
    if "Scripts" in looks.holds:
        return f"{subject}: was made on Windows -- {_anew(looks)}"
    if _is_virtualenv(looks):
        return f"{subject}: there is no {end.path} any more -- {_anew(looks)}"
    inner = next((f"{looks.virtualenv}/{name}" for name in INNER if name in looks.holds), looks.around)
    return f"{subject}: is none, it has no bin/python -- {f'is {inner} meant?' if inner else _anew(looks)}"


def _trial_flaw(looks: Looks) -> str:
    trial, subject = looks.trial, _subject(looks)
    if trial is None:
        return ""
    end = looks.to_python[-1].path
    if trial.error:
        return f"{subject}: {_not_executed(trial, end, looks)} -- {_instead(looks)}"
    if trial.code is None:
        return f"{subject}: {end} does not answer when it is asked for its version -- {_instead(looks)}"
    if trial.version is None:
        return f"{subject}: {_no_python(trial, end, looks)} -- {_instead(looks)}"
    if trial.spoiled_by:
        names = ", ".join(trial.spoiled_by)
        said = f": {trial.complaint}" if trial.complaint else ""
        return f"{subject}: {end} does not start with what env sets ({names}){said} -- mend it, or remove it"
    if trial.version < OLDEST:
        found, needed = (".".join(map(str, one)) for one in (trial.version, OLDEST))
        return f"{subject}: is Python {found}, and a vassal needs {needed} or newer -- {_instead(looks)}"
    return ""


def _no_python(trial: Trial, end: str, looks: Looks) -> str:
    library = _LIBRARY.search(trial.complaint)
    if looks.lost_home:
        return f"its pyvenv.cfg says that its Python is in {looks.lost_home}, which is not there"
    if library:
        return f"{end} does not find {library.group(1)} as {looks.user.user} (see ldd {end})"
    if "'encodings'" in trial.complaint:
        return f"{end} does not find its own standard library as {looks.user.user}"
    if trial.code:
        said = f": {trial.complaint}" if trial.complaint else ""
        return f"{end} does not run as a Python, exit code {trial.code}{said}"
    return f"{end} is no Python"


def _not_executed(trial: Trial, end: str, looks: Looks) -> str:
    if trial.error == errno.ENOEXEC:
        if trial.machine:
            return f"{end} is made for {trial.machine}, not for this machine"
        return f"{end} is no program"
    if trial.error == errno.ENOENT:
        lacks = "the program that its first line names (#!)" if trial.script else "the loader that it needs (ld.so)"
        return f"{end} cannot be executed: {lacks} is not there"
    if trial.error == errno.EACCES and looks.noexec:
        return f"{end} lies on a filesystem that is mounted noexec"
    if trial.error == errno.EACCES:
        return f"{looks.user.user} may not execute {end}, or what it needs"
    return f"{end} cannot be executed: errno {trial.error}"


def _within(looks: Looks) -> bool:
    """Is the interpreter the virtualenv's own?"""
    return bool(looks.virtualenv) and looks.python in programs(looks.virtualenv)


def _is_virtualenv(looks: Looks) -> bool:
    """And not /usr, say, where nothing may be made anew."""
    return "pyvenv.cfg" in looks.holds


def _anew(looks: Looks) -> str:
    return again(looks.virtualenv) if _is_virtualenv(looks) else "name another folder, or remove the line"


def _subject(looks: Looks) -> str:
    return f"virtualenv {looks.virtualenv}" if _within(looks) else f"python {looks.python}"


def _instead(looks: Looks) -> str:
    return _anew(looks) if _within(looks) else f"name another one: {EVERYBODYS} perhaps"


def _elsewhere(looks: Looks) -> str:
    return "make it elsewhere" if _within(looks) else f"name another one: {EVERYBODYS} perhaps"


def _last_link(way: Sequence[Step]) -> Optional[Step]:
    return next((step for step in reversed(way) if step.kind == LINK), None)
