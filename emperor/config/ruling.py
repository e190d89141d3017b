"""The daemon's own rows, of its command line and its configuration file -> a ``Rule``. Pure.

The last row of an option wins, those of the configuration file come first. What uWSGI's Emperor has and this one has
not is told in a warning that says what does it here; an app's own options are for its ini.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from emperor.config import commandline, daemon_options, options
from emperor.config.commandline import Line, Spelling, Vocabulary
from emperor.config.language import magic
from emperor.config.language.inifile import Row
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, Option
from emperor.model import Problem

BEFORE = (("vassals-inherit-before", "inherit"), ("vassals-include-before", "include"), ("vassal-set", "set"))
AFTER = (("vassals-inherit", "inherit"), ("vassals-include", "include"))
"""What every vassal gets, in uWSGI's order (core/emperor.c:1266-1362), and which row does it."""

OF_ONE_APP = frozenset(
    (
        *("socket", "uwsgi-socket", "fastcgi-socket", "http-socket"),
        *("wsgi-file", "module", "mount", "callable", "virtualenv", "python"),
    )
)
"""Without effect for an emperor, and somebody would miss it."""
LANGUAGE = frozenset(("set-placeholder", "set", "strict", "declare-option"))

_INSTEAD_OF_SET = "write it into a file for --vassals-include-before, or for --vassals-defaults"
_FOLDERS = ("dir://", "glob://")
_OFF = frozenset(("0", "false", "no", "off"))


@dataclass(frozen=True)
class Rule:
    """What the daemon is told. ``before``, ``after``: rows that every ini gets; ``logs``, ``pidfiles``: paths."""

    emperor: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    check: bool = False
    vassals_defaults: str = ""
    before: tuple[Row, ...] = ()
    after: tuple[Row, ...] = ()
    uid: str | None = None
    gid: str | None = None
    tyrant: bool = False
    allow_root: bool = False
    web_user: str | None = None
    web_group: str | None = None
    control_socket: str | None = None
    control_group: str | None = None
    control_public: str = ""
    http: str | None = None
    max_starting: int | None = None
    logto: str | None = None
    log_format: str = "text"
    pidfiles: tuple[str, ...] = ()


def line(argv: Sequence[str]) -> Line:
    """The daemon's command line. What is no option is a folder, a glob, or a configuration file."""
    return commandline.parse(argv, Vocabulary(_name, _letter, lambda word: ""))


def rule(rows: Sequence[Row]) -> tuple[Rule, tuple[Problem, ...]]:
    """What the rows say; ``problems`` are in their order."""
    problems: list[Problem] = []
    read = [(row, option, value) for row in map(_assigned, rows) for option, value in _values(row, problems)]
    last: dict[str, Any] = {option.name: value for _, option, value in read}
    logs = [value for _, option, value in read if option.name in ("logto", "daemonize")]
    plain = {name.replace("-", "_"): value for name, value in last.items() if name.replace("-", "_") in _PLAIN}
    return Rule(
        emperor=tuple(_folder(value) for _, option, value in read if option.name == "emperor"),
        config=tuple(value for _, option, value in read if option.name == "config"),
        before=tuple(_for_vassals(read, BEFORE)),
        after=tuple(_for_vassals(read, AFTER)),
        logto=logs[-1] if logs else None,
        pidfiles=tuple(dict.fromkeys(last[name] for name in ("pidfile", "emperor-pidfile") if name in last)),
        **plain,
    ), tuple(problems)


_PLAIN = frozenset(Rule.__dataclass_fields__) - {"emperor", "config", "before", "after", "logto", "pidfiles"}


def _for_vassals(read: Iterable[tuple[Row, Option, Any]], which: Sequence[tuple[str, str]]) -> list[Row]:
    found = list(read)
    return [replace(row, key=key) for name, key in which for row, option, _ in found if option.name == name]


def _folder(place: str) -> str:
    for scheme in _FOLDERS:
        place = place.removeprefix(scheme)
    return place


def _assigned(row: Row) -> Row:
    """``--set key=value`` is ``--key value``."""
    key, equals, value = (part.strip() for part in row.value.partition("="))
    return replace(row, key=key, value=value) if row.key == "set" and equals else row


def _values(row: Row, problems: list[Problem]) -> list[tuple[Option, Any]]:
    """Nothing, or the one value."""
    option = daemon_options.find(row.key)
    if option is None or option.standing != DONE:
        problems += _not_ours(row, option)
        return []
    try:
        if not row.value and not option.kind.bare and option.name != "control-public":
            raise ValueError("needs a value")
        value = option.kind.parse(row.value)
        if option.name == "emperor" and "://" in _folder(value):
            raise ValueError("names no folder: inis lie in folders here -- write DIR, or a quoted glob")
    except ValueError as why:
        # uWSGI's is a pattern for lines about requests, of which there are none.
        pattern = option.name == "log-format" and "%" in row.value
        problems.append(Problem(row.path, row.line, row.key, str(why), fatal=not pattern))
        return []
    if option.name == "vassal-set" and (letter := magic.first_letter(row.value)):
        # Nor does uWSGI: it is the text of files that it replaces.
        message = f"%{letter} is not replaced here -- {_INSTEAD_OF_SET}"
        problems.append(Problem(row.path, row.line, row.key, message, fatal=False))
    if option.name == "daemonize":
        message = "is --logto: it stays in the foreground -- a service manager puts it in the background"
        problems.append(Problem(row.path, row.line, row.key, message, fatal=False))
    return [(option, value)]


def _not_ours(row: Row, option: Option | None) -> list[Problem]:
    known = option or options.find(row.key)
    fatal, message = _verdict(row, known, option is not None) if known else (False, _unknown(row))
    return [Problem(row.path, row.line, row.key, message, fatal)] if message else []


def _verdict(row: Row, option: Option, own: bool) -> tuple[bool, str]:
    """Is it fatal, and what is to be said; "": nothing."""
    if option.standing == ALWAYS or option.name in LANGUAGE or row.referenced:
        return False, ""
    if option.standing == INSTEAD:
        off = option.kind.bare and row.value.lower() in _OFF
        return False, "" if off else f"has no effect here: {option.help}"
    if option.standing != DONE:
        return True, option.help
    if option.name in OF_ONE_APP and not own:
        return True, "is for one app -- write it into its ini, or serve the app by `emperor run`"
    return (
        False,
        "has no effect on the emperor -- write it into a vassal's ini; for all of them, --vassal-set KEY=VALUE",
    )


def _unknown(row: Row) -> str:
    if row.referenced:
        return ""
    foreign = commandline.unsupported(row.key)
    return foreign.problem if foreign else f"unknown option -- it has no effect{_suggestion(row.key)}"


def _suggestion(name: str) -> str:
    close = get_close_matches(name.lower().replace("_", "-"), daemon_options.names(), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else options.suggestion(name)


def _name(name: str) -> Spelling:
    option = daemon_options.find(name) or options.find(name)
    if option is not None:
        return commandline.of_option(option, name)
    return (
        commandline.unsupported(name)
        or commandline.of_others(name)
        or Spelling(name, problem=commandline.unknown(_suggestion(name)))
    )


def _letter(letter: str) -> Spelling:
    option = daemon_options.find_letter(letter) or options.find_letter(letter)
    if option is not None:
        return commandline.of_option(option)
    return commandline.unsupported_letter(letter) or Spelling(letter, problem="unknown option")
