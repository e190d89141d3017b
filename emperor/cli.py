"""The command ``emperor``: its options, and the first steps of the daemon and of ``emperor run``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from emperor import __version__, single
from emperor.errors import EmperorError
from emperor.reign import reign
from emperor.startup import FAILED
from emperor.succession import handover
from emperor.system import limits, reexec
from emperor.system.reexec import Program
from emperor.tending.startgate import usual_places

CONFIG = "/etc/emperor/emperor.ini"

EXAMPLES = """\
examples:
  emperor                                   serve /etc/emperor/vassals.d (as root), or ~/.config/emperor/vassals.d
  emperor /etc/uwsgi/vassals                another folder; a quoted glob of inis works too
  emperor --http 127.0.0.1:8000 vassals.d   with a development front door: http://127.0.0.1:8000/
  emperor --check vassals.d                 read everything, print every problem, start nothing
  emperor run blog.ini                      one app in the foreground
  emperor run -s /tmp/app.sock --wsgi-file app.py --callable app

signals: TERM, INT stop gracefully, a second one at once; HUP reloads every vassal; USR1 reopens logs;
         USR2 replaces this program by the installed one, in place (emperorctl upgrade)
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
    add("--max-starting", metavar="N", type=_positive, default=usual_places(), help="vassals that start at once")
    add("--logto", metavar="FILE", help="the emperor's own log (default: standard error)")
    add("--log-format", choices=("text", "json"), default="text")
    add("--pidfile", metavar="FILE")
    add("--check", action="store_true", help="print every problem of every ini, start nothing")
    for name in ("--master", "--die-on-term", "--enable-threads"):
        add(name, action="store_true", help=argparse.SUPPRESS)
    add("--version", action="version", version=f"emperor {__version__}")
    return top


def _positive(word: str) -> int:
    if not word.isascii() or not word.isdigit() or not 0 < int(word) < 10**6:
        raise argparse.ArgumentTypeError("a number, at least 1")
    return int(word)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    program = Program.running()
    limits.open_standard()
    limits.shed_inheritance(reexec.HEEDED if handover.VARIABLE in os.environ else ())
    limits.raise_nofile()
    try:
        if words[:1] == ["run"]:
            return single.main(words[1:])
        return reign(_options(words), program, handover.received(os.environ))
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


if __name__ == "__main__":
    sys.exit(main())
