"""The web servers' part of an examination: which there are, as whom they connect, and what of theirs concerns whom."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping, Sequence

from emperor.doctor import webside
from emperor.doctor.facts import Subject
from emperor.doctor.finding import Finding
from emperor.model import Identity
from emperor.system.accounts import SystemAccounts
from emperor.webservers import found
from emperor.webservers.route import YES, WebServer

_ASTRAY, _UNPASSED = "web-astray", "web-unpassed"


def servers(confs: Mapping[str, str]) -> tuple[list[WebServer], list[str]]:
    """``confs``: kind → its main file, as the operator named it; none: all that run, or are installed. And what was not
    read."""
    try:
        return found.servers({kind: path for kind, path in confs.items() if path}), []
    except ImportError as error:
        return [], [f"web servers' configurations: {error} -- install mini-emperor with what it depends on"]


def user_of(servers_: Sequence[WebServer], named: str) -> Identity | None:
    """As whom requests come: as named, else as the first that runs, else as one that is installed says."""
    accounts = SystemAccounts()
    if named:
        return accounts.web_identity(named, None)
    for one in sorted(servers_, key=lambda one: one.running != YES):
        identity = accounts.user(one.user) if one.user else None
        if identity is not None:
            return identity
    return accounts.web_identity(None, None)


def findings(servers_: Sequence[WebServer], subjects: Sequence[Subject], names: Sequence[str]) -> list[Finding]:
    """``subjects``: all that there are; ``names``: who was asked for, none: everybody."""
    offers = [webside.offer(one.spec) for one in subjects if one.spec is not None]
    all_ = webside.findings(servers_, offers, found.listening(), _web(subjects))
    if not names:
        return all_
    others = {one.name for one in subjects} - set(names)
    lost = any(one.kind == _UNPASSED and one.subject in names for one in all_)
    astray = [one for one in all_ if one.kind == _ASTRAY and one.subject not in names]
    return [one for one in all_ if one.subject not in others and (lost or one not in astray)]


def _web(subjects: Sequence[Subject]) -> webside.Web:
    """Whom the emperor gives sockets to, as far as specs tell."""
    gid = next((one.spec.web_gid for one in subjects if one.spec is not None and one.spec.web_gid is not None), None)
    if gid is None:
        return webside.Web()
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return webside.Web()
    primary = {one.pw_name for one in pwd.getpwall() if one.pw_gid == gid}
    return webside.Web("", group.gr_name, frozenset({*group.gr_mem, *primary}))
