"""Rows -> typed settings: each row is looked up in the table and read by its parser.

What is unknown, always so, done otherwise, or refused is said here; what a setting may ask for is not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from emperor.config import lenience
from emperor.config.commandline import PATH as COMMAND_LINE
from emperor.config.language.inifile import Row
from emperor.config.options import find, find_uwsgi, suggestion, unsupported
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.model import Problem

SUGGESTIONS = 20
"""Looking for what was meant is slow, and the emperor waits."""

QUOTED = 80
"""Characters of a refused value that are shown."""

PLACEHOLDERS = frozenset(("deb-confname", "deb-confnamespace"))
"""What Debian's start script sets for the inis of its layout to refer to."""

_COMMENT = re.compile(r"\s[;#]")
_NO = frozenset(("0", "false", "no", "off"))
_OFF = _NO | {""}
_PLUGIN_OPTIONS = frozenset(("plugin", "plugins", "need-plugin", "need-plugins"))
_PLUGINS = ("python", "http", "router_", "corerouter", "logfile", "rsyslog", "syslog")


@dataclass(frozen=True)
class Setting:
    """One row that could be read."""

    row: Row
    option: Option
    value: Any

    @property
    def where(self) -> str:
        """For a message that is shown at another row."""
        return f"line {self.row.line}" if self.row.line else self.row.path


@dataclass
class Findings:
    """Every problem of one ini, in the order in which they were found."""

    path: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, at: Setting | Row | None, message: str, fatal: bool = True) -> None:
        """``at`` None: the file as a whole."""
        row = at.row if isinstance(at, Setting) else at
        place = (row.path, row.line, row.key) if row else (self.path, 0, "")
        self.problems.append(Problem(*place, message, fatal))

    def warn(self, at: Setting | Row | None, message: str) -> None:
        self.wrong(at, message, fatal=False)


@dataclass(frozen=True)
class Settings:
    """What the rows say, in their order. ``named`` holds options whose value could not be read, too, but not those
    that count as if they were not written.
    """

    items: tuple[Setting, ...]
    named: frozenset[str]

    def all(self, *names: str) -> tuple[Setting, ...]:
        return tuple(one for one in self.items if one.option.name in names)

    def last(self, name: str) -> Setting | None:
        found = self.all(name)
        return found[-1] if found else None

    def value(self, name: str, default: Any = None) -> Any:
        last = self.last(name)
        return last.value if last else default


def read(rows: Sequence[Row], findings: Findings) -> Settings:
    """Every row that is an option of ours; the rest is a placeholder, or goes to ``findings``."""
    items: list[Setting] = []
    named: set[str] = set()
    for row in rows:
        option = find(row.key)
        if option is None:
            continue
        taken = lenience.take(option, row.value) if option.standing == DONE else lenience.Taken(row.value)
        if taken.value is None:
            findings.warn(row, taken.said)
            continue
        named.add(option.name)
        items.extend(_read_one(row, option, taken, findings))
    settings = Settings(tuple(items), frozenset(named))
    _strangers([row for row in rows if not find(row.key)], settings.value("strict", False), findings)
    return settings


def _read_one(row: Row, option: Option, taken: lenience.Taken, findings: Findings) -> Iterator[Setting]:
    if option.standing != DONE:
        _not_read(row, option, findings)
        return
    text = taken.value or ""
    try:
        if not text and not option.kind.bare:
            raise ValueError("needs a value")
        value = option.kind.parse(text)
    except ValueError as why:
        comment = " -- a comment needs a line of its own" if _COMMENT.search(row.value) else ""
        findings.wrong(row, f"{why}{_refused(row)}{comment}")
        return
    if taken.said:
        findings.warn(row, taken.said)
    if option.name == "set-placeholder" and find(value[0]):
        findings.wrong(row, "names an option -- write that option on a line of its own")
    yield Setting(row, option, value)


def _strangers(rows: Sequence[Row], strict: bool, findings: Findings) -> None:
    """What no option of ours is called: one of uWSGI's, a placeholder that somebody refers to, or a mistake."""
    unknown = []
    for row in rows:
        foreign = find_uwsgi(row.key)
        if foreign is None and not row.referenced and row.key not in PLACEHOLDERS:
            unknown.append(row)
        elif foreign and (foreign.takes_value or row.value.lower() not in _NO):
            findings.warn(row, unsupported(foreign))
    for number, row in enumerate(unknown):
        hint = suggestion(row.key) if number < SUGGESTIONS else ""
        effect = "refused, since strict is on" if strict else "it has no effect"
        findings.wrong(row, f"unknown option -- {effect}{hint}", fatal=strict)


def _refused(row: Row) -> str:
    """The value, for who has just typed it; what stands in a file is not everybody's to read who sees the message."""
    return f", not {row.value[:QUOTED]!r}" if row.path == COMMAND_LINE and row.value else ""


def _not_read(row: Row, option: Option, findings: Findings) -> None:
    off = row.value.lower() in _OFF
    if option.standing == REFUSED:
        findings.wrong(row, option.help)
    elif option.standing == INSTEAD and (not off or (not row.value and option.kind.bare)):
        findings.warn(row, f"has no effect here: {option.help}")
    elif option.standing == ALWAYS and option.kind.bare and off and row.value:
        findings.warn(row, f"cannot be turned off: {option.help}")
    elif option.name in _PLUGIN_OPTIONS and not _ours(row.value):
        findings.warn(row, "has no effect: only Python apps are served, and Python is built in")


def _ours(plugins: str) -> bool:
    return all(one.strip().startswith(_PLUGINS) for one in plugins.split(","))


def resolve(base: str, path: str) -> str:
    """``path`` below ``base`` unless absolute, without doubled slashes and ``.`` (``%d/x`` has two slashes).

    ``..`` stays: what it means depends on symbolic links.
    """
    whole = posixpath.join(base, path)
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))
