"""``emperorctl``: the command line, and nothing of what the verbs do.

It promises: only the module of the verb that was asked for is imported, so that a shell loop stays quick;
usage errors exit 2, Ctrl-C 130, and a reader who leaves (``| head``) gets no traceback.
"""

from __future__ import annotations

import argparse
import functools
import glob
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from emperor import __version__
from emperor.control import client
from emperor.control.messages import DENIED, FAILED, NO_DAEMON, UNKNOWN, USAGE, Request
from emperor.ctl.console import Console
from emperor.errors import EmperorError
from emperor.system.places import CONTROL_NAME, SYSTEM_RUNTIME, control_socket
from emperor.text import printable


class Entry(NamedTuple):
    """A verb: the module with its ``add_arguments`` and ``run``, and the exit when nobody answers."""

    module: str
    summary: str
    no_daemon: int = NO_DAEMON


GROUPS: tuple[tuple[str, dict[str, Entry]], ...] = (
    (
        "look",
        {
            "status": Entry("status", "how the vassals are; with names: everything about them", no_daemon=UNKNOWN),
            "logs": Entry("logs", "last lines of vassals; -f follows"),
            "events": Entry("events", "what has happened to vassals, one JSON object a line; -f follows"),
            "config": Entry("config", "what a vassal's ini comes to, and which line of which file says it"),
            "version": Entry("version", "of this program and of the running emperor"),
        },
    ),
    (
        "order",
        {
            "start": Entry("orders", "start, and wait until ready"),
            "stop": Entry("orders", "stop, and keep stopped until start"),
            "restart": Entry("orders", "read the ini again, stop, start"),
            "reload": Entry("orders", "read the ini again; the old one serves until the new one is ready"),
            "scale": Entry("scale", "another number of workers, while they serve"),
            "upgrade": Entry("upgrade", "the emperor becomes the installed program, in place; nothing is lost"),
        },
    ),
    (
        "mend",
        {
            "doctor": Entry("doctor", "why a request would fail: each finding with the command that mends it"),
            "request": Entry("request", "one request through a socket in its own protocol, as the web server would"),
            "check": Entry(
                "check", "what inis would do, what is wrong, what uWSGI would do otherwise; without emperor"
            ),
            "options": Entry("options", "every option that an ini may have; with names: those in full"),
        },
    ),
    (
        "write for others",
        {
            "nginx": Entry("faces", "a configuration for nginx"),
            "apache": Entry("faces", "a configuration for Apache"),
            "lighttpd": Entry("faces", "a configuration for lighttpd"),
            "metrics": Entry("metrics", "the vassals' numbers for Prometheus"),
            "completion": Entry("completion", "words to complete with TAB, for bash, zsh and fish"),
        },
    ),
)
"""The verbs by what a person wants."""

VERBS: dict[str, Entry] = {name: entry for _, entries in GROUPS for name, entry in entries.items()}

_VALUED = ("--control-socket", "--timeout")
"""Options of every verb whose value may be the next word."""

_OTHERS = f"{SYSTEM_RUNTIME}-*/{CONTROL_NAME}"
_MOST_OTHERS = 3

_TIMEOUT = "seconds to wait for the emperor's answer (default: 10; orders: as long as a start may take)"

_PATIENCE = 5.0
"""Seconds for a word that is only an addition."""

_COLUMNS = 80
"""Where nobody knows how wide it is."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    if sys.stdout is None:
        # Started with >&-: what is opened next would be standard output.
        _complain("standard output is closed")
        return FAILED
    for stream in filter(None, (sys.stdout, sys.stderr)):
        # A log line in an alphabet that the locale lacks is no reason to fail.
        stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _let_go_of_output()
        return 128 + signal.SIGPIPE


def _run(argv: Sequence[str]) -> int:
    args = _understood(argv)
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


def _understood(argv: Sequence[str]) -> argparse.Namespace:
    top = parser(argv)
    place = _verb_at(argv)
    if not argv:
        _write_error(top.format_help())
        raise SystemExit(USAGE)
    if argv[place:] and argv[place] not in VERBS and not {"-h", "--help", "--version"} & set(argv[:place]):
        top.error(_teaching().unknown(argv[place], VERBS))
    return top.parse_args(argv)


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The command line that ``argv`` asks for: with the arguments of its verb, or with the words that teach."""
    place = _verb_at(argv)
    name = argv[place] if argv[place:] else ""
    wordy = name not in VERBS or "--help" in argv[:place] or "-h" in argv[:place]
    width = _columns() - 2  # as argparse has it
    top = argparse.ArgumentParser(
        prog="emperorctl",
        usage="emperorctl [options] VERB …" if wordy else None,
        description=_teaching().description(GROUPS) if wordy else None,
        epilog=_teaching().EPILOG if wordy else None,
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=width),
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"emperorctl {__version__}")
    _add_globals(top, os.environ.get("EMPEROR_CONTROL", ""))
    verbs = top.add_subparsers(prog="emperorctl", dest="verb", metavar="VERB", required=True, help=argparse.SUPPRESS)
    if name in VERBS:
        one = verbs.add_parser(
            name,
            description=f"{name}: {VERBS[name].summary}.",
            formatter_class=functools.partial(argparse.HelpFormatter, width=width),
            allow_abbrev=False,
        )
        _add_globals(one)
        _module(VERBS[name]).add_arguments(one)
    return top


def _columns() -> int:
    """Of the terminal. argparse asks shutil, which it imports for that, and anew for every argument that is added."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]  # closed: caught below
    except (AttributeError, ValueError, OSError):
        return _COLUMNS


def verb_parser(name: str) -> argparse.ArgumentParser:
    """Of one verb by itself, for what is made of it: words to complete, manual pages."""
    one = argparse.ArgumentParser(prog=f"emperorctl {name}", allow_abbrev=False)
    _add_globals(one)
    _module(VERBS[name]).add_arguments(one)
    return one


def _verb_at(argv: Sequence[str]) -> int:
    """The place of the first word that is no option and no option's value; behind the end if there is none."""
    place = 0
    while place < len(argv) and argv[place].startswith("-"):
        place += 2 if argv[place] in _VALUED else 1
    return place


def _teaching() -> Any:
    # Words that are seen once in a while are not read by a shell loop.
    return importlib.import_module("emperor.ctl.teaching")


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
    target.add_argument("--json", action="store_true", default=flag, help="for programs: the same as JSON")
    target.add_argument(
        "--no-color", action="store_true", default=flag, help="no colour on a terminal, as with $NO_COLOR"
    )
    target.add_argument("--timeout", type=_seconds, metavar="S", default=default, help=_TIMEOUT)


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
        meant=functools.partial(_meant, path),
    )


def _meant(path: str, names: Sequence[str]) -> str:
    from emperor.ctl.guesses import did_you_mean  # who types well needs none of it

    return did_you_mean(names, lambda: client.call(path, Request("status"), _PATIENCE))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        # A followed log is to be seen as it comes, through a pipe as well; everything else is a few lines.
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _let_go_of_output()
        raise EmperorError(f"standard output: {error.strerror}") from None


def _let_go_of_output() -> None:
    """Or the interpreter would try to flush once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_error(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)


def _complain(text: str) -> None:
    _write_error(f"emperorctl: {printable(text)}\n")


def _other_emperor(path: str) -> str:
    """Where else one may listen: root's, and those of emperor@.service or of a user with a folder in /run."""
    system = os.path.join(SYSTEM_RUNTIME, CONTROL_NAME)
    found = [one for one in (system, *sorted(glob.glob(_OTHERS))) if one != path and os.path.exists(one)]
    if not found:
        return ""
    named = " or ".join(f"--control-socket {one}" for one in found[:_MOST_OTHERS])
    return f" (there is another: {named})"


if __name__ == "__main__":
    sys.exit(main())
