"""What an ini comes to, value by value, and where each was written. Pure.

Of an option that counts once only the last line is there. What a reader may not see (``Sight``) is masked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from emperor.config import sockets
from emperor.config.language.inifile import Row
from emperor.config.options import TABLE, find, find_uwsgi
from emperor.config.settings import Findings, Setting, read
from emperor.config.table.option import DONE

MASK = "***"
DEFAULT = "default"
OWNERS = "the ini's owner"

INI, DEFAULTS, EMPEROR, DRAWN = "ini", "vassals-defaults", "vassal-set", "include"
"""By which way a line came: written in the ini itself, in the emperor's defaults, in its own options, in a file that
one of them draws in."""

VALUE, PLACEHOLDER, IDLE = "value", "placeholder", "no effect"
"""What a line is: an option's value, a name that other lines refer to, or nothing that does anything here."""

_SECRET = "env"
_NAMES_ONE = "set-placeholder"


class Sight(NamedTuple):
    """``secrets``: of the app's environment; ``placeholders``: what lines refer to, which may be an administrator's,
    and whatever it has become part of.
    """

    secrets: bool = False
    placeholders: bool = False


class Sources(NamedTuple):
    """Where lines may come from. ``told``: path and line of the emperor's own options for vassals."""

    ini: str
    defaults: str = ""
    told: Collection[tuple[str, int]] = ()


class Value(NamedTuple):
    """``path`` "": nobody has written it. ``line`` 0: on a command line."""

    option: str
    value: str
    path: str
    line: int
    via: str
    kind: str = VALUE

    @property
    def origin(self) -> str:
        """``file:line``, or ``default``."""
        if not self.path:
            return DEFAULT
        return f"{self.path}:{self.line}" if self.line else self.path


def effective(rows: Sequence[Row], sources: Sources, sight: Sight, owned: bool = False) -> tuple[Value, ...]:
    """In the order of the lines; then what nobody has written, as the option table has it.

    ``owned``: the ini runs as its owner, whatever the table says.
    """
    findings = Findings(sources.ini)
    settings = read(rows, findings)
    counted = {id(one.row) for one in _counted(settings.items)}
    written = [
        _masked(one, row, sight) for row in rows if (one := _value(row, id(row) in counted, sources)) is not None
    ]
    named = {*settings.named, *(one.option for one in written)}
    if not named.isdisjoint(sockets.FIXED):
        named.add("socket")
    unwritten = [
        Value(option.name, OWNERS if owned and option.name == "uid" else option.default, "", 0, DEFAULT)
        for option in TABLE
        if option.standing == DONE and option.default and option.name not in named
    ]
    return (*written, *unwritten)


def _counted(items: Sequence[Setting]) -> Iterator[Setting]:
    last: dict[tuple[str, str], Setting] = {}
    for number, one in enumerate(items):
        key = one.row.value.partition("=")[0].strip() if one.option.name == _SECRET else ""
        distinct = str(number) if one.option.many and not key else key
        last[one.option.name, distinct] = one
    yield from last.values()


def _value(row: Row, counts: bool, sources: Sources) -> Value | None:
    option, via = find(row.key), _via(row, sources)
    text = row.value or ("true" if option is not None and option.kind.bare else "")
    if option is None:
        kind = IDLE if find_uwsgi(row.key) is not None or not row.referenced else PLACEHOLDER
        return Value(row.key, text, row.path, row.line, via, kind)
    if option.standing != DONE:
        return Value(option.name, text, row.path, row.line, via, IDLE)
    return Value(option.name, text, row.path, row.line, via) if counts else None


def _via(row: Row, sources: Sources) -> str:
    if (row.path, row.line) in sources.told:
        return EMPEROR
    return {sources.ini: INI, sources.defaults: DEFAULTS}.get(row.path, DRAWN)


def _masked(one: Value, row: Row, sight: Sight) -> Value:
    """What a placeholder stands for is also in each value that names it; and what is no option may be a placeholder's
    name with a slip in it.
    """
    if one.option == _SECRET:
        shown = one.value if sight.secrets else f"{one.value.partition('=')[0].strip()}={MASK}"
        return one._replace(value=shown)
    hidden = one.kind != VALUE or one.option == _NAMES_ONE or row.pieced
    return one._replace(value=MASK) if hidden and not sight.placeholders else one
