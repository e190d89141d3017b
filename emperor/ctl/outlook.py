"""What an ini comes to when the emperor that would serve it is who runs this: apps, user, sockets, Python, log.

It looks at folders, never into a file, and makes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from emperor.config.placement import EMPEROR, VASSAL, binder, opener
from emperor.ctl.wording import endpoint, group_name, octal, plural, user_name
from emperor.holding.held import UMASK
from emperor.model import ADMIN, UNIX, SocketSpec, Target, VassalSpec
from emperor.system import trust
from emperor.system.access import access


def outlook(spec: VassalSpec, runtime: str) -> Iterator[tuple[str, str]]:
    """Label and text; of several with one label the later ones have none. ``runtime``: the emperor's folder."""
    for number, target in enumerate(spec.targets):
        yield ("" if number else "app"), _app(target)
    yield "user", f"{spec.identity.user}, group {group_name(spec.identity.gid)}"
    for number, socket in enumerate(spec.sockets):
        yield ("" if number else "socket"), _socket(socket, spec, runtime)
    yield "python", spec.python or "the emperor's own"
    yield "workers", _workers(spec)
    yield "log", _log(spec)


def users_log(spec: VassalSpec) -> bool:
    """Does the app's user open a log that uWSGI, started by root, has opened as root?"""
    root = os.geteuid() == 0 and spec.authority.kind == ADMIN
    return root and bool(spec.logto) and _log_opener(spec) == VASSAL


def _app(target: Target) -> str:
    name = f", {target.callable}" if target.callable else ""
    return f"{target.mount or '/'} is {target.kind} {target.where}{name}"


def _socket(socket: SocketSpec, spec: VassalSpec, runtime: str) -> str:
    words = [endpoint(socket.address), socket.protocol]
    if socket.address.family == UNIX:
        own = os.path.join(runtime, f"{spec.name}.sock")
        ours = trust.only_ours(os.path.dirname(socket.address.path), os.geteuid()).ours
        by_emperor = binder(socket.address, spec.authority, ours, own) == EMPEROR
        allowed = access(socket, spec.identity, spec.web_gid, UMASK, by_emperor and os.geteuid() == 0)
        uid = spec.identity.uid if allowed.uid is None else allowed.uid
        gid = spec.identity.gid if allowed.gid is None else allowed.gid
        words += [octal(allowed.mode), f"{user_name(uid)}:{group_name(gid)}"]
        if allowed.acl_gid is not None:
            words.append(f"and an ACL for group {group_name(allowed.acl_gid)}")
    return "  ".join(words)


def _workers(spec: VassalSpec) -> str:
    count = plural(spec.processes, "worker")
    if spec.cheaper:
        count = f"{spec.cheaper} to {count}"
    threads = f", {spec.threads} threads each" if spec.threads > 1 else ""
    return f"{count}{threads}{', started by the first connection' if spec.on_demand else ''}"


def _log_opener(spec: VassalSpec) -> str:
    ours = trust.only_ours(os.path.dirname(spec.logto), os.geteuid()).ours
    return opener(spec.authority, ours)


def _log(spec: VassalSpec) -> str:
    if not spec.logto:
        return f"kept by the emperor: emperorctl logs {spec.name}"
    who = "the emperor" if _log_opener(spec) == EMPEROR else spec.identity.user
    return f"{spec.logto}, opened by {who}"
