"""From an ini on disk to a checked spec: who wrote it, what it says, what is wrong with it.

One way for everybody: the daemon, ``emperor run`` and ``emperorctl check``. It imports no app and opens only the ini.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from emperor.config import expansion, inifile, options, spec
from emperor.config.inifile import Row
from emperor.config.spec import Checked, Context
from emperor.errors import EmperorError
from emperor.model import ADMIN, NOBODY, Authority, Identity, Problem
from emperor.system import places, trust
from emperor.system.accounts import SystemAccounts


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
        try:
            opened = trust.read_ini(path, os.geteuid())
        except EmperorError as error:
            reason = str(error).removeprefix(f"{path}: ")
            return Reading(Checked(None, (Problem(path, 0, "", reason),)), None)
        if opened.authority.kind == NOBODY:
            # It was not read: what it says is nobody's word.
            reason = opened.authority.reason.removeprefix(f"{path}: ")
            return Reading(Checked(None, (Problem(path, 0, "", reason),)), opened.authority)
        rows, problems = self._rows(opened.text, path, opened.authority, more)
        if not rows and problems:
            return Reading(Checked(None, problems), opened.authority)
        return Reading(self.check(name, path, rows, problems, opened.authority), opened.authority)

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
        return Checked(replace(built.spec, authority=authority), tuple(problems))

    def expand(
        self, rows: Sequence[Row], path: str, authority: Authority
    ) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
        """Replace placeholders. Only an administrator's ini may see the emperor's environment."""
        magic = {
            **expansion.magic(os.path.abspath(path), path),
            "h": platform.node(),
        }
        return expansion.expand(rows, magic, os.environ if authority.kind == ADMIN else {})

    def _rows(
        self, data: bytes, path: str, authority: Authority, last: Sequence[Row]
    ) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
        text = inifile.decode(data, path)
        if isinstance(text, Problem):
            return (), (text,)
        own, problems = inifile.parse(text, path)
        inherited, more = self._defaults()
        if any(_names_a_socket(row) for row in own):
            # A list adds up, but who names an address of their own does not want the default's as well.
            inherited = tuple(row for row in inherited if not _names_a_socket(row))
        # Defaults come first: of two values the last one counts, and a placeholder's first one is the default's.
        rows, wrong = self.expand((*inherited, *own, *last), path, authority)
        return rows, (*more, *problems, *wrong)

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
    return option is not None and option.name in ("socket", "uwsgi-socket", "fastcgi-socket")


def check_file(path: str, settings: Settings) -> Checked:
    """What the emperor would make of this ini. An ini that one user wrote is judged as that user's."""
    name = os.path.basename(path).removesuffix(".ini")
    checked = Reader(settings).read(name, os.path.abspath(path)).checked
    return replace(checked, problems=tuple(_as_given(one, path) for one in checked.problems))


def _as_given(problem: Problem, path: str) -> Problem:
    """People find the file under the name that they typed."""
    return replace(problem, path=path) if problem.path == os.path.abspath(path) else problem
