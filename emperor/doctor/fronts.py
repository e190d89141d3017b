"""The web servers' part of an examination: which there are, as whom they connect, and what of theirs concerns whom.

It promises: root itself goes to no socket that a configuration names.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from emperor.doctor import errands, looks, webside
from emperor.doctor.facts import Place, Subject, files_of, place_of
from emperor.doctor.finding import Finding
from emperor.model import TCP, UNIX, Address, Identity
from emperor.system.accounts import SystemAccounts
from emperor.system.sockdiag import Listener, listeners
from emperor.webservers import found
from emperor.webservers.route import YES, Route, WebServer
from emperor.webservers.tree import tcp_address, unix_address

_ASTRAY, _UNPASSED = "web-astray", "web-unpassed"


class Ears(NamedTuple):
    """``addresses``: where somebody listens. ``inodes``: path → the kernel's number of the socket that does there."""

    addresses: frozenset[Address] = frozenset()
    inodes: Mapping[str, int] = MappingProxyType({})


def servers(confs: Mapping[str, str]) -> tuple[list[WebServer], list[str]]:
    """``confs``: kind → its main file, as the operator named it; none: all that run, or are installed. And what was not
    read."""
    try:
        return found.servers({kind: path for kind, path in confs.items() if path}), []
    except ImportError as error:
        return [], [f"web servers' configurations: {error} -- install mini-emperor with what it depends on"]


def user_of(servers_: Sequence[WebServer], named: str) -> Identity | None:
    """As whom requests come: as named, else as the first that runs, else as one that is installed says.

    One whose configuration is not known may be anybody's process: what it runs as makes nobody the web server's user.
    """
    accounts = SystemAccounts()
    if named:
        return accounts.web_identity(named, None)
    for one in sorted((one for one in servers_ if one.conf), key=lambda one: one.running != YES):
        identity = accounts.user(one.user) if one.user else None
        if identity is not None:
            return identity
    return accounts.web_identity(None, None)


def listening(servers_: Iterable[WebServer], web: Identity | None) -> Ears:
    """Who listens where these pass to. Root looks at files as ``web``; others as who they are."""
    passed = {route.address for server in servers_ for route in server.routes if route.address is not None}
    paths = sorted(one.path for one in passed if one.family == UNIX and one.path.startswith("/"))
    root = os.geteuid() == 0
    if root and web is None:
        paths = []
    there = listeners()
    seen = errands.told([partial(looks.place, path) for path in paths], web if root else None)
    files = files_of(there)
    places = {path: place_of(raw, files) for path, raw in zip(paths, seen, strict=True)}
    inodes = {path: place.listener for path, place in places.items() if place is not None and place.listener}
    return Ears(heard(passed, there, places), inodes)


def heard(
    passed: Collection[Address], there: Sequence[Listener], places: Mapping[str, Place | None]
) -> frozenset[Address]:
    """``there``: none where the kernel tells nobody; whose file is seen is doubted then, and nobody else.

    A listener's own name for itself is what it was bound to: its file may be another's by now, or have another name.
    """
    known = {_address(one) for one in there} if there else set(passed)
    for path, place in places.items():
        if place is not None and place.missing:
            known.discard(Address(UNIX, path))
        elif place is not None and place.listener:
            known.add(Address(UNIX, path))
    return frozenset(known)


def _address(one: Listener) -> Address:
    if one.family != socket.AF_UNIX:
        return Address(TCP, host=one.address, port=one.port)
    return unix_address(f"@{one.address[1:]}" if one.address.startswith("\0") else one.address)


def findings(
    servers_: Sequence[WebServer], subjects: Sequence[Subject], names: Sequence[str], ears: Ears
) -> list[Finding]:
    """``subjects``: all that there are; ``names``: who was asked for, none: everybody."""
    offers = [webside.offer(one.spec) for one in subjects if one.spec is not None]
    known = named_alike(servers_, subjects, ears.inodes)
    all_ = webside.findings(known, offers, {*ears.addresses, *_of_the_unknown(subjects)}, _web(subjects))
    if not names:
        return all_
    others = {one.name for one in subjects} - set(names)
    lost = any(one.kind == _UNPASSED and one.subject in names for one in all_)
    astray = [one for one in all_ if one.kind == _ASTRAY and one.subject not in names]
    return [one for one in all_ if one.subject not in others and (lost or one not in astray)]


def named_alike(
    servers_: Iterable[WebServer], subjects: Iterable[Subject], inodes: Mapping[str, int]
) -> list[WebServer]:
    """With the vassals' own names for their sockets: a path leads to one by links, and by other names, too."""
    rows = [row for one in subjects if one.spec is not None for row in one.snapshot.get("sockets") or ()]
    own = {row.get("inode"): str(row.get("address")) for row in rows if isinstance(row, Mapping) and row.get("inode")}

    def renamed(route: Route) -> Route:
        if route.address is None or route.address.family != UNIX:
            return route
        path = own.get(inodes.get(route.address.path), "")
        return route._replace(address=unix_address(path)) if path else route

    return [one._replace(routes=tuple(renamed(route) for route in one.routes)) for one in servers_]


def _of_the_unknown(subjects: Sequence[Subject]) -> set[Address]:
    """Sockets of those whose ini is not known: whoever passes there is not astray."""
    rows = (row for one in subjects if one.spec is None for row in one.snapshot.get("sockets") or ())
    texts = [str(row.get("address")) for row in rows if isinstance(row, Mapping)]
    named = (unix_address(text) if text.startswith(("/", "@")) else tcp_address(text) for text in texts)
    return {one for one in named if one is not None}


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
