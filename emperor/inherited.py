"""``emperor run`` as a web server starts it: descriptor 0 is a listening socket, and one process serves it.

No daemon, no vassal, no fork, no control socket, no runtime folder: the options are read and judged as for every
ini, then this process becomes the app's user (if it is root) and its interpreter, which runs ``emperor.lone``.
mod_fcgid, lighttpd's ``bin-path`` and spawn-fcgi start applications so (FastCGI specification 1.0, section 2.2).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from emperor.config.context import Accounts
from emperor.config.language.inifile import Row
from emperor.config.options import find
from emperor.config.spec import Checked
from emperor.errors import EmperorError
from emperor.intake.reading import SOCKETS, Reader, Reading, ini_at
from emperor.journal import Journal
from emperor.model import ADMIN, Authority, Identity, Problem, VassalSpec
from emperor.supervision.paper import Paper
from emperor.system import interpreter, library, prctl, privilege
from emperor.system.accounts import SystemAccounts
from emperor.system.handed import LISTENER, listener_at
from emperor.system.processes import PATH, sealed

LAUNCHER = Path(__file__).with_name("launch_lone.py")

ABOUT_SOCKETS = ("protocol", "chmod-socket", "chown-socket", "socket-umask", "listen")
APPS = ("wsgi-file", "module", "mount")
LOOKED_AFTER = (
    "harakiri",
    "max-requests",
    "max-worker-lifetime",
    "reload-on-rss",
    "reload-on-as",
    "on-demand",
    "idle",
    "cheaper",
    "touch-reload",
    "py-autoreload",
)
"""What only a vassal can do, which looks at its workers."""
OFF = ("0", "no", "false", "off")

HANDED_OVER = Row("fastcgi-socket", "@descriptor-0", "descriptor 0", 0)
"""Stands for the web server's socket in the spec, so that no default is looked for. It is never bound."""

UMASK = 0o022


class Kept(NamedTuple):
    """Rows that count here, and what is to be said about the others."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def is_here() -> bool:
    """Is descriptor 0 a listening stream socket?"""
    listener = listener_at(LISTENER)
    if listener is None:
        return False
    listener.close()
    return True


def files_of(words: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Those of the command line's ``words`` that may be the ini.

    A script whose first line names us (``#!/usr/bin/env -S emperor run blog.ini``) is the last word of its own command
    line (execve(2)). It is the ini itself only where nothing else can be meant.
    """
    inis = [one for one in words if one.endswith(".ini")]
    return inis or ([] if _names_an_app(rows) else list(words))


def _names_an_app(rows: Sequence[Row]) -> bool:
    return any(row.key == "ini" or _option(row) in APPS for row in rows)


def _option(row: Row) -> str:
    option = find(row.key)
    return option.name if option else ""


def keep(rows: Sequence[Row], own: Identity, accounts: Accounts) -> Kept:
    """Leave out what whoever started us has decided already. ``own``: who we are; only root becomes somebody else."""
    kept = []
    warnings: dict[str, None] = {}
    for row in rows:
        name = _option(row)
        warning = _RULES[name](row, own, accounts) if name in _RULES else ""
        if warning:
            warnings[f"{SOCKETS[0] if name in SOCKETS else name}: {warning}"] = None
        if not warning and name not in ABOUT_SOCKETS:
            kept.append(row)
    return Kept((*kept, HANDED_OVER), tuple(warnings))


def _socket(row: Row, own: Identity, accounts: Accounts) -> str:
    return "not bound: the web server handed its own over as descriptor 0"


def _processes(row: Row, own: Identity, accounts: Accounts) -> str:
    return "" if row.value == "1" else "ignored: the web server decides how many processes there are"


def _looked_after(row: Row, own: Identity, accounts: Accounts) -> str:
    return "" if row.value in OFF else "ignored: no vassal looks on: the web server starts and ends this process itself"


def _user(row: Row, own: Identity, accounts: Accounts) -> str:
    named = accounts.user(row.value)
    if own.uid == 0 or (named is not None and named.uid == own.uid):
        return ""
    return f"ignored: the web server runs this process as {own.user}, who cannot become somebody else"


def _group(row: Row, own: Identity, accounts: Accounts) -> str:
    if own.uid == 0 or accounts.group(row.value) == own.gid:
        return ""
    return f"ignored: the web server runs this process as {own.user}, whose group is another"


_RULES: dict[str, Callable[[Row, Identity, Accounts], str]] = {
    **dict.fromkeys(SOCKETS, _socket),
    "processes": _processes,
    **dict.fromkeys(LOOKED_AFTER, _looked_after),
    "uid": _user,
    "gid": _group,
}


def serve(
    reader: Reader, name: str, path: str, before: Sequence[Row], after: Sequence[Row], told: Sequence[Problem] = ()
) -> int:
    """Become the app's server. It returns only if that fails: 1, with every problem on standard error.

    ``before``, ``after``: rows of the command line around those of the file at ``path``; ``told``: what is to be said
    of it.
    """
    _open_outputs()
    journal = Journal()
    checked, warnings = _read(reader, name, path, before, after)
    checked = replace(checked, problems=(*told, *checked.problems))
    for warning in warnings:
        journal.warning("emperor run", f"{name}: {warning}")
    for problem in checked.problems:
        tell = journal.fault if problem.fatal else journal.warning
        tell("emperor run", str(problem))
    if checked.spec is None:
        return 1
    try:
        _become_the_server(checked.spec)
    except (EmperorError, OSError) as error:
        journal.fault("emperor run", f"{name}: {error}")
        return 1


def _open_outputs() -> None:
    """The specification lets web servers close both (section 2.2); the next file opened must not take their numbers."""
    for fd in (1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest number that is free is this one (open(2)).
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)


def _read(
    reader: Reader, name: str, path: str, before: Sequence[Row], after: Sequence[Row]
) -> tuple[Checked, tuple[str, ...]]:
    """As ``Reader.read`` judges them, without what the web server has decided."""
    ini = ini_at(path) if path else None
    if isinstance(ini, Reading):
        return ini.checked, ()
    if ini is None:
        authority = Authority(ADMIN)
        unfolded = reader.lines(name, (*before, *after), os.getcwd())
    else:
        authority = ini.authority
        unfolded = reader.unfold(name, ini, after, before)
    kept, warnings = keep(unfolded.rows, reader.own, SystemAccounts())
    folder = "" if path else os.getcwd()
    return reader.check(name, path or "command line", kept, unfolded.problems, authority, folder), warnings


def _become_the_server(spec: VassalSpec) -> NoReturn:
    """Same pid, the app's user, the app's interpreter. Raises EmperorError."""
    paper = sealed(Paper(spec, _lent()).to_bytes())
    prctl.no_new_privs()
    changes = os.geteuid() == 0
    if changes:
        privilege.become(spec.identity)
    os.umask(UMASK if spec.umask is None else spec.umask)
    _keep_from_the_app()
    os.set_inheritable(paper, True)
    foreign = changes or not os.access(os.environ.get("HOME", ""), os.X_OK)
    python = interpreter.chosen(spec)
    command = [python, str(LAUNCHER), spec.name, str(paper)]
    try:
        os.execve(python, command, {**environment(spec.identity, os.environ, foreign), **dict(spec.env)})
    except OSError as error:
        why = interpreter.flaw(spec, try_it=False) or f"exec {python} as {spec.identity.user}: {error.strerror}"
        raise EmperorError(why) from None


def _lent() -> dict[str, str]:
    """The folders of what the copy of our package for vassals has beside it."""
    found = {}
    for name in library.LENT:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found[name] = folder
    return found


def _keep_from_the_app() -> None:
    """Web servers leave ends of pipes of their own open in what they start (mod_fcgid 2.3.9: its orders' pipe)."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)


def environment(identity: Identity, own: Mapping[str, str], foreign: bool) -> dict[str, str]:
    """The web server's, since it has options for that (``FcgidInitialEnv``, ``bin-environment``).

    ``foreign``: what it says about the user is another one's, as after ``server.username`` of a lighttpd that root
    has started in a shell.
    """
    about_user = {"HOME": identity.home, "USER": identity.user, "LOGNAME": identity.user, "SHELL": identity.shell}
    return {"PATH": PATH, **about_user, **own, **(about_user if foreign else {})}
