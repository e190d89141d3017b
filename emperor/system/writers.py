"""Who can write what stands at the end of a way: the rule, on values that the walk of ``trust`` has gathered.

It promises: an owner counts whatever the mode says; a group counts as its one member, or as several people;
ACLs count through their mask; what it cannot tell counts as somebody. It opens nothing and asks nothing.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from emperor.model import ADMIN, NOBODY, OWNER, Authority
from emperor.system import acl
from emperor.text import printable

PrivateMember = Callable[[int], "int | None"]
NameOf = Callable[[int], str]


@dataclass(frozen=True)
class Step:
    """A folder that the way leads through, or the file at its end.

    ``entry_uid``: the owner of what the way takes from a folder, which a sticky folder keeps for its owner;
    None where stickiness does not help: at the way's end, and for a file with several hard links, which
    anybody may have put there. ``links``: how many hard links the end has.
    """

    path: str
    uid: int
    gid: int
    mode: int
    acl: tuple[acl.Entry, ...] = ()
    entry_uid: int | None = None
    links: int = 1


@dataclass(frozen=True)
class Way:
    """One way into a step: as the user ``uid``, through the group ``gid``, or (both None) as anybody."""

    step: Step
    words: str
    mend: str
    uid: int | None = None
    gid: int | None = None


def verdict(
    steps: Sequence[Step],
    euid: int,
    private_member: PrivateMember,
    name_of: NameOf = lambda uid: f"uid {uid}",
) -> Authority:
    """Whose is the file that ``steps`` lead to? Its last step is the file itself.

    Root never counts, nor does the emperor's own user. A sole writer must also own the file: else a link
    planted by him would have root read for him what he cannot read himself.
    """
    writers, reason = writers_of(steps, euid, private_member, name_of)
    if reason:
        return Authority(NOBODY, reason=reason)
    if not writers:
        return Authority(ADMIN)
    uid = next(iter(writers))
    if steps[-1].uid != uid:
        return Authority(NOBODY, reason=_not_his(steps, uid, private_member, name_of))
    return Authority(OWNER, uid)


def writers_of(
    steps: Sequence[Step], euid: int, private_member: PrivateMember, name_of: NameOf
) -> tuple[dict[int, Way], str]:
    """At most one writer and how he gets in; or the reason why there are more."""
    writers: dict[int, Way] = {}
    for way in (way for step in steps for way in _ways(step)):
        uid = way.uid if way.gid is None else private_member(way.gid)
        if uid is None:
            return {}, f"{shown(way.step)}: {way.words}: {way.mend} {shown(way.step)}"
        if uid in (0, euid):
            continue
        writers.setdefault(uid, way)
        if len(writers) > 1:
            return {}, _both(steps, writers, private_member, name_of)
    return writers, ""


def _ways(step: Step) -> Iterator[Way]:
    """An owner counts whatever the mode says: he can change it."""
    yield Way(step, "its owner can write it", "", uid=step.uid)
    if step.mode & stat.S_ISVTX and stat.S_ISDIR(step.mode) and step.entry_uid is not None:
        yield Way(step, "its owner can replace it", "", uid=step.entry_uid)
        return
    by_tag = {
        acl.USER: ("its ACL lets a user write it", "setfacl -b"),
        acl.GROUP: ("its ACL lets a group of several write it", "setfacl -b"),
        acl.GROUP_OBJ: ("its group, which is not one user's own, can write it", "chmod g-w"),
        acl.OTHER: ("everybody can write it", "chmod o-w"),
    }
    for entry in acl.writers(step.acl or acl.of_mode(step.mode)):
        if entry.tag in by_tag:
            words, mend = by_tag[entry.tag]
            uid = entry.id if entry.tag == acl.USER else None
            gid = {acl.GROUP: entry.id, acl.GROUP_OBJ: step.gid}.get(entry.tag)
            yield Way(step, words, mend, uid, gid)


def _both(steps: Sequence[Step], writers: dict[int, Way], private_member: PrivateMember, name_of: NameOf) -> str:
    """The second writer is the one too many, so it is his way that is closed; but nobody's folder becomes another's."""
    (uid, _), (other, second) = writers.items()
    one, two, at = name_of(uid), name_of(other), shown(second.step)
    if second.mend:
        mend = f"{second.mend} {at}"
    elif second.step is steps[-1] and second.step.links == 1 and _alone_in(steps[:-1], uid, private_member):
        mend = f"chown {one} {at}"
    else:
        mend = f"move {shown(steps[-1])}, or let root move a link to it, where only one of {one} and {two} can write"
    return f"{at}: {one} and {two} can both write it: {mend}"


def _alone_in(folders: Sequence[Step], uid: int, private_member: PrivateMember) -> bool:
    """Can this user put files into the last of them, and nobody else?"""
    return set(writers_of(folders[-1:], 0, private_member, str)[0]) == {uid}


def _not_his(steps: Sequence[Step], uid: int, private_member: PrivateMember, name_of: NameOf) -> str:
    """Advise ``chown`` only where the file can hardly be a stranger's: never for what he linked to."""
    end, who = steps[-1], name_of(uid)
    flaw = f"{shown(end)}: {who} can replace it, but it belongs to {name_of(end.uid)}"
    if end.links > 1:
        return f"{flaw} and has other names (hard links): rm {shown(end)}, and let {who} write a file"
    if not _alone_in(steps[:-1], uid, private_member):
        return f"{flaw}: a link may only lead to a file of {who}'s"
    return f"{flaw}: chown {who} {shown(end)}"


def shown(step: Step) -> str:
    return shlex.quote(printable(step.path))
