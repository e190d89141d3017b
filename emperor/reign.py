"""The daemon from its options to its end: who it becomes, where it looks, what it opens before its first turn."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence

from emperor import descent, frontkeeper
from emperor.config.claims import judge_all
from emperor.config.context import Checked
from emperor.config.ruling import Rule
from emperor.control.messages import Policy, parse_verbs
from emperor.daemon import Emperor
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontKeeper
from emperor.intake import patiently
from emperor.intake.listing import OVERFULL, listing
from emperor.intake.reading import Reader, Settings
from emperor.journal import Journal
from emperor.model import Identity, Problem
from emperor.startup import FAILED, OK, run
from emperor.succession import handover
from emperor.succession.handover import State
from emperor.system import library, pidfile, places, privilege, runtime
from emperor.system.accounts import SystemAccounts
from emperor.system.logs import open_for_append
from emperor.system.reexec import Program
from emperor.tending.startgate import usual_places
from emperor.text import printable


def reign(
    rule: Rule, places_named: Sequence[str], told: Sequence[Problem], program: Program, before: State | None
) -> int:
    """The whole life of a daemon; its exit code.

    ``told``: warnings about its options. ``before``: what the program hands over that this one replaces.
    """
    where = [os.path.abspath(place) for place in (*rule.emperor, *places_named)]
    control = _become(rule, before)
    where = where or [places.vassals_folder(os.geteuid(), os.environ)]
    reader = Reader(Settings.under(rule, os.path.dirname(control)))
    if before is not None and before.control.path != control:
        raise EmperorError(f"--control-socket {control}: it was {before.control.path} -- restart instead of upgrading")
    if rule.check:
        for problem in told:
            print(f"warning: {problem}")
        if before is not None:
            _rehearse(rule, reader.settings.runtime_folder, before)
        return _check(reader, where, before)
    return _serve(rule, where, told, control, reader, program, before)


def _serve(
    rule: Rule,
    where: Sequence[str],
    told: Sequence[Problem],
    control: str,
    reader: Reader,
    program: Program,
    before: State | None,
) -> int:
    policy = Policy(os.geteuid(), _control_gid(rule.control_group), parse_verbs(rule.control_public))
    listener = _http(rule.http, before)
    journal = _journal(rule, before)
    pid_paths = [os.path.abspath(path) for path in rule.pidfiles]

    def prepare(emperor: Emperor) -> None:
        for problem in told:
            journal.warning("emperor", str(problem))
        if control.startswith(f"{places.SYSTEM_RUNTIME}-") and not rule.control_socket:
            journal.info("emperor", f"is asked by: emperorctl --control-socket {control}")
        # Whoever else is there is told by it, before anything that people look at says that it is us.
        emperor.gate.resize(rule.max_starting or usual_places())
        emperor.rule(where)
        for path in pid_paths:
            _write_pid(path, journal, before)
        if listener is not None:
            emperor.front = FrontKeeper(emperor.loop, journal, listener, reader.own, _door(reader))
            if before is not None and before.front is not None:
                emperor.front.dismiss(before.front)
            emperor.front.start()
            journal.info("front", f"http://{rule.http}/ lists the vassals")

    try:
        return run(reader, journal, control, policy, prepare, program=program, before=before)
    finally:
        for path in pid_paths:
            pidfile.remove(path)


def _rehearse(rule: Rule, folder: str, before: State) -> None:
    """All that can fail when this program takes over, tried while nothing is given up. EmperorError, OSError."""
    _control_gid(rule.control_group)
    parse_verbs(rule.control_public)
    if rule.http and before.front is None:
        frontkeeper.listen(rule.http).close()
    if rule.logto:
        os.close(open_for_append(os.path.abspath(rule.logto)))
    for path in map(os.path.abspath, rule.pidfiles):
        if not (os.access(os.path.dirname(path), os.W_OK) or os.access(path, os.W_OK)):
            raise EmperorError(f"--pidfile {path}: its folder cannot be written")
    runtime.prepare(folder, os.geteuid())
    library.rehearse(library.install(folder))


def _journal(rule: Rule, before: State | None) -> Journal:
    journal = Journal(rule.log_format, _log_opener(rule.logto))
    if not journal.error:
        return journal
    flaw = f"--logto {rule.logto}: {journal.error}"
    if before is None:
        raise EmperorError(flaw)
    # Gone since the check: nobody's requests are given up for that.
    journal = Journal(rule.log_format)
    journal.warning("emperor", f"{flaw} -- the log goes to standard error")
    return journal


def _write_pid(path: str, journal: Journal, before: State | None) -> None:
    try:
        pidfile.write(path)
    except (OSError, EmperorError) as error:
        if before is None:
            raise
        journal.warning("emperor", f"--pidfile {path}: {error} -- it stays as it was")


def _http(where: str | None, before: State | None) -> socket.socket | None:
    """The front door's listener: the one that is handed over, or a new one."""
    if before is not None and before.front is not None:
        return frontkeeper.adopt_listener(before.front)
    return frontkeeper.listen(where) if where else None


def _become(rule: Rule, before: State | None) -> str:
    """Be who ``--uid`` names; where the control socket is.

    Started as root, the emperor has a folder beside root's own even as somebody else, whose home may be nobody's.
    """
    named = os.path.abspath(rule.control_socket) if rule.control_socket else ""
    was_root = os.geteuid() == 0
    identity = _chosen(rule.uid, rule.gid)
    place = ""
    if identity is not None and was_root:
        folder = f"{places.SYSTEM_RUNTIME}-{identity.user}"
        if identity.uid != 0 and not named and descent.take_folder(folder, identity, dry=rule.check):
            place = os.path.join(folder, places.CONTROL_NAME)
        if not rule.check:
            _leave_files(rule, identity)
        _put_on(identity)
    inherited = before.control.path if before is not None else ""
    return named or inherited or place or places.control_socket(os.geteuid(), os.environ)


def _leave_files(rule: Rule, identity: Identity) -> None:
    for path in rule.pidfiles:
        descent.leave_file(os.path.abspath(path), identity, descent.PID)
    if rule.logto:
        descent.leave_file(os.path.abspath(rule.logto), identity, descent.LOG)


def _chosen(user: str | None, group: str | None) -> Identity | None:
    """None: nobody else than we are."""
    if user is None and group is None:
        return None
    identity = SystemAccounts().identity(user or str(os.geteuid()), group)
    if identity is None:
        given = (("user", f"--uid {user}", user), ("group", f"--gid {group}", group))
        what, words, _ = zip(*(one for one in given if one[2] is not None), strict=True)
        raise EmperorError(f"{' '.join(words)}: no such {' or '.join(what)}")
    if os.geteuid() != 0 and identity.uid != os.geteuid():
        raise EmperorError(f"--uid {user}: only root can become somebody else")
    return identity


def _put_on(identity: Identity) -> None:
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


def _check(reader: Reader, where: Sequence[str], before: State | None) -> int:
    """CONTRACT ``--check``: every problem of every ini.

    ``before``: of the emperor that runs, and waits for us. Whose an address is that two inis name, it has decided.
    """
    inis, code = _found(where, before is not None)
    if before is None:
        read = [(name, reader.study(name, path).reading.checked) for path, name in inis.items()]
        known = dict(zip(inis, judge_all(read, reader.settings.runtime_folder), strict=True))
    else:
        # It also knows what lies where only a scout looks.
        theirs = {one.ini.path: one.record.name for one in before.vassals if one.ini is not None}
        known = _read_in_time(reader, {**theirs, **inis})
    for path, checked in known.items():
        code = FAILED if checked.spec is None else code
        for problem in checked.problems:
            print(printable(f"{'' if problem.fatal else 'warning: '}{problem}"))
        if checked.spec is not None:
            print(printable(f"{path}: OK"))
    if before is not None:
        print(handover.READ)
    return code


def _read_in_time(reader: Reader, inis: Mapping[str, str]) -> dict[str, Checked]:
    """That nobody answers for an ini is no reason to stay as we are: whoever it is would have a say in that."""
    studies = patiently.study_all(reader, inis, lambda error: print(printable(f"warning: a scout: {error}")))
    for path in inis.keys() - studies.keys():
        print(printable(f"warning: {path}: not read: there is no answer from where it lies, or who its user is"))
        print(printable(f"{path}: OK"))
    return {path: studies[path].reading.checked for path in inis if path in studies}


def _found(where: Sequence[str], namesakes: bool) -> tuple[dict[str, str], int]:
    """Path → name of all inis, and FAILED if a place could not be read.

    ``namesakes``: those too whose name another has: of an emperor that runs it may be theirs. Such an emperor waits for
    us, and so we wait for no filesystem that may not answer.
    """
    code = OK
    first: dict[str, str] = {}
    inis: dict[str, str] = {}
    for place in where:
        found = listing(place, near=namesakes)
        if found.missing:
            print(printable(f"{place}: cannot be read: {found.missing}"))
            code = FAILED
        for folder in found.overfull:
            print(printable(f"{folder}: {OVERFULL}"))
            code = FAILED
        for name, path in (*found.names.items(), *found.more):
            if first.setdefault(name, path) != path:
                print(printable(f"warning: {path}: {name} is already {first[name]} -- ignored"))
            if namesakes or first[name] == path:
                inis[path] = name
    return inis, code
