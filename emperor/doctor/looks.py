"""The looks that a deputy takes: at the way to a socket, at the room on a disk; and the request that it makes.

It promises: it opens no file; what it tells is JSON's, and bounded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Any

from emperor.doctor.allowed import allows
from emperor.doctor.facts import DIRECTORY, ELSE, LINK, REGULAR, SOCKET
from emperor.model import Identity
from emperor.probe.exchange import ask
from emperor.probe.question import Failure, Question
from emperor.supervision.interpreter import FOLDER
from emperor.system import acl
from emperor.system.walk import Judge, walk

MOST_ENTRIES = 64
"""Of an ACL that are told."""

MOST_LINKS = 40

LITTLE = 256 * 1024
"""Bytes: with less than that, a log is about to lose lines."""

_KINDS = ((stat.S_ISSOCK, SOCKET), (stat.S_ISREG, REGULAR), (stat.S_ISDIR, DIRECTORY), (stat.S_ISLNK, LINK))


def place(path: str, who: Identity | None = None) -> list[Any]:
    """As ``facts.place_of`` reads it. ``who``: another than this process, as far as modes and ACLs tell."""
    way = walk(path) if who is None else walk(path, _judge(who))
    end = way[-1]
    if end.kind == FOLDER and not end.usable:
        return [way, "", end.mode, end.uid, end.gid, _acl(end.path), False, 0, 0]
    try:
        there = os.lstat(end.path)
    except OSError:
        return [way, "", 0, 0, 0, [], False, 0, 0]
    kind = next((word for test, word in _KINDS if test(there.st_mode)), ELSE)
    writable = os.access(end.path, os.W_OK) if who is None else _may(end.path, there, who, acl.WRITE)
    mode = stat.S_IMODE(there.st_mode)
    file = (there.st_dev, there.st_ino)
    return [way, kind, mode, there.st_uid, there.st_gid, _acl(end.path), writable, *file]


def holder(path: str) -> int:
    """Whose the first folder on the way is that is not root's alone; 0: none is. It looks at nothing beyond that."""
    here, links, names = "/", 0, path.strip("/").split("/")
    while names:
        there = os.lstat(here)
        if there.st_uid:
            return there.st_uid
        name = names.pop(0)
        try:
            one = os.lstat(os.path.join(here, name))
        except FileNotFoundError:
            return 0
        if there.st_mode & 0o022 and one.st_uid:
            return one.st_uid
        if stat.S_ISLNK(one.st_mode):
            links += 1
            target = os.path.normpath(os.path.join(here, os.readlink(os.path.join(here, name))))
            here, names = "/", [*target.strip("/").split("/"), *names]
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, "links that lead nowhere")
        elif names:
            here = os.path.join(here, name)
    return 0


def _judge(who: Identity) -> Judge:
    return lambda path, there: _may(path, there, who, acl.EXECUTE)


def _may(path: str, there: os.stat_result, who: Identity, wanted: int) -> bool:
    return allows(tuple(_acl(path)), there.st_mode, (there.st_uid, there.st_gid), who, wanted)


def _acl(path: str) -> list[tuple[int, int, int]]:
    with contextlib.suppress(OSError, ValueError):
        entries = acl.decode(os.getxattr(path, "system.posix_acl_access", follow_symlinks=False))
        return [(one.tag, one.permissions, one.id) for one in entries[:MOST_ENTRIES]]
    return []


def room(folder: str) -> list[bool]:
    """Are blocks, are inodes used up, for who asks?"""
    there = os.statvfs(folder)
    root = os.geteuid() == 0
    blocks = (there.f_bfree if root else there.f_bavail) * there.f_frsize
    inodes = there.f_ffree if root else there.f_favail
    return [there.f_blocks > 0 and blocks < LITTLE, there.f_files > 0 and inodes < 1]


def request(question: Question) -> list[Any]:
    """As ``facts.reply_of`` reads it."""
    found = ask(question)
    if isinstance(found, Failure):
        return [0, found.seconds, found.stage, found.errno, found.reason[:400], getattr(found, "speaks", ""), ""]
    return [found.status, found.total, "", 0, "", "", found.flaw[:400]]
