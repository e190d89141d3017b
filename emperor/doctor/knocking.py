"""Looks at the sockets of vassals and makes a real request at each, as the web server's user.

It promises: root itself goes to no path that a user controls, and connects to nothing there; whatever hangs costs a
bounded time, for all together.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import partial

from emperor.doctor import errands, looks, socketside
from emperor.doctor.facts import Knock, Reply, Subject, files_of, place_of, reply_of
from emperor.model import UNIX, Identity, VassalSpec
from emperor.probe.question import Question
from emperor.system.accounts import name_of
from emperor.system.sockdiag import listeners

ASKED = 3.0
"""Seconds for a request; one that sleeps is given longer."""

WOKEN = 10.0
KEPT = 64 * 1024
"""Bytes of an answer: a page is not read to its end for its status."""

MORE = 1.0
"""Seconds in which an answer that came at last is told."""


def knocks(subjects: Sequence[Subject], web: Identity, target: str, runtime: str) -> list[Knock]:
    """Looked at, and asked where that is worth it. Root does both as ``web``; others as who they are.

    ``runtime``: the emperor's own folder.
    """
    root = os.geteuid() == 0
    asker = "" if root or web.uid == os.geteuid() else name_of(os.geteuid())
    found = [
        _owned(_knock(subject, number, web, target)._replace(asker=asker), runtime)
        for subject in subjects
        for number in _numbers(subject)
    ]
    files = [one for one in found if one.address.family == UNIX]
    foreign = None if root or web.uid == os.geteuid() else web
    seen = errands.told([partial(looks.place, one.address.path, foreign) for one in files], web if root else None)
    there = files_of(listeners((socket.AF_UNIX,)))
    places = {id(one): place_of(raw, there) for one, raw in zip(files, seen, strict=True)}
    looked = [one._replace(place=places.get(id(one)), late=id(one) in places and not places[id(one)]) for one in found]
    asked = [number for number, one in enumerate(looked) if _worth(one)]
    patience = max((_patience(looked[number]) for number in asked), default=0.0)
    tasks = [partial(looks.request, _question(looked[number])) for number in asked]
    told = errands.told(tasks, web if root else None, patience + MORE)
    for number, raw in zip(asked, told, strict=True):
        silence = Reply(seconds=patience, stage="answer", reason=f"no answer within {patience:g} s")
        looked[number] = looked[number]._replace(reply=reply_of(raw) or silence)
    return looked


def _numbers(subject: Subject) -> range:
    return range(len(subject.spec.sockets) if subject.spec is not None else 0)


def _knock(subject: Subject, number: int, web: Identity, target: str) -> Knock:
    assert subject.spec is not None
    told = subject.spec.sockets[number]
    rows = [one for one in subject.snapshot.get("sockets") or () if one.get("address") == str(told.address)]
    inode = rows[0].get("inode") if rows else None
    mount = next((one.mount for one in subject.spec.targets), "") if _no_root(subject.spec) else ""
    whole = f"{mount.rstrip('/')}{target}" if mount else target
    return Knock(subject, told.protocol, told.address, web, inode=inode if type(inode) is int else None, target=whole)


def _owned(knock: Knock, runtime: str) -> Knock:
    return knock._replace(own=knock.address.family == UNIX and knock.address.path.startswith(f"{runtime}/"))


def _no_root(spec: VassalSpec) -> bool:
    return all(one.mount.rstrip("/") for one in spec.targets)


def _worth(knock: Knock) -> bool:
    if knock.subject.state not in socketside.UP or knock.late:
        return False
    place = knock.place
    if place is None:
        return True
    squatted = knock.inode and place.listener and place.listener != knock.inode
    return place.kind == "socket" and place.writable and not squatted


def _patience(knock: Knock) -> float:
    return WOKEN if knock.subject.state == "IDLE" else ASKED


def _question(knock: Knock) -> Question:
    """Its protocol is its ini's: other ones are not tried, for a request that ends a worker would end one more each."""
    return Question(knock.protocol, knock.address, knock.target, patience=_patience(knock), keep=KEPT, recognise=False)
