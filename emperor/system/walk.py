"""The way from / to a path, step by step, as the kernel goes it; and where it ends for somebody.

It promises: it opens nothing and changes nothing. It looks at folders, so a process with rights calls it for paths of
its own alone.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from typing import Callable

from emperor.model import Identity
from emperor.supervision.interpreter import (
    FILE,
    FOLDER,
    HIDDEN,
    IN_THE_WAY,
    LINK,
    LOOP,
    MISSING,
    OTHER,
    Step,
    closed,
    opening,
)

LINK_LIMIT = 40
"""The kernel's own (path_resolution(7))."""

Judge = Callable[[str, os.stat_result], bool]
"""May the folder be entered, or the file executed?"""

_ENDS = {errno.ENOENT: MISSING, errno.ENOTDIR: MISSING, errno.ELOOP: LOOP}


def by_the_kernel(path: str, there: os.stat_result) -> bool:
    """May this process?"""
    return os.access(path, os.X_OK)


def by_its_mode(identity: Identity) -> Judge:
    """May ``identity``, as far as modes tell? ACLs are not looked at."""

    def judge(path: str, there: os.stat_result) -> bool:
        if identity.uid == 0:
            return True
        if there.st_uid == identity.uid:
            return bool(there.st_mode & 0o100)
        return bool(there.st_mode & (0o010 if there.st_gid in (identity.gid, *identity.groups) else 0o001))

    return judge


def walk(path: str, judge: Judge = by_the_kernel) -> tuple[Step, ...]:
    """``path`` is absolute. The last step is its end, or the first that cannot be passed."""
    steps, rest, here, links = [_step("/", os.lstat("/"), judge)], _parts(path), "/", 0
    while rest:
        part = rest.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        at = os.path.join(here, part)
        try:
            there = os.lstat(at)
            target = os.readlink(at) if stat.S_ISLNK(there.st_mode) else ""
        except OSError as error:
            return (*steps, Step(at, _ENDS.get(error.errno or 0, HIDDEN)))
        if target:
            links += 1
            if links > LINK_LIMIT:
                return (*steps, Step(at, LOOP))
            steps.append(Step(at, LINK, target=os.path.join(here, target)))
            here = "/" if target.startswith("/") else here
            rest += _parts(target)
            continue
        step = _step(at, there, judge)
        if rest and step.kind != FOLDER:
            step = step._replace(kind=IN_THE_WAY)
        steps.append(step)
        if step.kind != FOLDER or not step.usable:
            break
        here = at
    return tuple(steps)


def closed_to(path: str, identity: Identity) -> str:
    """Why ``identity`` cannot reach or execute a program of ours, with the mend; "" if modes allow it."""
    try:
        end = walk(path, by_its_mode(identity))[-1]
    except OSError:
        return ""
    if end.usable or end.kind not in (FOLDER, FILE):
        return ""
    return f"{closed(end, identity)} -- {opening(end, identity)}"


def _parts(path: str) -> list[str]:
    """The first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _step(path: str, there: os.stat_result, judge: Judge) -> Step:
    kind = FOLDER if stat.S_ISDIR(there.st_mode) else FILE if stat.S_ISREG(there.st_mode) else OTHER
    usable = kind == OTHER or judge(path, there)
    owner = "" if usable else _name_of(there.st_uid)
    return Step(path, kind, stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid, usable, "", owner)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
