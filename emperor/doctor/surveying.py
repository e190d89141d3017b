"""What surrounds apps and emperor: files as the apps' users see them, folders, limits.

It promises: what users control is looked at by deputies; no more than a bounded time is spent on disks that hang.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from emperor.ctl import eyes
from emperor.ctl.asking import Ini, Place
from emperor.ctl.prospects import prospect
from emperor.doctor import appside, errands, looks, machinelook, mends
from emperor.doctor.calling import Roll
from emperor.doctor.facts import Disk, Machine, Mount, Subject, place_of
from emperor.doctor.finding import Finding
from emperor.doctor.surroundings import rows_of
from emperor.model import UNIX, Identity, VassalSpec
from emperor.system.accounts import SystemAccounts, name_of

LOOKED = 8.0
"""Seconds for the looks as the apps' users, all together."""


def surroundings(subjects: Sequence[Subject]) -> tuple[list[Finding], list[str]]:
    """What the apps' own users do not get to; and whose apps were not looked at."""
    euid, end = os.geteuid(), time.monotonic() + LOOKED
    found: list[Finding] = []
    unseen: list[str] = []
    groups: dict[Identity, list[Subject]] = {}
    for subject in subjects:
        if subject.spec is not None and euid in (0, subject.spec.identity.uid):
            groups.setdefault(subject.spec.identity, []).append(subject)
        elif subject.spec is not None:
            unseen.append(f"{subject.name}: what {subject.spec.identity.user} sees of its files -- ask as root")
    for members in groups.values():
        if time.monotonic() > end:
            unseen += [f"{one.name}: its files: disks that do not answer took all the time" for one in members]
            continue
        inis = [_ini(one) for one in members]
        for subject, ini, seen in zip(members, inis, eyes.seen(inis), strict=True):
            if seen.late:
                unseen.append(f"{subject.name}: its files: a disk does not answer (stat {ini.spec.chdir or '/'} hangs)")
                continue
            found += appside.paths(subject, prospect(ini, replace(seen, flaw="")).problems, seen.flaw)
    return found, unseen


def safely(found: Sequence[Finding]) -> list[Finding]:
    """What root is told to type at a path in a user's folder is typed by that path's owner."""
    paths = sorted({path for one in found for line in one.mend if (path := mends.path_of(line))})
    if os.geteuid() != 0 or not paths:
        return list(found)
    holders = dict(zip(paths, errands.told([partial(looks.holder, path) for path in paths], None), strict=True))
    whose = {path: _whose(path, uid) for path, uid in holders.items()}

    def typed(line: str) -> str:
        path = mends.path_of(line)
        return mends.by_owner(line, *whose[path]) if path else line

    return [one._replace(mend=tuple(map(typed, one.mend))) for one in found]


def _whose(path: str, holder: int | None) -> tuple[str, str]:
    """Names of who holds the folder, and of who owns what is there as he sees it. Where nobody could look, root does
    not go either."""
    if holder is None:
        return "somebody", "root"
    who = SystemAccounts().user(name_of(holder)) if holder else None
    if who is None:
        return ("", "") if not holder else (name_of(holder), "root")
    (seen,) = errands.told([partial(looks.place, path)], who)
    place = place_of(seen, None)
    owner = (
        place.uid
        if place is not None and place.kind
        else place.end.uid
        if place is not None and place.closed
        else holder
    )
    return who.user, name_of(owner)


def _ini(subject: Subject) -> Ini:
    """Without its sockets and its log, which are looked at otherwise."""
    assert subject.spec is not None
    spec = replace(subject.spec, sockets=(), logto="", static_map=())
    return Ini(spec, rows_of(spec), (), (), Place(""), None, os.geteuid() == 0)


def machine(
    control: str,
    web_name: str,
    roll: Roll,
    peer: tuple[int, int] | None,
    web: Identity | None,
    chosen: Sequence[Subject],
) -> Machine:
    """``peer``: pid and uid of who listens at the control socket; ``web_name``: whom the operator has named."""
    euid = os.geteuid()
    pid, uid = peer if peer is not None else (0, euid)
    used = machinelook.inotify(uid) if euid in (0, uid) else None
    limits = [machinelook.number(f"/proc/sys/fs/inotify/max_user_{one}") for one in ("watches", "instances")]
    counts = [(one, most) if most else None for one, most in zip(used or (), limits, strict=False)] or [None, None]
    return Machine(
        control,
        roll.silence,
        roll.denied,
        machinelook.unit_file(),
        pid,
        machinelook.emperors(uid),
        web,
        web_name,
        machinelook.number("/proc/sys/net/core/somaxconn"),
        counts[0],
        counts[1],
        machinelook.open_files(pid) if pid else None,
        _mounts(pid, chosen),
        tuple(_disks(control, chosen)),
        machinelook.controls(control),
        roll.trouble,
    )


def _mounts(pid: int, chosen: Sequence[Subject]) -> tuple[Mount, ...]:
    """Of the top folders that a vassal names something in."""
    if not pid:
        return ()
    named = [path for one in chosen if one.spec is not None for path in _named(one.spec)]
    tops = [top for top in machinelook.TOPS if any(path.startswith(f"{top}/") for path in named)]
    return tuple(machinelook.hidden(pid, tops, "the emperor"))


def _named(spec: VassalSpec) -> list[str]:
    sockets = [one.address.path for one in spec.sockets if one.address.family == UNIX]
    scripts = [one.where for one in spec.targets if one.kind == "file"]
    return [*sockets, *scripts, spec.chdir, spec.virtualenv, spec.python, *spec.pythonpath, spec.folder]


def _disks(control: str, chosen: Sequence[Subject]) -> Iterator[Disk]:
    """Of logs, as who writes them; of the emperor's own folder, as who we are."""
    euid = os.geteuid()
    asked: dict[Identity | None, dict[str, str]] = {None: {os.path.dirname(os.path.abspath(control)): "sockets"}}
    for one in chosen:
        if one.spec is not None and one.spec.logto and euid in (0, one.spec.identity.uid):
            who = one.spec.identity if euid == 0 else None
            asked.setdefault(who, {})[os.path.dirname(one.spec.logto)] = f"log of {one.name}"
    for identity, folders in asked.items():
        answers = errands.told([partial(looks.room, folder) for folder in folders], identity)
        for (folder, use), raw in zip(folders.items(), answers, strict=True):
            if raw is not None and any(raw):
                yield Disk(folder, use, *raw)
