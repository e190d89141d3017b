"""What an ini's lines come to here, and to something else under uWSGI: one rule each.

A rule is given the rows that do something here, each with its option, and what is known of the whole; it yields the
row that a note is about (None: the file as a whole) and what there is to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from emperor.config import values as v
from emperor.config.language.inifile import Row
from emperor.config.lenience import NUMBERS, take
from emperor.config.table.option import Option
from emperor.model import UNIX, VassalSpec

Rows = Sequence[tuple[Row, Option]]
Found = Iterator[tuple[Row | None, str]]


class Whole(Protocol):
    """What a rule may ask for beside the rows (``differences.Subject``)."""

    @property
    def spec(self) -> VassalSpec | None: ...
    @property
    def root(self) -> bool: ...
    @property
    def users_log(self) -> bool: ...


OURS = frozenset(("start-timeout", "max-restarts", "header-timeout", "max-connections", "proxy-fix"))
"""Numbers that uWSGI has no option for."""


def _numbers(rows: Rows, whole: Whole) -> Found:
    for row, option in rows:
        value = take(option, row.value).value
        if option.kind.text not in NUMBERS or option.name in OURS or value is None:
            continue
        if _fits(option, value):
            if re.search(r"\.0*[1-9]", value):
                yield row, "uWSGI reads a whole number and leaves out what follows the dot; here it counts"
        elif re.match(r"[0-9]+[^0-9]", value):
            yield row, "uWSGI reads the digits that it begins with, and no unit; here it is an error"
        elif re.match(r"[^0-9-]", value):
            yield row, "uWSGI reads this as 0; here it is an error"


def _flags(rows: Rows, whole: Whole) -> Found:
    for row, option in rows:
        if option.kind is not v.FLAG:
            continue
        value = take(option, row.value).value or ""
        if not _fits(option, value):
            yield row, "uWSGI takes every word but false, off, no and 0 for yes; here it is an error"
        elif value != row.value and not v.parse_flag(value):
            yield row, "uWSGI takes this for yes, because of what follows the word; here it is no"


def _modes(rows: Rows, whole: Whole) -> Found:
    for row, option in rows:
        value = take(option, row.value).value or ""
        if option.kind is v.MODE and _fits(option, value) and not re.fullmatch(r"1|[0-7]{3}", row.value):
            here = "it means 666" if not value or value == "1" else "it means the last three digits"
            yield row, f"uWSGI wants three octal digits and does not start; here {here}"


def _fits(option: Option, value: str) -> bool:
    try:
        option.kind.parse(value)
    except ValueError:
        return False
    return bool(value) or option.kind.bare


def _mounts(rows: Rows, whole: Whole) -> Found:
    mounts = [(row, *_split(row.value)) for row, option in rows if option.name == "mount"]
    for row, prefix, what in mounts:
        if prefix.endswith("/") and prefix != "/":
            yield row, "uWSGI keeps the slash in SCRIPT_NAME and takes it from PATH_INFO; here it means nothing"
        if what and ":" not in what and not what.endswith((".py", ".wsgi")):
            yield row, "uWSGI mounts only what has a colon or ends with .py or .wsgi; here it is a module"
    yield from _outside([(row, prefix) for row, prefix, _ in mounts], _on(rows, "manage-script-name"), whole.spec)


def _outside(mounts: list[tuple[Row, str]], managed: bool, spec: VassalSpec | None) -> Found:
    """Who answers what no mount is for?"""
    if not mounts or any(prefix.rstrip("/") == "" for _, prefix in mounts):
        return
    if spec is not None and any(target.mount == "" for target in spec.targets):
        return
    first = mounts[0][0]
    if managed:
        yield first, "uWSGI has the first mounted app answer what lies outside of every mount; here that is a 404"
    elif len(mounts) > 1:
        yield (
            first,
            "without manage-script-name uWSGI mounts by the web server's SCRIPT_NAME alone, and else the first app "
            "answers; here the path decides, too",
        )


def _split(value: str) -> tuple[str, str]:
    prefix, _, what = value.partition("=")
    return prefix.strip(), what.strip()


def _on(rows: Rows, name: str) -> bool:
    values = [take(option, row.value).value or "" for row, option in rows if option.name == name]
    return bool(values) and values[-1].lower() not in ("false", "off", "no", "0")


def _apps(rows: Rows, whole: Whole) -> Found:
    module, file = _last(rows, "module"), _last(rows, "wsgi-file")
    if module is not None and file is not None:
        yield file, "uWSGI serves module and passes over this one; here an ini has one app at the root"


def _identity(rows: Rows, whole: Whole) -> Found:
    """An emperor that is not root can make nobody of anybody, and neither can uWSGI."""
    if not whole.root or whole.spec is None:
        return
    uid, who = _last(rows, "uid"), whole.spec.identity
    if uid is None:
        yield (
            None,
            f"names no uid: uWSGI runs it as whoever started uWSGI, root perhaps; here it runs as {who.user}",
        )
    elif _last(rows, "gid") is None and who.uid:
        yield uid, "without gid uWSGI leaves the app root's groups; here it has this user's own"


def _sockets(rows: Rows, whole: Whole) -> Found:
    if whole.spec is None or not any(one.silent and one.address.family == UNIX for one in whole.spec.sockets):
        return
    row = next((row for row, option in rows if option.kind is v.ADDRESS and row.value), None)
    if row is not None:
        who = (
            "the web server's group may connect" if whole.spec.web_gid is not None else "no web server's group is known"
        )
        yield row, f"without chmod-socket uWSGI makes it 0755, for its own user alone; here it is 0660, and {who}"


def _log(rows: Rows, whole: Whole) -> Found:
    row = _last(rows, "logto")
    if row is not None and whole.users_log and whole.spec is not None and whole.spec.identity.uid:
        who = whole.spec.identity.user
        yield row, f"uWSGI opens it as root; here {who} does, since not root alone can write there -- chown an old log"


def _last(rows: Rows, name: str) -> Row | None:
    found = [row for row, option in rows if option.name == name and take(option, row.value).value is not None]
    return found[-1] if found else None


RULES: tuple[Callable[[Rows, Whole], Found], ...] = (
    _identity,
    _sockets,
    _modes,
    _numbers,
    _flags,
    _apps,
    _mounts,
    _log,
)
