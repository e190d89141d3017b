"""Users and groups of this machine, by name or by number.

It promises: an Identity that it returns can be become: no id is -1 (which set*id(2) read as "leave it"),
groups are those of the group database and never empty. A name wins over a number (POSIX chown). It decides
nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable
from typing import NamedTuple

from emperor.model import Identity

WEB_USERS = ("www-data", "nginx")
"""Debian's name, and that of the others."""

_DATABASES = ("passwd", "group", "initgroups")
_NEAR = frozenset(("files", "altfiles", "extrausers", "compat", "db", "systemd", "mymachines", "cache"))
"""systemd answers from its own tables on this machine."""

_NUMBER = re.compile(r"[0-9]{1,10}")
_UNCHANGED = 0xFFFFFFFF


class SystemAccounts:
    """The machine's own databases, asked each time: an account made a moment ago counts."""

    def identity(self, user: str, group: str | None = None) -> Identity | None:
        """Who ``user`` is, with ``group`` in place of the primary one; None if either is unknown.

        A number that no account has is an identity without rights: only the group named, home "/". If none is
        named its gid is the same number, but only where no group has it: gid 27 may be sudo's.
        """
        gid = None if group is None else self.group(group)
        if group is not None and gid is None:
            return None
        entry = _passwd(user)
        if entry is not None:
            return _identity(entry, gid)
        uid = _number(user)
        if uid is None or (gid is None and _group(user) is not None):
            return None
        gid = uid if gid is None else gid
        return Identity(uid, gid, (gid,), str(uid), "/")

    def user(self, name_or_number: str) -> Identity | None:
        """``identity`` with the primary group."""
        return self.identity(name_or_number)

    def group(self, name_or_number: str) -> int | None:
        """A gid; a number need not be in the database."""
        entry = _group(name_or_number)
        return entry.gr_gid if entry is not None else _number(name_or_number)

    def of_uid(self, uid: int) -> Identity | None:
        """``identity`` of a number, never of a user whose name is that number."""
        try:
            return _identity(pwd.getpwuid(uid), None)
        except (KeyError, OverflowError):
            return None

    def web_identity(self, user: str | None, group: str | None) -> Identity | None:
        """The web server's: as named, else www-data's, else nginx's, else None."""
        candidates = WEB_USERS if user is None else (user,)
        found = (self.identity(name, group) for name in candidates)
        return next((identity for identity in found if identity is not None), None)


def private_member(gid: int) -> int | None:
    """The one user that a group consists of; None if they are several, or none, or cannot all be known.

    Both ways into a group count: as the primary group of an account, and as a member by name. A group of
    nobody is not private: who will be put into it is not known. Several names of one uid are one user.
    """
    groups = [entry for entry in grp.getgrall() if entry.gr_gid == gid]
    try:
        groups.append(grp.getgrgid(gid))  # a directory service need not enumerate what it knows
        uids = {pwd.getpwnam(name).pw_uid for entry in groups for name in entry.gr_mem}
    except (KeyError, OverflowError):
        return None
    uids |= {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    return uids.pop() if len(uids) == 1 else None


def name_of(uid: int) -> str:
    """A user's name for a message."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


class Known(NamedTuple):
    """What the judge of a path asks of accounts."""

    private_member: Callable[[int], int | None]
    name_of: Callable[[int], str]


EVERYBODY = Known(private_member, name_of)
UNASKED = Known(lambda gid: 0 if gid == 0 else None, lambda uid: f"uid {uid}")
"""Without a look: root's group is root's, of any other nobody knows whom it consists of."""


def near() -> Known:
    """Accounts, as far as no directory service has to be waited for."""
    return EVERYBODY if are_near() else UNASKED


def are_near(path: str = "/etc/nsswitch.conf") -> bool:
    """Do users and groups stand in files of this machine alone? Source: nsswitch.conf(5)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].partition(":") for line in file]
    except OSError:
        return True
    named = [re.sub(r"\[[^]]*\]", " ", services) for name, _, services in lines if name.strip() in _DATABASES]
    return _NEAR.issuperset(" ".join(named).split())


def _identity(entry: pwd.struct_passwd, gid: int | None) -> Identity:
    gid = entry.pw_gid if gid is None else gid
    groups = tuple(sorted({gid, *os.getgrouplist(entry.pw_name, gid)}))
    home, shell = entry.pw_dir or "/", entry.pw_shell or "/bin/sh"
    return Identity(entry.pw_uid, gid, groups, entry.pw_name, home, shell)


def _passwd(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except (KeyError, ValueError):  # ValueError: a NUL in it
        pass
    number = _number(user)
    try:
        return None if number is None else pwd.getpwuid(number)
    except KeyError:
        return None


def _group(group: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(group)
    except (KeyError, ValueError):
        pass
    number = _number(group)
    try:
        return None if number is None else grp.getgrgid(number)
    except KeyError:
        return None


def _number(text: str) -> int | None:
    """ASCII digits that are an id: int() would take "+0", "0_0" and other scripts' zeros for root."""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number < _UNCHANGED else None
