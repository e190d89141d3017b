"""``emperorctl request``: one request through a socket, in its own protocol, as the web server would make it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from emperor.control.messages import DENIED, FAILED, OK, USAGE
from emperor.ctl import answered, wanted
from emperor.ctl.console import Console
from emperor.ctl.specs import spec_of
from emperor.ctl.wanted import Door, Refused, Wanted
from emperor.errors import ProtocolError
from emperor.model import FASTCGI, HTTP, UWSGI, Identity, VassalSpec
from emperor.probe.asking import ask_as
from emperor.probe.question import Answer, Failure, Question
from emperor.probe.told import variables
from emperor.system.accounts import SystemAccounts, name_of
from emperor.text import printable

_PATIENCE = 10.0
"""Seconds, where --timeout does not say it."""

_EPILOG = """\
The body of the answer goes to standard output as it is, so that it can be piped; on a terminal its control
characters are shown as escapes. Root asks as the web server's user, whoever else as who they are.

It is asked what nginx would ask by the configuration that `emperorctl nginx NAME` prints: of the socket that is
named there, with the mount's prefix as SCRIPT_NAME.

examples:
  emperorctl request blog                          /, or where its mount is
  emperorctl request blog /login -d user=me -i     a POST, with the head of its answer
  emperorctl request blog /slow -v                 what is sent, and how long it takes
  emperorctl request blog --as www-data            may the web server connect?
  emperorctl request unix:/run/php.sock --protocol fastcgi /x.php --param SCRIPT_FILENAME=/srv/x.php
  emperorctl request 127.0.0.1:3031 --protocol uwsgi /

exit: 0 an answer below 500; 1 another one, or none; 2 usage; 4 not permitted; 6 no such vassal, or its ini is
invalid; 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    _intermixed(parser)
    add = parser.add_argument
    add("name", metavar="NAME", help="the vassal, or an address: unix:/PATH, @NAME, IP:PORT")
    add("path", metavar="PATH", nargs="?", help="path and query, as in a browser; default: /")
    add("-X", "--request", dest="method", metavar="METHOD", type=_typed(wanted.method), help="default: GET")
    header = _typed(wanted.header)
    add("-H", "--header", dest="headers", metavar="K:V", type=header, action="append", default=[], help="a header")
    add("-d", "--data", metavar="DATA", help="the body, and POST; @FILE: a file's content, -: standard input's")
    add("--as", dest="who", metavar="USER", default="", help="who connects; root's default: the web server's user")
    add("--protocol", choices=(UWSGI, FASTCGI, HTTP), default="", help="of an address; a vassal's is known")
    add("--socket", metavar="N|ADDRESS", default="", help="of a vassal with several; default: the web server's")
    add("--script-name", metavar="/P", help="the prefix that the web server cuts off; default: the vassal's mount")
    add("--host", default="localhost", help="the site that is asked for; default: localhost")
    add("--param", dest="params", metavar="NAME=VALUE", type=_typed(wanted.variable), action="append", default=[],
        help="one more variable of FastCGI or uwsgi")  # fmt: skip
    add("-i", "--include", action="store_true", help="the answer's head before its body")
    add("-v", "--verbose", action="store_true", help="what is sent, FastCGI's stderr and the times, on standard error")


def _intermixed(parser: argparse.ArgumentParser) -> None:
    """Let an option stand between NAME and PATH, which argparse allows for a whole command line alone, for no verb."""
    plain = parser.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        parser.parse_known_args = plain  # type: ignore[method-assign]  # it is what the next line calls
        try:
            return parser.parse_known_intermixed_args(args, namespace)
        finally:
            parser.parse_known_args = parse  # type: ignore[method-assign]  # until the next call

    parser.parse_known_args = parse  # type: ignore[method-assign]  # of this one parser alone


def _typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is {error}") from None

    return typed


def run(args: argparse.Namespace, console: Console) -> int:
    try:
        return _run(args, console)
    except Refused as error:
        console.error(f"request: {error}")
        return USAGE


def _run(args: argparse.Namespace, console: Console) -> int:
    spec = None
    if wanted.is_address(args.name):
        door = wanted.door_of_address(args.name, args.protocol)
    else:
        found = spec_of(args.name, console)
        if isinstance(found, int):
            return found
        spec = found
        door = wanted.door_of(spec, args.socket, args.protocol)
    question = wanted.question(door, _wanted(args, console))
    identity = _identity(args.who, spec)
    if isinstance(identity, int):
        console.error(f"request: --as {args.who}: only root can ask as somebody else -- sudo emperorctl request …")
        return identity
    who = identity.user if identity is not None else name_of(os.geteuid())
    return _tell(args, console, door, who, question, ask_as(question, identity))


def _wanted(args: argparse.Namespace, console: Console) -> Wanted:
    return Wanted(
        args.path,
        args.method or "",
        tuple(args.headers),
        tuple(args.params),
        None if args.data is None else _data(args.data),
        args.script_name,
        args.host,
        console.timeout or _PATIENCE,
    )


def _data(text: str) -> bytes:
    try:
        if text == "-":
            return sys.stdin.buffer.read()
        if text.startswith("@"):
            with open(text[1:], "rb") as file:
                return file.read()
    except OSError as error:
        raise Refused(f"-d {text}: {error.strerror}") from None
    return os.fsencode(text)


def _identity(who: str, spec: VassalSpec | None) -> Identity | int | None:
    """None: as who we are. An exit code: that may not be."""
    known = SystemAccounts()
    named = known.user(who) if who else None
    if who and named is None:
        raise Refused(f"--as {who}: no such user")
    euid = os.geteuid()
    if euid != 0:
        return None if named is None or named.uid == euid else DENIED
    found = named or known.web_identity(None, None) or (spec.identity if spec is not None else None)
    if found is None:
        raise Refused("as whom? This machine has neither www-data nor nginx -- --as USER")
    return found


def _tell(
    args: argparse.Namespace, console: Console, door: Door, who: str, question: Question, found: Answer | Failure
) -> int:
    try:
        sent = variables(question)
    except ProtocolError:
        sent = []
    code = OK if isinstance(found, Answer) and found.status < 500 and not found.flaw else FAILED
    if console.json:
        console.print_json(answered.as_json(door, who, question, sent, found))
        return code
    if args.verbose:
        for line in answered.talk(door, who, question, sent, found):
            console.complain(printable(line) + "\n")
    if isinstance(found, Failure):
        console.error(answered.failed(door, who, found))
        return code
    if args.include:
        console.write(answered.head(found))
    _body(console, found.body)
    remark = answered.remark(door, found)
    if remark:
        console.error(remark)
    return code


def _body(console: Console, body: bytes) -> None:
    if console.terminal:
        console.write(answered.shown(body))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
