"""Where an ini comes to something else here than under uWSGI, and where neither takes a line as it reads.

Each rule was measured with uWSGI 2.0.31. A note stands at the line that it is about; it repeats nothing of what is
written there but an option's name. Here are the rules about lines as they are written; ``departures`` has those about
what they come to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from emperor.config import departures
from emperor.config.language import inifile
from emperor.config.language.inifile import Row
from emperor.config.language.logic import ENDS
from emperor.config.options import find
from emperor.config.table.option import DONE, Option
from emperor.model import VassalSpec


class Note(NamedTuple):
    """``same``: uWSGI takes the line in this way too, and hardly anybody means it."""

    path: str
    line: int
    option: str
    message: str
    same: bool = False


@dataclass(frozen=True)
class Subject:
    """An ini: its own text, the rows that it comes to with all that it draws in, and its spec, if it has one.

    ``root``: would the emperor be root? ``users_log``: does the app's user open the file of ``logto``?
    """

    path: str
    text: str
    rows: Sequence[Row]
    spec: VassalSpec | None = None
    root: bool = False
    users_log: bool = False

    @cached_property
    def written(self) -> tuple[Row, ...]:
        """The rows of the ini itself, before any placeholder but ``%%`` is replaced."""
        return inifile.parse(self.text, self.path)[0]

    @cached_property
    def options(self) -> tuple[tuple[Row, Option], ...]:
        """The rows that do something here, each with its option."""
        return tuple(
            (row, option) for row in self.rows if (option := find(row.key)) is not None and option.standing == DONE
        )


def differences(subject: Subject) -> tuple[Note, ...]:
    """Every note on an ini, in the order of its lines; what is about the file as a whole comes first."""
    notes = [note for rule in _RULES for note in rule(subject)]
    notes += [
        Note(row.path if row else subject.path, row.line if row else 0, row.key if row else "", message)
        for rule in departures.RULES
        for row, message in rule(subject.options, subject)
    ]
    own = [one for one in dict.fromkeys(notes) if one.path == subject.path]
    others = [one for one in dict.fromkeys(notes) if one.path != subject.path]
    return (*sorted(own, key=lambda one: one.line), *others)


MAGIC = frozenset("opsnedcxijOPSNEDCXIJ0123456789vhtTVkuUgGb[%(")
"""What may follow a ``%`` in uWSGI."""

IMMEDIATE = frozenset(
    (
        *("include", "ini", "xml", "yaml", "yml", "json", "js", "config"),
        *("umask", "listen", "strict", "spooler-processes", "immediate-uid", "immediate-gid"),
    )
)
"""Options that uWSGI obeys while it still reads, before it replaces placeholders; with ``if-`` and ``for``."""

_AFTER_PERCENT = re.compile(r"%(.?)", re.DOTALL)
_COMMENT = re.compile(r"\s[;#]")
_LOGIC = re.compile(r"if-.+|for|for-.+")
_PLACEHOLDER = re.compile(r"[%$@]\(")

_JOINED = "uWSGI removes the % and the line's end, so that the next line is part of this one; here both stay"
_JOINED_COMMENT = "uWSGI removes the % at the line's end, and takes the next line into this comment; here it counts"
_EATEN = "uWSGI removes a % that begins no placeholder, and the character after it; here both stay -- write %%"
_REPLACED = "uWSGI replaces no %(…), $(…) or @(…) in this option and takes it as it is written; here they are replaced"
_INLINE = "what follows ; or # is part of the value, in uWSGI too -- a comment needs a line of its own"
_EMPEROR = "uWSGI skips the lines of [emperor]; here they count as those of [uwsgi]"


def _percents(subject: Subject) -> Iterator[Note]:
    lines = subject.text.split("\n")
    rows = {row.line: row for row in subject.written}
    for number, line in enumerate(lines, 1):
        after = [found[1] for found in _AFTER_PERCENT.finditer(line)]
        row = rows.get(number)
        if "" in after and row:
            yield Note(subject.path, number, row.key, f"{_JOINED} -- write %%")
        elif "" in after and line.lstrip().startswith((";", "#")) and number + 1 in rows:
            yield Note(subject.path, number, "", f"{_JOINED_COMMENT} -- write %% or another word")
        elif row and _heeded(row) and not MAGIC.issuperset(after):
            yield Note(subject.path, number, row.key, _EATEN)


def _heeded(row: Row) -> bool:
    option = find(row.key)
    return option is None or option.standing == DONE


def _comments(subject: Subject) -> Iterator[Note]:
    """Where the value cannot be read with the comment in it, its error says so."""
    for row in subject.written:
        if _COMMENT.search(row.value) and _heeded(row) and _readable(row, find(row.key)):
            yield Note(row.path, row.line, row.key, _INLINE, same=True)


def _readable(row: Row, option: Option | None) -> bool:
    if option is None:
        return True
    try:
        option.kind.parse(row.value)
    except ValueError:
        return False
    return True


def _immediate(subject: Subject) -> Iterator[Note]:
    for row in subject.written:
        if (row.key in IMMEDIATE or _LOGIC.fullmatch(row.key)) and _PLACEHOLDER.search(row.value):
            yield Note(row.path, row.line, row.key, _REPLACED)


def _sections(subject: Subject) -> Iterator[Note]:
    lines = [line.strip(" \t\r") for line in subject.text.split("\n")]
    if "[emperor]" in lines and subject.written:
        yield Note(subject.path, lines.index("[emperor]") + 1, "", _EMPEROR)


def _repeated(subject: Subject) -> Iterator[Note]:
    """Of a block's lines perhaps one alone counts."""
    last: dict[str, Row] = {}
    for row, option in _outside_blocks(subject.written):
        earlier = last.get(option.name)
        if earlier is not None and earlier.value != row.value:
            first = f"; %({earlier.key}) is this one" if f"%({earlier.key})" in subject.text else ""
            message = f"is written again in line {row.line}, and the last one counts, in uWSGI too{first}"
            yield Note(earlier.path, earlier.line, earlier.key, message, same=True)
        last[option.name] = row


def _outside_blocks(rows: Sequence[Row]) -> Iterator[tuple[Row, Option]]:
    inside = False
    for row in rows:
        if _LOGIC.fullmatch(row.key) or row.key in ENDS:
            inside = row.key not in ENDS
        option = find(row.key)
        if not inside and option is not None and option.standing == DONE and not option.many:
            yield row, option


_RULES = (_percents, _comments, _immediate, _sections, _repeated)
