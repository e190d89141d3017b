"""Whose ini is it? Who can write an ini decides as whom its app may run.

==============  ===================================================================================
who writes it   the app runs as
==============  ===================================================================================
administrator   ``uid`` and ``gid``; none named: the web server's user; root only when it is allowed
one user        that user, whatever the ini says
several         nobody
==============  ===================================================================================

An emperor that is not root can become nobody else; under ``--tyrant`` every ini is its owner's.
"""

from __future__ import annotations

from emperor.config.context import Context
from emperor.config.settings import Findings, Setting, Settings
from emperor.model import ADMIN, NOBODY, OWNER, Identity

FIRST_USER = 1000
"""Debian Policy 9.2.2, login.defs UID_MIN: below are the system's own accounts."""


def decide(settings: Settings, context: Context, findings: Findings) -> Identity | None:
    """As whom the app runs; None when that is a problem, which ``findings`` then has."""
    if context.authority.kind == NOBODY:
        findings.wrong(None, context.authority.reason or "more than one user can write this file")
        return None
    if context.own.uid != 0:
        return _own(settings, context, findings)
    if context.tyrant:
        return _tyrant(settings, context, findings)
    if context.authority.kind == OWNER:
        return _owner(settings, context, findings)
    return _administrator(settings, context, findings)


def _own(settings: Settings, context: Context, findings: Findings) -> Identity | None:
    own = context.own
    if context.authority.kind != ADMIN and context.authority.uid != own.uid:
        message = f"another user can write this file, but the emperor serves only {own.user}'s"
        findings.wrong(None, f"{message} -- chown it to {own.user}")
        return None
    user, group = settings.last("uid"), settings.last("gid")
    cannot = f"the emperor runs as {own.user} and cannot become another"
    mend = "remove this line, or start the emperor as root"
    if user and (named := _user(user, context, findings)) and named.uid != own.uid:
        findings.wrong(user, f"{cannot} user -- {mend}")
    if group and (gid := _group(group, context, findings)) is not None and gid != own.gid:
        findings.wrong(group, f"{cannot} group -- {mend}")
    return own


def _tyrant(settings: Settings, context: Context, findings: Findings) -> Identity | None:
    for one in settings.all("uid", "gid"):
        findings.warn(one, "has no effect: --tyrant takes user and group from the ini's owner")
    uid = context.authority.uid or 0
    if context.authority.kind != OWNER or uid < FIRST_USER:
        whose = "a system user" if uid else "root"
        findings.wrong(None, f"belongs to {whose}, which --tyrant refuses -- chown it to the app's user")
        return None
    return _account(uid, context, findings)


def _owner(settings: Settings, context: Context, findings: Findings) -> Identity | None:
    uid = context.authority.uid
    if not uid:
        findings.wrong(None, "belongs to root, and yet not to root alone -- chown it to the app's user")
        return None
    account = _account(uid, context, findings)
    if account is None:
        return None
    for one in settings.all("allow-root"):
        findings.warn(one, "has no effect: only an ini that root alone can write may ask for root")
    user = settings.last("uid")
    if user and (named := _user(user, context, findings)) and named.uid != uid:
        findings.wrong(user, f"this file is {account.user}'s and runs as {account.user} -- remove this line")
    group = settings.last("gid")
    return _with_group(account, group, context, findings) if group else account


def _administrator(settings: Settings, context: Context, findings: Findings) -> Identity | None:
    user, group = settings.last("uid"), settings.last("gid")
    chosen = context.own if context.allow_root else context.web
    if "uid" in settings.named and not user:
        return None
    if not user and chosen is None:
        findings.wrong(None, "names no uid, and there is no web server's user -- write uid = USER")
        return None
    if user or group:
        name = user.value if user else chosen.user if chosen else ""
        chosen = _named(name, user or group, group, context, findings)
    allowed = settings.value("allow-root", False) or (context.allow_root and not user)
    if chosen and 0 in (chosen.uid, chosen.gid) and not allowed:
        at = group if chosen.uid and group else user
        findings.wrong(at, "running as root, or in root's group, needs allow-root = true in this file")
        return None
    return chosen


def _named(
    name: str, at: Setting | None, group: Setting | None, context: Context, findings: Findings
) -> Identity | None:
    """Both at once: a number that no account has is a user only together with a group."""
    if group and _group(group, context, findings) is None:
        if at is not group and context.accounts.user(name) is None:
            findings.wrong(at, "there is no such user")
        return None
    account = context.accounts.identity(name, group.value) if group else context.accounts.user(name)
    if account is None:
        hint = "; a number without an account needs gid as well" if name.isdigit() else ""
        findings.wrong(at, f"there is no such user{hint}")
    return account


def _account(uid: int, context: Context, findings: Findings) -> Identity | None:
    account = context.accounts.of_uid(uid)
    if account is None:
        findings.wrong(None, f"belongs to uid {uid}, who has no account -- chown it to the app's user")
        return None
    return account


def _with_group(account: Identity, setting: Setting, context: Context, findings: Findings) -> Identity | None:
    gid = _group(setting, context, findings)
    if gid is None or gid == account.gid:
        return account
    if gid not in account.groups:
        findings.wrong(setting, f"{account.user} is not in this group -- remove this line")
        return account
    changed = context.accounts.identity(account.user, setting.value)
    if changed is None:
        findings.wrong(setting, "this user and group cannot be looked up together -- try again")
    return changed


def _user(setting: Setting, context: Context, findings: Findings) -> Identity | None:
    found = context.accounts.user(setting.value)
    if found is None:
        findings.wrong(setting, "there is no such user")
    return found


def _group(setting: Setting, context: Context, findings: Findings) -> int | None:
    found = context.accounts.group(setting.value)
    if found is None:
        findings.wrong(setting, "there is no such group")
    return found
