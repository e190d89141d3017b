"""The command ``emperor``: its options, and the first steps of the daemon and of ``emperor run``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from emperor import __version__, frontkeeper, single
from emperor.control.messages import Policy, parse_verbs
from emperor.daemon import Emperor
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontKeeper
from emperor.inis import listing
from emperor.journal import Journal
from emperor.model import Identity
from emperor.reading import Reader, Settings
from emperor.startup import FAILED, OK, run
from emperor.system import limits, pidfile, places, privilege
from emperor.system.accounts import SystemAccounts
from emperor.system.logs import open_for_append

CONFIG = "/etc/emperor/emperor.ini"

EXAMPLES = """\
examples:
  emperor                                   serve /etc/emperor/vassals.d (as root), or ~/.config/emperor/vassals.d
  emperor /etc/uwsgi/vassals                another folder; a quoted glob of inis works too
  emperor --http 127.0.0.1:8000 vassals.d   with a development front door: http://127.0.0.1:8000/
  emperor --check vassals.d                 read everything, print every problem, start nothing
  emperor run blog.ini                      one app in the foreground
  emperor run -s /tmp/app.sock --wsgi-file app.py --callable app

signals: TERM, INT stop gracefully, a second one at once; HUP reloads every vassal; USR1 reopens logs
exit: 0, 1 failure, 2 usage

Whoever serves asks `emperorctl status`; every option of an ini is told by `emperorctl options`.
"""


def parser() -> argparse.ArgumentParser:
    """The daemon's options (CONTRACT.md); ``run`` has the options of an ini instead."""
    top = argparse.ArgumentParser(
        prog="emperor",
        usage="emperor [OPTIONS] [VASSALS_DIR ...]\n       emperor run FILE.ini [OPTIONS]\n"
        "       emperor run [OPTIONS of an ini, as -s SOCKET --wsgi-file FILE]",
        description="Watches folders of inis and serves an app for each: FastCGI or uwsgi, as its own user.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = top.add_argument
    add("places", nargs="*", metavar="VASSALS_DIR", help="folder of inis, or a quoted glob")
    add("--emperor", action="append", default=[], metavar="DIR", help="the same in uWSGI's spelling")
    add("--config", metavar="FILE", help=f"an ini whose [emperor] section holds these options ({CONFIG})")
    add("--control-socket", metavar="PATH", help="where emperorctl finds this emperor; sockets default beside it")
    add("--control-group", metavar="NAME", help="members may use every verb on every vassal")
    add("--control-public", metavar="VERB,…", default="", help="what anybody may do (default: nothing)")
    add("--vassals-defaults", metavar="FILE", default="", help="an ini whose values every vassal inherits")
    add("--web-user", metavar="NAME", help="who connects to the sockets (default: www-data, else nginx)")
    add("--web-group", metavar="NAME", help="the group that may connect (default: the web user's)")
    add("--http", metavar="HOST:PORT", help="development front door: every vassal under /NAME/")
    add("--allow-root", action="store_true", help="vassals that name no uid run as root, not as the web user")
    add("--tyrant", action="store_true", help="each vassal runs as the owner of its ini, whatever that says")
    add("--uid", metavar="USER", help="the emperor itself becomes this user, for good")
    add("--gid", metavar="GROUP", help="with this group")
    add("--logto", metavar="FILE", help="the emperor's own log (default: standard error)")
    add("--log-format", choices=("text", "json"), default="text")
    add("--pidfile", metavar="FILE")
    add("--check", action="store_true", help="print every problem of every ini, start nothing")
    for name in ("--master", "--die-on-term", "--enable-threads"):
        add(name, action="store_true", help=argparse.SUPPRESS)
    add("--version", action="version", version=f"emperor {__version__}")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    limits.shed_inheritance()
    limits.raise_nofile()
    try:
        if words[:1] == ["run"]:
            return single.main(words[1:])
        return _daemon(_options(words))
    except EmperorError as error:
        print(f"emperor: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"emperor: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return FAILED


def _options(words: Sequence[str]) -> argparse.Namespace:
    """The command line, over the options of the configuration file."""
    args = parser().parse_args(words)
    path = args.config or (CONFIG if os.path.exists(CONFIG) else "")
    if path:
        args = parser().parse_args([*_config_words(path), *words])
    return args


def _config_words(path: str) -> list[str]:
    """``key = value`` of [emperor] as ``--key=value``; a switch is given by any true word."""
    from emperor.config import inifile

    try:
        with open(path, "rb") as file:
            text = inifile.decode(file.read(inifile.LIMIT + 1), path)
    except OSError as error:
        raise EmperorError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(text, str):
        raise EmperorError(str(text))
    rows, problems = inifile.parse(text, path)
    if problems:
        raise EmperorError("\n".join(map(str, problems)))
    switches = {"--allow-root", "--tyrant", "--master", "--die-on-term", "--enable-threads"}
    words = []
    for row in rows:
        option = f"--{row.key}"
        if option not in switches:
            words.append(f"{option}={row.value}")
        elif row.value.lower() in ("true", "yes", "on", "1", ""):
            words.append(option)
    return words


def _daemon(args: argparse.Namespace) -> int:
    where = [os.path.abspath(place) for place in (*args.emperor, *args.places)]
    _become(args.uid, args.gid)
    where = where or [places.vassals_folder(os.geteuid(), os.environ)]
    control = os.path.abspath(args.control_socket or places.control_socket(os.geteuid(), os.environ))
    settings = Settings(
        runtime=os.path.dirname(control),
        web_user=args.web_user,
        web_group=args.web_group,
        allow_root=args.allow_root,
        tyrant=args.tyrant,
        defaults=os.path.abspath(args.vassals_defaults) if args.vassals_defaults else "",
    )
    reader = Reader(settings)
    if args.check:
        return _check(reader, where)
    policy = Policy(os.geteuid(), _control_gid(args.control_group), parse_verbs(args.control_public))
    listener = frontkeeper.listen(args.http) if args.http else None
    journal = Journal(args.log_format, _log_opener(args.logto))
    if journal.error:
        raise EmperorError(f"--logto {args.logto}: {journal.error}")
    pid_path = os.path.abspath(args.pidfile) if args.pidfile else ""

    def prepare(emperor: Emperor) -> None:
        if pid_path:
            pidfile.write(pid_path)
        emperor.rule(where)
        if listener is not None:
            emperor.front = FrontKeeper(emperor.loop, journal, listener, reader.own, _door(reader))
            emperor.front.start()
            journal.info("front", f"http://{args.http}/ lists the vassals")

    try:
        return run(reader, journal, control, policy, prepare)
    finally:
        if pid_path:
            pidfile.remove(pid_path)


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


def _check(reader: Reader, where: Sequence[str]) -> int:
    """CONTRACT ``--check``: every problem of every ini."""
    code = OK
    for place in where:
        found = listing(place)
        if found.missing:
            print(f"{place}: cannot be read: {found.missing}")
            code = FAILED
        for name, path in found.names.items():
            checked = reader.read(name, path).checked
            code = FAILED if checked.spec is None else code
            for problem in checked.problems:
                print(f"{'' if problem.fatal else 'warning: '}{problem}")
            if checked.spec is not None:
                print(f"{path}: OK")
    return code


if __name__ == "__main__":
    sys.exit(main())
