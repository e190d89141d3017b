"""From an ini on disk to a checked spec: who wrote it, what it says, what is wrong with it.

One way for everybody: the daemon, ``emperor run`` and ``emperorctl check``. It imports no app and opens only the ini.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from emperor.config import expansion, inifile, options, sockets, spec
from emperor.config.inifile import Row
from emperor.config.spec import Checked, Context
from emperor.errors import EmperorError
from emperor.model import ADMIN, NOBODY, Authority, Identity, Problem
from emperor.system import places, trust
from emperor.system.accounts import SystemAccounts

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

    @property
    def runtime_folder(self) -> str:
        return self.runtime or places.runtime_folder(os.geteuid(), os.environ)


@dataclass(frozen=True)
class Reading:
    """One ini, read. ``authority`` is None if it could not even be opened."""

    checked: Checked
    authority: Authority | None


class Ini(NamedTuple):
    """An ini's own rows as they are written, and what is wrong with its lines."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    authority: Authority


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

    def read(self, name: str, path: str, more: Sequence[Row] = ()) -> Reading:
        """Whatever is wrong is in the result; nothing is raised. ``more``: rows that win over the file's."""
        ini = ini_at(path)
        if isinstance(ini, Reading):
            return ini
        rows, problems = self._whole(ini, path, more)
        if not rows and problems:
            return Reading(Checked(None, problems), ini.authority)
        return Reading(self.check(name, path, rows, problems, ini.authority), ini.authority)

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
        problems = sorted((*problems, *built.problems), key=lambda one: (one.path, one.line))
        fatal = any(problem.fatal for problem in problems)
        if fatal or built.spec is None:
            return Checked(None, tuple(problems))
        return Checked(replace(built.spec, authority=authority), tuple(problems), built.rows)

    def expand(
        self, rows: Sequence[Row], path: str, authority: Authority
    ) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
        """Replace placeholders. Only an administrator's ini may see the emperor's environment."""
        magic = {
            **expansion.magic(os.path.abspath(path), path),
            "h": platform.node(),
        }
        return expansion.expand(rows, magic, os.environ if authority.kind == ADMIN else {})

    def _whole(self, ini: Ini, path: str, last: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
        inherited, more = self._defaults()
        if any(_names_a_socket(row) for row in ini.rows):
            # A list adds up, but who names an address of their own does not want the default's as well.
            inherited = tuple(row for row in inherited if not _names_a_socket(row))
        # Defaults come first: of two values the last one counts, and a placeholder's first one is the default's.
        rows, wrong = self.expand((*inherited, *ini.rows, *last), path, ini.authority)
        return rows, (*more, *ini.problems, *wrong)

    def _defaults(self) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
        path = self.settings.defaults
        if not path:
            return (), ()
        try:
            opened = trust.read_ini(path, os.geteuid())
        except EmperorError as error:
            return (), (Problem(path, 0, "vassals-defaults", str(error)),)
        if opened.authority.kind != ADMIN:
            return (), (Problem(path, 0, "vassals-defaults", "somebody else can write it -- not read"),)
        text = inifile.decode(opened.text, path)
        return ((), (text,)) if isinstance(text, Problem) else inifile.parse(text, path)


def _names_a_socket(row: Row) -> bool:
    option = options.find(row.key)
    return option is not None and option.name in SOCKETS


def ini_at(path: str) -> Ini | Reading:
    """What is written there; a reading without a spec where nothing of it counts. Raises nothing."""
    try:
        opened = trust.read_ini(path, os.geteuid())
    except EmperorError as error:
        return Reading(Checked(None, (Problem(path, 0, "", str(error).removeprefix(f"{path}: ")),)), None)
    authority = opened.authority
    if authority.kind == NOBODY:
        # It was not read: what it says is nobody's word.
        return Reading(Checked(None, (Problem(path, 0, "", authority.reason.removeprefix(f"{path}: ")),)), authority)
    text = inifile.decode(opened.text, path)
    if isinstance(text, Problem):
        return Reading(Checked(None, (text,)), authority)
    return Ini(*inifile.parse(text, path), authority)


def check_file(path: str, settings: Settings) -> Checked:
    """What the emperor would make of this ini. An ini that one user wrote is judged as that user's."""
    name = os.path.basename(path).removesuffix(".ini")
    checked = Reader(settings).read(name, os.path.abspath(path)).checked
    return replace(checked, problems=tuple(_as_given(one, path) for one in checked.problems))


def _as_given(problem: Problem, path: str) -> Problem:
    """People find the file under the name that they typed."""
    return replace(problem, path=path) if problem.path == os.path.abspath(path) else problem
