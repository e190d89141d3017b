"""From an ini on disk to a checked spec: who wrote it, what it says, what is wrong with it.

One way for everybody: the daemon, ``emperor run`` and ``emperorctl check``. It imports no app and opens
only the ini and, for an administrator's, the files that it draws in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from emperor.config import options, sockets, spec
from emperor.config.language import inifile
from emperor.config.language.inifile import Row
from emperor.config.language.logic import Refused
from emperor.config.language.unfolding import Source, Unfolded, unfold
from emperor.config.ruling import Rule
from emperor.config.spec import Checked, Context
from emperor.errors import EmperorError
from emperor.intake.looking import AdministratorsFiles
from emperor.intake.marks import as_read
from emperor.intake.worlds import world_of
from emperor.model import ADMIN, NOBODY, Authority, Identity, Problem
from emperor.supervision.quiet import Signature
from emperor.system import accounts, places, trust
from emperor.system.accounts import SystemAccounts
from emperor.system.mounts import Elsewhere

DIRECTORY_SERVICE = -1
"""In place of a mount's number: users and groups are what must be waited for."""

SOCKETS = ("socket", *sockets.FIXED)
"""Options that name an address."""


@dataclass(frozen=True)
class Settings:
    """What the emperor's own options say about inis. ``runtime`` "": the default folder."""

    runtime: str = ""
    web_user: str | None = None
    web_group: str | None = None
    allow_root: bool = False
    tyrant: bool = False
    defaults: str = ""
    before: tuple[Row, ...] = ()
    after: tuple[Row, ...] = ()
    """Rows that every ini gets before its own lines, or after them: ``include``, ``inherit`` and ``set``."""

    @classmethod
    def under(cls, rule: Rule, runtime: str) -> Settings:
        """As the daemon's options say."""
        return cls(
            runtime=runtime,
            web_user=rule.web_user,
            web_group=rule.web_group,
            allow_root=rule.allow_root,
            tyrant=rule.tyrant,
            defaults=os.path.abspath(rule.vassals_defaults) if rule.vassals_defaults else "",
            before=rule.before,
            after=rule.after,
        )

    @property
    def runtime_folder(self) -> str:
        return self.runtime or places.runtime_folder(os.geteuid(), os.environ)


@dataclass(frozen=True)
class Reading:
    """One ini, read. ``authority`` is None if it could not even be opened.

    ``drawn``: the files that were read for it, with the signatures that they had then.
    """

    checked: Checked
    authority: Authority | None
    drawn: Mapping[str, Signature] = field(default_factory=dict, compare=False)


class Ini(NamedTuple):
    """An ini as it is written, and by whom."""

    source: Source
    authority: Authority


class Study(NamedTuple):
    """An ini with all that was on the way to what it comes to. ``ini`` None: it could not be read."""

    reading: Reading
    ini: Ini | None
    unfolded: Unfolded


NOTHING = Unfolded((), (), ())

OPAQUE = frozenset("$%(")
"""Magic puts a path into lines before their placeholders are replaced, an administrator's lines too: a folder of a
user's that is called ``$(X)`` or ``@(`` would be one."""


class Reader:
    """Reads inis under one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._accounts = SystemAccounts()

    @cached_property
    def own(self) -> Identity:
        """Who the emperor is."""
        uid = os.geteuid()
        known = self._accounts.of_uid(uid)
        nameless = Identity(uid, os.getegid(), tuple(os.getgroups()), str(uid), os.environ.get("HOME", "/"))
        return nameless if known is None else known

    @cached_property
    def web(self) -> Identity | None:
        return self._accounts.web_identity(self.settings.web_user, self.settings.web_group)

    @cached_property
    def web_gid(self) -> int | None:
        """The group that must be able to connect to sockets."""
        if self.settings.web_group is not None:
            return self._accounts.group(self.settings.web_group)
        return self.web.gid if self.web is not None else None

    def read(self, name: str, path: str, more: Sequence[Row] = (), before: Sequence[Row] = ()) -> Reading:
        """Whatever is wrong is in the result; nothing is raised.

        ``before``, ``more``: rows of an administrator's (a command line) before the file's own and after them.
        """
        return self.study(name, path, more, before).reading

    def study(
        self, name: str, path: str, more: Sequence[Row] = (), before: Sequence[Row] = (), near: bool = False
    ) -> Study:
        """The same, with what it was made of. ``near``: nobody must be waited for; Elsewhere, if that cannot be."""
        if near and not accounts.are_near():
            with contextlib.suppress(OSError):
                # Where it lies comes first: whoever answers for that mount keeps only what is there from being read.
                trust.end_of(path)
            raise Elsewhere(path, DIRECTORY_SERVICE)
        ini = ini_at(path, near)
        if isinstance(ini, Reading):
            return Study(ini, None, NOTHING)
        files = AdministratorsFiles(os.geteuid(), near)
        unfolded = self.unfold(name, ini, more, before, files)
        if not unfolded.rows and unfolded.problems:
            return Study(Reading(Checked(None, unfolded.problems), ini.authority, files.marks), ini, unfolded)
        checked = self.check(name, path, unfolded.rows, unfolded.problems, ini.authority)
        return Study(Reading(checked, ini.authority, files.marks), ini, unfolded)

    def unfold(
        self,
        name: str,
        ini: Ini,
        more: Sequence[Row] = (),
        before: Sequence[Row] = (),
        files: AdministratorsFiles | None = None,
    ) -> Unfolded:
        """An ini's rows with all that it inherits and draws in. Defaults come first: of two values the last counts."""
        source, files = ini.source, files or AdministratorsFiles(os.geteuid())
        if ini.authority.kind != ADMIN and not OPAQUE.isdisjoint(source.magic_path + source.path):
            return Unfolded((), (Problem(source.path, 0, "", "its path holds one of $ % ( -- rename it"),), ())
        inherited = self._defaults(source, files)
        if isinstance(inherited, Problem):
            return Unfolded((), (inherited,), ())
        parts: tuple[Row | Source, ...] = (*inherited, *_by_admin((*self.settings.before, *before)), source)
        world = world_of(name, os.path.dirname(source.path), ini.authority, files)
        unfolded = unfold((*parts, *_by_admin((*more, *self.settings.after))), world, source)
        rows = unfolded.rows
        defaults = self.settings.defaults
        if any(_names_a_socket(row) and row.path != defaults for row in rows):
            # A list adds up, but who names an address of their own does not want the default's as well.
            rows = tuple(row for row in rows if row.path != defaults or not _names_a_socket(row))
        return unfolded._replace(rows=rows)

    def most_workers(self, name: str, path: str, authority: Authority) -> int | None:
        """``processes`` of what every ini gets behind its own lines, which wins over them; None: it has none."""
        files = AdministratorsFiles(os.geteuid())
        rows = unfold(_by_admin(self.settings.after), world_of(name, os.path.dirname(path), authority, files)).rows
        found: int | None = None
        for row in rows:
            option = options.find(row.key)
            if option is not None and option.name == "processes":
                with contextlib.suppress(ValueError):
                    found = int(option.kind.parse(row.value))
        return found

    def lines(self, name: str, rows: Sequence[Row], folder: str) -> Unfolded:
        """A command line's rows, without a file or with those that they name (``ini``)."""
        authority, files = Authority(ADMIN), AdministratorsFiles(os.geteuid())
        return unfold(_by_admin(rows), world_of(name, folder, authority, files))

    def check(
        self,
        name: str,
        path: str,
        rows: Sequence[Row],
        problems: Sequence[Problem],
        authority: Authority,
        folder: str = "",
    ) -> Checked:
        """Rows to a spec; ``problems`` are those that the rows' own reading has found."""
        context = Context(
            name=name,
            config=path,
            folder=folder or os.path.dirname(os.path.abspath(path)),
            authority=authority,
            accounts=self._accounts,
            own=self.own,
            web=self.web,
            web_gid=self.web_gid,
            runtime=self.settings.runtime_folder,
            allow_root=self.settings.allow_root,
            tyrant=self.settings.tyrant,
        )
        built = spec.build(rows, context)
        cut = any(problem.fatal for problem in problems)
        # What is missing may stand in what could not be read.
        told = (one for one in built.problems if not (cut and one.line == 0 and not one.option))
        problems = sorted((*problems, *told), key=lambda one: (one.path, one.line))
        fatal = any(problem.fatal for problem in problems)
        if fatal or built.spec is None:
            return Checked(None, tuple(problems))
        return Checked(replace(built.spec, authority=authority), tuple(problems), built.rows)

    def _defaults(self, source: Source, files: AdministratorsFiles) -> tuple[Source, ...] | Problem:
        """Its placeholders name the vassal."""
        path = self.settings.defaults
        if not path:
            return ()
        try:
            text = files.read(path)
        except Refused as error:
            return Problem(path, 0, "vassals-defaults", str(error))
        return (Source(path, text, given=source.given, inode=source.inode, admin=True, magic_path=source.magic_path),)


def _by_admin(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(replace(row, admin=True) for row in rows)


def _names_a_socket(row: Row) -> bool:
    option = options.find(row.key)
    return option is not None and option.name in SOCKETS


def ini_at(path: str, near: bool = False) -> Ini | Reading:
    """What is written there, by whom; a reading without a spec where nothing of it counts.

    Raises nothing, but Elsewhere if nobody must be waited for (``near``).
    """
    try:
        opened = trust.read_ini(path, os.geteuid(), near)
    except EmperorError as error:
        return Reading(Checked(None, (Problem(path, 0, "", str(error).removeprefix(f"{path}: ")),)), None)
    authority = opened.authority
    if authority.kind == NOBODY:
        # It was not read: what it says is nobody's word.
        return Reading(Checked(None, (Problem(path, 0, "", authority.reason.removeprefix(f"{path}: ")),)), authority)
    text = inifile.decode(opened.text, path)
    if isinstance(text, Problem):
        return Reading(Checked(None, (text,)), authority)
    return Ini(_source(path, text, opened), authority)


def _source(path: str, text: str, opened: trust.Reading) -> Source:
    """uWSGI names a link by its own path, and a file by the one without links (core/uwsgi.c)."""
    named = os.path.abspath(path) if opened.linked else opened.real
    return Source(path, text, given=os.path.basename(path), inode=as_read(opened).link, magic_path=named)


def check_file(path: str, settings: Settings) -> Checked:
    """What the emperor would make of this ini. An ini that one user wrote is judged as that user's."""
    name = os.path.basename(path).removesuffix(".ini")
    checked = Reader(settings).read(name, os.path.abspath(path)).checked
    return replace(checked, problems=tuple(_as_given(one, path) for one in checked.problems))


def _as_given(problem: Problem, path: str) -> Problem:
    """People find the file under the name that they typed."""
    return replace(problem, path=path) if problem.path == os.path.abspath(path) else problem
