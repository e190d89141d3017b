"""``emperorctl doctor``: why a request would fail, link by link, and what to type."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from emperor.control.messages import DENIED, FAILED, NO_VASSAL, OK
from emperor.ctl.console import Console, impossible_names
from emperor.ctl.wording import plural
from emperor.doctor.examination import Report, Wish, examine
from emperor.doctor.finding import FAILS, Finding, ordered
from emperor.system.places import control_socket
from emperor.text import printable

_EPILOG = """\
It looks at what runs, at the way to each socket as the web server's user, makes a real request there (GET /, or
--path), and looks at the app's interpreter and files as the app's user, at the web servers' configurations and at the
machine. Root can look at everything; others at what is theirs. A vassal that sleeps is woken by the request.

An app that does not serve is imported once more, as its user, in a process that is thrown away; with --import one that
serves, too (importing may have effects: the app's own code runs).

exit: 0 nothing found; 1 something was; 2 usage; 4 not permitted; 6 no such vassal
"""

_CLEAR = "\r\x1b[K"
"""ECMA-48: EL, to the end of the line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="look at these vassals; default: at all")
    add(
        "--as",
        dest="as_user",
        default="",
        metavar="USER",
        help="the web server's user; default: as its configuration says",
    )
    add("--path", default="/", metavar="PATH", help="what is asked for; default: /")
    add("--import", dest="load", action="store_true", help="import the apps of vassals that serve, too")
    for server in ("nginx", "apache", "lighttpd"):
        add(f"--{server}-conf", default="", metavar="FILE", help=f"the main configuration file of {server}")


def run(args: argparse.Namespace, console: Console) -> int:
    bad = impossible_names(args.names)
    if bad:
        console.error(f"{printable(bad[0])}: no such vassal")
        return NO_VASSAL
    control = args.control_socket or control_socket(os.geteuid(), os.environ)
    target = args.path if args.path.startswith("/") else f"/{args.path}"
    confs = {"nginx": args.nginx_conf, "apache": args.apache_conf, "lighttpd": args.lighttpd_conf}
    wish = Wish(os.path.abspath(control), tuple(args.names), args.as_user, target, args.load, confs)
    progress = console.terminal and not console.json and sys.stderr.isatty()

    def tell(text: str) -> None:
        if progress:
            console.complain(f"{_CLEAR}looking at: {text}" if text else _CLEAR)

    try:
        report = examine(wish, console.answers, tell)
    finally:
        tell("")
    _show(report, console)
    return _exit(report, console)


def _exit(report: Report, console: Console) -> int:
    if report.strangers:
        names = ", ".join(report.strangers)
        root = os.geteuid() == 0
        console.error(f"{names}: no such vassal" if root else f"{names}: no vassal of yours")
        return NO_VASSAL if root else DENIED
    if report.denied:
        return DENIED
    return FAILED if report.findings else OK


def _show(report: Report, console: Console) -> None:
    findings = ordered(report.findings)
    if console.json:
        console.print_json([_as_json(one) for one in findings])
    else:
        console.write("".join(_text(one, console) for one in findings))
        for well in report.wells:
            console.print(f"{printable(well.subject)}: {console.paint('OK', 'green')}: {printable(well.text)}")
        _close(report, findings, console)
    for text in report.unseen:
        console.error(f"not looked at: {text}")


def _as_json(one: Finding) -> dict[str, Any]:
    return {**one._asdict(), "mend": list(one.mend)}


def _text(one: Finding, console: Console) -> str:
    colour = "red" if one.weight == FAILS else "yellow"
    what = printable(one.what.removeprefix(f"{one.subject}: "))
    heading = f"{printable(one.subject)}: {console.paint(what, colour)}"
    lines = [heading, *(f"    {printable(line)}" for line in one.why.split("\n") if line)]
    lines += [f"  mend: {printable(line)}" for line in one.mend]
    return "\n".join(lines) + "\n\n"


def _close(report: Report, findings: Sequence[Finding], console: Console) -> None:
    fails = sum(1 for one in findings if one.weight == FAILS)
    may = len(findings) - fails
    if findings:
        words = [f"{plural(fails, 'problem')}: requests fail"] if fails else []
        words += [f"{plural(may, 'warning')}: requests may fail"] if may else []
        console.print(", ".join(words))
    elif not report.strangers:
        console.print("nothing found")
