"""A small machine for the tests of the configuration: its users and groups, and an emperor to judge inis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from emperor.config.expansion import expand, magic
from emperor.config.inifile import parse
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
    rows, problems = parse("\n".join(("[uwsgi]", *lines)), where.config)
    assert problems == ()
    expanded, problems = expand(rows, magic(where.config), {})
    assert problems == ()
    return build(expanded, where)


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
