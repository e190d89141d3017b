"""What ``spec`` is told about the world, as values: who wrote the ini, who the emperor is, which accounts
there are."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Protocol

from emperor.config.language.inifile import Row
from emperor.model import ADMIN, Authority, Identity, Problem, VassalSpec


class Accounts(Protocol):
    """The machine's users and groups. A name or a number may be given; None is "there is none"."""

    def user(self, name_or_number: str) -> Identity | None:
        """The user with their primary group and all their supplementary groups."""

    def of_uid(self, uid: int) -> Identity | None:
        """The user with this number, never one whose name is that number."""

    def group(self, name_or_number: str) -> int | None: ...

    def identity(self, user: str, group: str) -> Identity | None:
        """The user with ``group`` in place of their primary group, and their supplementary groups."""


@dataclass(frozen=True)
class Context:
    """The premises under which one ini is judged."""

    name: str
    config: str
    """The ini's path, as messages show it."""
    folder: str
    """Absolute; where relative paths of the ini begin."""
    authority: Authority
    accounts: Accounts
    own: Identity
    """Who the emperor is."""
    web: Identity | None
    """The web server's user."""
    web_gid: int | None
    runtime: str
    """The folder of sockets whose ini names none."""
    allow_root: bool = False
    tyrant: bool = False

    @property
    def default_socket(self) -> str:
        return f"{self.runtime.rstrip('/')}/{self.name}.sock"

    def reserves(self, path: str) -> bool:
        """Does this path of a user's ini lie in the emperor's own folder, as far as its letters tell?"""
        own = posixpath.normpath(self.runtime)
        return self.authority.kind != ADMIN and f"{posixpath.normpath(path)}/".startswith(f"{own}/")


@dataclass(frozen=True)
class Checked:
    """``spec`` is None exactly when a problem is fatal; the others are warnings.

    ``rows``: who named each of the spec's sockets; None: the socket that an ini has which names none.
    """

    spec: VassalSpec | None
    problems: tuple[Problem, ...]
    rows: tuple[Row | None, ...] = ()
