"""The daemon from its options to its end: who it becomes, where it looks, what it opens before its first turn."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Sequence

from emperor import frontkeeper
from emperor.config.claims import judge_all
from emperor.control.messages import Policy, parse_verbs
from emperor.daemon import Emperor
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontKeeper
from emperor.intake.inis import listing
from emperor.intake.reading import Reader, Settings
from emperor.journal import Journal
from emperor.model import Identity
from emperor.startup import FAILED, OK, run
from emperor.succession import handover
from emperor.succession.handover import State
from emperor.system import library, pidfile, places, privilege, runtime
from emperor.system.accounts import SystemAccounts
from emperor.system.logs import open_for_append
from emperor.system.reexec import Program


def reign(args: argparse.Namespace, program: Program, before: State | None) -> int:
    """The whole life of a daemon; its exit code. ``before``: what the program hands over that this one replaces."""
    where = [os.path.abspath(place) for place in (*args.emperor, *args.places)]
    _become(args.uid, args.gid)
    where = where or [places.vassals_folder(os.geteuid(), os.environ)]
    control = os.path.abspath(args.control_socket or places.control_socket(os.geteuid(), os.environ))
    reader = Reader(_settings(args, control))
    if before is not None and before.control.path != control:
        raise EmperorError(f"--control-socket {control}: it was {before.control.path} -- restart instead of upgrading")
    if args.check:
        if before is not None:
            _rehearse(args, reader.settings.runtime_folder, before)
        return _check(reader, where, taking_over=before is not None)
    return _serve(args, where, control, reader, program, before)


def _serve(
    args: argparse.Namespace,
    where: Sequence[str],
    control: str,
    reader: Reader,
    program: Program,
    before: State | None,
) -> int:
    policy = Policy(os.geteuid(), _control_gid(args.control_group), parse_verbs(args.control_public))
    listener = _http(args.http, before)
    journal = _journal(args, before)
    pid_path = os.path.abspath(args.pidfile) if args.pidfile else ""

    def prepare(emperor: Emperor) -> None:
        # Whoever else is there is told by it, before anything that people look at says that it is us.
        emperor.gate.resize(args.max_starting)
        emperor.rule(where)
        if pid_path:
            _write_pid(pid_path, journal, before)
        if listener is not None:
            emperor.front = FrontKeeper(emperor.loop, journal, listener, reader.own, _door(reader))
            if before is not None and before.front is not None:
                emperor.front.dismiss(before.front)
            emperor.front.start()
            journal.info("front", f"http://{args.http}/ lists the vassals")

    try:
        return run(reader, journal, control, policy, prepare, program=program, before=before)
    finally:
        if pid_path:
            pidfile.remove(pid_path)


def _rehearse(args: argparse.Namespace, folder: str, before: State) -> None:
    """All that can fail when this program takes over, tried while nothing is given up. EmperorError, OSError."""
    _control_gid(args.control_group)
    parse_verbs(args.control_public)
    if args.http and before.front is None:
        frontkeeper.listen(args.http).close()
    if args.logto:
        os.close(open_for_append(os.path.abspath(args.logto)))
    if args.pidfile and not os.access(os.path.dirname(os.path.abspath(args.pidfile)), os.W_OK):
        raise EmperorError(f"--pidfile {args.pidfile}: its folder cannot be written")
    runtime.prepare(folder, os.geteuid())
    library.rehearse(library.install(folder))


def _journal(args: argparse.Namespace, before: State | None) -> Journal:
    journal = Journal(args.log_format, _log_opener(args.logto))
    if not journal.error:
        return journal
    flaw = f"--logto {args.logto}: {journal.error}"
    if before is None:
        raise EmperorError(flaw)
    # Gone since the check: nobody's requests are given up for that.
    journal = Journal(args.log_format)
    journal.warning("emperor", f"{flaw} -- the log goes to standard error")
    return journal


def _write_pid(path: str, journal: Journal, before: State | None) -> None:
    try:
        pidfile.write(path)
    except (OSError, EmperorError) as error:
        if before is None:
            raise
        journal.warning("emperor", f"--pidfile {path}: {error} -- it stays as it was")


def _settings(args: argparse.Namespace, control: str) -> Settings:
    return Settings(
        runtime=os.path.dirname(control),
        web_user=args.web_user,
        web_group=args.web_group,
        allow_root=args.allow_root,
        tyrant=args.tyrant,
        defaults=os.path.abspath(args.vassals_defaults) if args.vassals_defaults else "",
    )


def _http(where: str | None, before: State | None) -> socket.socket | None:
    """The front door's listener: the one that is handed over, or a new one."""
    if before is not None and before.front is not None:
        return frontkeeper.adopt_listener(before.front)
    return frontkeeper.listen(where) if where else None


def _become(user: str | None, group: str | None) -> None:
    if user is None and group is None:
        return
    identity = SystemAccounts().identity(user or str(os.geteuid()), group)
    if identity is None:
        raise EmperorError(f"--uid {user} --gid {group}: no such user or group")
    if os.geteuid() != 0:
        if identity.uid != os.geteuid():
            raise EmperorError(f"--uid {user}: only root can become somebody else")
        return
    privilege.become(identity)
    # Places are computed from these, and the user would find root's.
    os.environ.update(HOME=identity.home, USER=identity.user, LOGNAME=identity.user)
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        os.environ.pop(name, None)


def _control_gid(name: str | None) -> int | None:
    if name is None:
        return None
    gid = SystemAccounts().group(name)
    if gid is None:
        raise EmperorError(f"--control-group {name}: no such group")
    return gid


def _log_opener(path: str | None) -> Callable[[], int] | None:
    if path is None:
        return None
    absolute = os.path.abspath(path)
    return lambda: open_for_append(absolute)


def _door(reader: Reader) -> Identity | None:
    """Whom the front door becomes: the web user, who may connect to every socket; nobody, if there is none."""
    if os.geteuid() != 0:
        return None
    return reader.web or Identity(65534, 65534, (65534,), "nobody", "/")


def _check(reader: Reader, where: Sequence[str], taking_over: bool) -> int:
    """CONTRACT ``--check``: every problem of every ini.

    ``taking_over``: whose an address is that two inis name, the emperor that runs has decided.
    """
    inis, code = _found(where)
    read = [(name, reader.read(name, path).checked) for name, path in inis.items()]
    judged = [one for _, one in read] if taking_over else judge_all(read, reader.settings.runtime_folder)
    for path, checked in zip(inis.values(), judged, strict=True):
        code = FAILED if checked.spec is None else code
        for problem in checked.problems:
            print(f"{'' if problem.fatal else 'warning: '}{problem}")
        if checked.spec is not None:
            print(f"{path}: OK")
    if taking_over:
        print(handover.READ)
    return code


def _found(where: Sequence[str]) -> tuple[dict[str, str], int]:
    """Name → path of all inis, and FAILED if a place could not be read."""
    code = OK
    inis: dict[str, str] = {}
    for place in where:
        found = listing(place)
        if found.missing:
            print(f"{place}: cannot be read: {found.missing}")
            code = FAILED
        for name, path in found.names.items():
            if inis.setdefault(name, path) != path:
                print(f"warning: {path}: {name} is already {inis[name]} -- ignored")
    return inis, code
