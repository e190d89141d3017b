"""``emperorctl``: the command line, and nothing of what the verbs do.

It promises: only the module of the verb that was asked for is imported, so that a shell loop stays quick;
usage errors exit 2, Ctrl-C 130, and a reader who leaves (``| head``) gets no traceback.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from emperor import __version__
from emperor.control import client
from emperor.control.messages import DENIED, FAILED, NO_DAEMON, UNKNOWN
from emperor.ctl.console import Console
from emperor.errors import EmperorError
from emperor.system.places import CONTROL_NAME, SYSTEM_RUNTIME, control_socket
from emperor.text import printable


@dataclass(frozen=True)
class Entry:
    """A verb: the module with its ``add_arguments`` and ``run``, and the exit when nobody answers."""

    module: str
    summary: str
    no_daemon: int = NO_DAEMON


VERBS: dict[str, Entry] = {
    "status": Entry("status", "how the vassals are; with names: everything about them", no_daemon=UNKNOWN),
    "start": Entry("orders", "start, and wait until ready"),
    "stop": Entry("orders", "stop, and keep stopped until start"),
    "restart": Entry("orders", "read the ini again, stop, start"),
    "reload": Entry("orders", "read the ini again; the old one serves until the new one is ready"),
    "scale": Entry("scale", "another number of workers, while they serve"),
    "logs": Entry("logs", "last lines of vassals; -f follows"),
    "upgrade": Entry("upgrade", "the emperor becomes the installed program, in place; nothing is lost"),
    "check": Entry("check", "what inis would do, what is wrong, what uWSGI would do otherwise; without emperor"),
    "nginx": Entry("faces", "a configuration for nginx"),
    "apache": Entry("faces", "a configuration for Apache"),
    "lighttpd": Entry("faces", "a configuration for lighttpd"),
    "options": Entry("options", "every option that an ini may have"),
    "version": Entry("version", "of this program and of the running emperor"),
}

_EXAMPLES = """\
examples:
  emperorctl status                    a line per vassal
  emperorctl status blog               why blog does not work: problems, traceback, last lines
  emperorctl check blog.ini --import   would this ini work? (needs no emperor)
  emperorctl reload blog               new code, no request lost
  emperorctl scale blog 4              four workers from now on, without a restart
  emperorctl restart all               everything that you may restart
  emperorctl logs -f blog shop         both logs, as they grow
  emperorctl status --json             for programs
  emperorctl nginx blog                what nginx must be told, to be saved as it is

exit: 0 well; 1 failed; 2 usage; 3 status: something is down; 4 not permitted (status: or unknown, or no
emperor); 6 no such vassal, or its ini is invalid; 7 no emperor

Without --control-socket and $EMPEROR_CONTROL the socket is /run/emperor/control.sock for root, and
$XDG_RUNTIME_DIR/emperor/control.sock or ~/.local/state/emperor/control.sock for others.
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A log line in an alphabet that the locale lacks is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # nothing has replaced them yet
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Or the interpreter would try to flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(argv: Sequence[str]) -> int:
    args = parser(argv).parse_args(argv)
    path = args.control_socket or control_socket(os.geteuid(), os.environ)
    verb = VERBS[args.verb]
    try:
        code: int = _module(verb).run(args, _console(args, path))
        return code
    except client.NoDaemon as error:
        _complain(f"{error}{_other_emperor(path)}")
        return verb.no_daemon
    except client.NotPermitted as error:
        _complain(str(error))
        return DENIED
    except EmperorError as error:
        _complain(str(error))
        return FAILED


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The whole command line, with the arguments of those verbs only whose name occurs in ``argv``."""
    top = argparse.ArgumentParser(
        prog="emperorctl",
        description="Ask the emperor how its vassals are, and tell it what they shall do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"emperorctl {__version__}")
    _add_globals(top, os.environ.get("EMPEROR_CONTROL", ""))
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, entry in VERBS.items():
        one = verbs.add_parser(name, help=entry.summary, description=f"{name}: {entry.summary}.", allow_abbrev=False)
        _add_globals(one)
        if name in argv:
            _module(entry).add_arguments(one)
    return top


def _add_globals(target: argparse.ArgumentParser, control: Any = argparse.SUPPRESS) -> None:
    """Before the verb and after it: after it they have no default, or it would undo what was said before."""
    default = None if control is not argparse.SUPPRESS else argparse.SUPPRESS
    flag = False if control is not argparse.SUPPRESS else argparse.SUPPRESS
    target.add_argument(
        "--control-socket",
        metavar="PATH",
        default=control,
        help="where the emperor listens ($EMPEROR_CONTROL)",
    )
    target.add_argument("--json", action="store_true", default=flag, help="for programs")
    target.add_argument("--no-color", action="store_true", default=flag, help="as does $NO_COLOR")
    target.add_argument("--timeout", type=_seconds, metavar="S", default=default, help="seconds to wait")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:  # NaN is not, either
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return value


def _module(entry: Entry) -> Any:
    return importlib.import_module(f"emperor.ctl.{entry.module}")


def _console(args: argparse.Namespace, path: str) -> Console:
    terminal = sys.stdout.isatty()
    plain = args.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Console(
        write=_write,
        complain=_write_error,
        ask=functools.partial(client.call, path),
        pause=time.sleep,
        json=args.json,
        colour=terminal and not plain,
        terminal=terminal,
        timeout=args.timeout,
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    # A followed log is to be seen as it comes, through a pipe as well; everything else is a few lines.
    sys.stdout.flush()


def _write_error(text: str) -> None:
    sys.stderr.write(text)


def _complain(text: str) -> None:
    _write_error(f"emperorctl: {printable(text)}\n")


def _other_emperor(path: str) -> str:
    system = os.path.join(SYSTEM_RUNTIME, CONTROL_NAME)
    if path == system or not os.path.exists(system):
        return ""
    return f" (root's listens elsewhere: --control-socket {system})"


if __name__ == "__main__":
    sys.exit(main())
