"""An ini and what it draws in -> the rows that count, in the order in which uWSGI would apply them.

Lines pass one after another: blocks multiply or drop them (``logic``), ``include`` and ``ini`` put another file's lines
in their place, ``set`` makes a line of its value. Then the placeholders of all that is left are replaced
(``references``), and ``inherit`` puts another file's lines behind everything. Source: ``add_exported_option_do``
(core/config.c) and ``uwsgi_setup`` (core/uwsgi.c).

Bounds: files and their depth, rows in all. What another file holds is never repeated in a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from emperor.config.language import inifile, logic, magic
from emperor.config.language.effort import STEP, Exhausted
from emperor.config.language.inifile import LENGTH, OPTION_NAME, Row
from emperor.config.language.logic import Asked, Refused, World
from emperor.config.language.references import References
from emperor.model import Problem

FILES = 64
DEPTH = 16
ROWS = 2000
SIZE = 4 * inifile.LIMIT
"""Bounds on what one ini can make of itself: files and sections that it draws in, how deep, its rows, the characters of
their values."""

INCLUDES = frozenset(("ini", "include"))
INHERIT = "inherit"
NOWHERE = Row("", "", "", 0)
PLACEHOLDERS = frozenset(("set-placeholder", "set-ph"))


class Source(NamedTuple):
    """A file that has been read. ``given``: its path as it was written. ``admin``: see ``Row``."""

    path: str
    text: str
    section: str = ""
    given: str = ""
    inode: int | None = None
    admin: bool = False
    magic_path: str = ""
    """What its magic names; "": itself. Of defaults it is the vassal's own ini."""


class Unfolded(NamedTuple):
    """``files``: what was read beside the sources, in that order."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    files: tuple[str, ...]


def unfold(parts: Sequence[Row | Source], world: World, first: Source | None = None) -> Unfolded:
    """``parts``: rows and files in their order. ``first``: the file that upper-case magic is about; None: the first of
    the parts, or the first that is drawn in."""
    stream = _Stream(world, References(world))
    known = first or next((one for one in parts if isinstance(one, Source)), None)
    if known is not None:
        stream.name_first(known)
    try:
        for part in parts:
            if isinstance(part, Source):
                stream.feed_file(part, 0)
            else:
                stream.feed(part, 0)
        stream.settle()
    except _TooMuch as why:
        stream.problems.append(Problem(why.row.path, why.row.line, why.row.key, str(why)))
    except Exhausted as why:
        stream.problems.append(Problem(stream.at.path, stream.at.line, stream.at.key, str(why)))
    return Unfolded(tuple(stream.done), tuple(dict.fromkeys(stream.problems)), tuple(stream.files))


class _TooMuch(Exception):
    """The whole ini is over its bounds: nothing after this row is read."""

    def __init__(self, row: Row, message: str) -> None:
        super().__init__(message)
        self.row = row


class _Block(NamedTuple):
    row: Row
    turns: logic.Turns


@dataclass
class _Stream:
    """``pending``: rows as they are written. ``done``: rows whose placeholders are replaced."""

    world: World
    references: References
    pending: list[Row] = field(default_factory=list)
    done: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    block: _Block | None = None
    last: Source | None = None
    inside: bool = False
    """Are the lines those that a block's line has become? The block does not count for them again."""
    size: int = 0
    reads: int = 0
    at: Row = NOWHERE
    """The row that is being worked on, for whoever must stop."""
    _first: dict[str, str] = field(default_factory=dict)

    def name_first(self, source: Source) -> None:
        self._first = magic.of_first(self._letters(source))

    def feed_file(self, source: Source, depth: int) -> None:
        """The lines of one file, each with its magic replaced."""
        self.last = source
        if not self._first:
            self.name_first(source)
        letters = {**self.world.magic, **magic.CONSTANT, **self._letters(source), **self._first}
        self.references.effort.spend(8 * len(source.text))
        sections = (source.section,) if source.section else inifile.SECTIONS
        rows, problems = inifile.parse(source.text, source.path, sections, letters)
        self.problems += problems
        for row in rows:
            self.feed(replace(row, admin=source.admin), depth)

    def _letters(self, source: Source) -> dict[str, str]:
        path = source.magic_path or source.path
        return magic.of_path(path, source.given or path, source.section, source.inode)

    def feed(self, row: Row, depth: int) -> None:
        self.at = row
        if self.block is not None and self.block.row.admin is not row.admin:
            # Neither side decides which of the other's lines count.
            self._end_block()
        if self.inside:
            self._add(row, depth)
        elif row.key in logic.ENDS:
            self.block = None
        elif logic.is_else(row.key):
            self._wrong(row, "is not known to uWSGI 2.0, which goes on as if it were not there -- write if-not-…")
        elif self.block is None:
            self._add(row, depth)
        elif logic.is_block(row.key):
            self._wrong(row, f"stands within {self.block.row.key} (line {self.block.row.line}): blocks do not nest")
        else:
            self._multiply(row, self.block.turns, depth)

    def _multiply(self, row: Row, turns: logic.Turns, depth: int) -> None:
        self.inside = True
        for turn in turns:
            if turn is not None and row.value.count("%(_)") * len(turn) > LENGTH:
                raise _TooMuch(row, f"becomes longer than {LENGTH} characters")
            value = row.value if turn is None else row.value.replace("%(_)", turn)
            self._add(replace(row, value=value, pieced=True) if value != row.value else row, depth)
        self.inside = False

    def _add(self, row: Row, depth: int) -> None:
        self.size += len(row.value)
        self.references.effort.spend(STEP + len(row.value) // STEP)
        if len(self.pending) + len(self.done) >= ROWS or self.size > SIZE:
            raise _TooMuch(row, f"makes more of this ini than {ROWS} lines, or {SIZE // 1024} KiB")
        if logic.is_block(row.key):
            if self.inside:
                self._wrong(row, "stands within another block: blocks do not nest")
            else:
                self._open(row)
        elif row.key in INCLUDES:
            self._include(row, depth)
        elif row.key == "set":
            self._set(row, depth)
        else:
            self.references.define(_defined(row))
            self.pending.append(row)

    def _open(self, row: Row) -> None:
        turns: logic.Turns = ()
        try:
            asked = Asked(self.references.so_far(row), self.references.known_so_far, self.world.reach(row), self.world)
            turns = logic.turns(row.key, asked)
            if row.key in logic.OF_KEYS and row.admin and not self.world.own.trusted:
                # The value may be somebody else's: it is to be read with their rights, not with this line's.
                turns = [turn and f"%({asked.value.partition('=')[0]})" for turn in turns]
        except Refused as why:
            self._wrong(row, str(why))
        self.block = _Block(row, turns)

    def _set(self, row: Row, depth: int) -> None:
        """``set = key=value`` is ``key = value``; whatever is no assignment is left for the option's own parser."""
        while row.key == "set":
            self.references.effort.spend(STEP + len(row.value) // STEP)
            key, equals, value = (part.strip() for part in row.value.partition("="))
            if not equals or not OPTION_NAME.fullmatch(key):
                self.pending.append(row)
                return
            row = replace(row, key=key, value=value)
        self._add(row, depth)

    def _include(self, row: Row, depth: int) -> None:
        self.reads += 1
        if self.reads > FILES:
            raise _TooMuch(row, f"draws in more than {FILES} files")
        if depth >= DEPTH:
            self._wrong(row, f"files draw in each other more than {DEPTH} times over -- not read")
            return
        try:
            source = self._read(row, self.references.so_far(row))
        except Refused as why:
            self._wrong(row, str(why))
        else:
            self.feed_file(source, depth + 1)

    def _read(self, row: Row, given: str) -> Source:
        """The file that a row names: ``path`` or ``path:section``; ``:section`` is of the file that was read last."""
        written, section = _parted(given)
        if not written:
            if self.last is None or (self.last.admin and not row.admin):
                raise Refused("names a section, but no file was read before it")
            return self.last._replace(section=section)
        path = self.world.resolve(written)
        text = self.world.reach(row).files.read(path)
        self.files.append(path)
        return Source(path, text, section, written, admin=row.admin)

    def settle(self) -> None:
        """Replace what stands for something else, and put the inherited files behind."""
        while any(row.key == INHERIT for row in self.pending):
            inherits = [row for row in self.pending if row.key == INHERIT]
            self.pending = [row for row in self.pending if row.key != INHERIT]
            for row in inherits:
                self._include(row, 0)
            self.references.forget()
        self.size = 0
        for row in self.pending:
            self.done.append(self._resolved(row))
            self.size += len(self.done[-1].value)
            if self.size > SIZE:
                raise _TooMuch(row, f"makes more of this ini than {SIZE // 1024} KiB")
        self._end_block()
        self.done = [replace(row, referenced=row.key in self.references.used) for row in self.done]

    def _end_block(self) -> None:
        if self.block is not None:
            self._wrong(self.block.row, "has no end: everything below belongs to it", fatal=False)
        self.block = None

    def _resolved(self, row: Row) -> Row:
        self.at = row
        self.references.dangling = False
        try:
            value = self.references.resolve(row)
        except Refused as why:
            self._wrong(row, str(why))
            return row
        if self.references.dangling and not row.key.startswith("log"):
            # A log format's %(addr) is meant for the log; elsewhere it is a slip.
            self._wrong(row, "%(…) names nothing that this ini defines; it stays as it is written", fatal=False)
        return replace(row, value=value, pieced=row.pieced or value != row.value)

    def _wrong(self, row: Row, message: str, fatal: bool = True) -> None:
        self.problems.append(Problem(row.path, row.line, row.key, message, fatal))


def _defined(row: Row) -> Row:
    """What ``%(key)`` finds: of ``set-placeholder`` the key that it sets."""
    if row.key not in PLACEHOLDERS:
        return row
    key, _, value = (part.strip() for part in row.value.partition("="))
    return replace(row, key=key, value=value)


def _parted(given: str) -> tuple[str, str]:
    """At the last colon, as uWSGI does. A scheme is not followed."""
    if "://" in given:
        raise Refused("is an address, and only files are read")
    if not given:
        raise Refused("names no file")
    path, colon, section = given.rpartition(":")
    return (path, section) if colon else (given, "")
