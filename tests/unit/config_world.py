"""A small machine for the tests of the configuration: its users and groups, and an emperor to judge inis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from emperor.config.language.logic import Reach, Refused, World
from emperor.config.language.unfolding import Source, unfold
from emperor.config.spec import Checked, Context, build
from emperor.model import ADMIN, NOBODY, OWNER, Authority, Identity, VassalSpec

ROOT = Identity(0, 0, (0,), "root", "/root")
WEB = Identity(33, 33, (33,), "www-data", "/var/www")
ALICE = Identity(1001, 1001, (27, 1001), "alice", "/home/alice")
BOB = Identity(1002, 1002, (1002,), "bob", "/home/bob")
USERS = {one.user: one for one in (ROOT, WEB, ALICE, BOB)}
GROUPS = {"root": 0, "www-data": 33, "sudo": 27, "alice": 1001, "bob": 1002, "shadow": 42}

BY_ADMIN = Authority(ADMIN)
BY_ALICE = Authority(OWNER, 1001)
BY_MANY = Authority(NOBODY, reason="/srv/x can be written by group 42 -- chmod g-w /srv/x")


class Accounts:
    """Names win over numbers; a number without an account is a user only with a group named."""

    def user(self, name_or_number: str) -> Identity | None:
        if name_or_number in USERS:
            return USERS[name_or_number]
        return self.of_uid(int(name_or_number)) if name_or_number.isdigit() else None

    def of_uid(self, uid: int) -> Identity | None:
        return next((one for one in USERS.values() if one.uid == uid), None)

    def group(self, name_or_number: str) -> int | None:
        if name_or_number in GROUPS:
            return GROUPS[name_or_number]
        return int(name_or_number) if name_or_number.isdigit() else None

    def identity(self, user: str, group: str) -> Identity | None:
        gid, account = self.group(group), self.user(user)
        if gid is None:
            return None
        if account is None:
            return Identity(int(user), gid, (gid,), user, "/") if user.isdigit() else None
        return replace(account, gid=gid, groups=tuple(sorted({gid, *account.groups})))


@dataclass(frozen=True)
class Disk:
    """Files by their paths; ``closed``: what an ini may not look at. A folder is what has something in it."""

    texts: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    def read(self, path: str) -> str:
        self._may(path)
        if path not in self.texts:
            raise Refused(f"{path}: cannot be read: No such file or directory")
        return self.texts[path]

    def exists(self, path: str) -> bool:
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: str) -> bool:
        self._may(path)
        return path in self.texts

    def is_dir(self, path: str) -> bool:
        self._may(path)
        return any(one.startswith(path.rstrip("/") + "/") for one in self.texts)

    def glob(self, pattern: str) -> Sequence[str]:
        self._may(pattern)
        return sorted(path for path in self.texts if fnmatchcase(path, pattern))

    def _may(self, path: str) -> None:
        if path in self.closed:
            raise Refused("is not for you")


def world(disk: Disk | None = None, environ: Mapping[str, str] | None = None, **more: Any) -> World:
    """Where a trusted ini of /etc/emperor/vassals.d is read."""
    reach = Reach(environ or {}, disk or Disk(), trusted=True)
    magic = {"h": "box.example", "v": "/etc/emperor/vassals.d", "k": "4"}
    return World("/etc/emperor/vassals.d", magic, reach, reach)._replace(**more)


CONTEXT = Context(
    name="blog",
    config="/etc/emperor/vassals.d/blog.ini",
    folder="/etc/emperor/vassals.d",
    authority=BY_ADMIN,
    accounts=Accounts(),
    own=ROOT,
    web=WEB,
    web_gid=33,
    runtime="/run/emperor",
)
APP = "module = blog"


def check(*lines: str, **context: Any) -> Checked:
    """Judge an ini of these lines. The first one is line 2 of the file, below ``[uwsgi]``."""
    where = replace(CONTEXT, **context)
    unfolded = unfold([Source(where.config, "\n".join(("[uwsgi]", *lines)))], world())
    assert unfolded.problems == ()
    return build(unfolded.rows, where)


def spec(*lines: str, **context: Any) -> VassalSpec:
    """The spec of a good ini."""
    checked = check(*lines, **context)
    assert checked.spec is not None, [str(one) for one in checked.problems]
    return checked.spec


def faults(*lines: str, **context: Any) -> list[tuple[int, str, str]]:
    """Line, option and message of what is fatal."""
    checked = check(*lines, **context)
    found = [(one.line, one.option, one.message) for one in checked.problems if one.fatal]
    assert (checked.spec is None) == bool(found)
    return found


def warnings(*lines: str, **context: Any) -> list[tuple[int, str, str]]:
    """Line, option and message of what is not fatal, in an ini that is good."""
    checked = check(*lines, **context)
    assert checked.spec is not None, [str(one) for one in checked.problems]
    return [(one.line, one.option, one.message) for one in checked.problems]
