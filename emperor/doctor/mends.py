"""The commands that let somebody in, the narrowest first, and those that stand in a message already. Pure."""

from __future__ import annotations

import re
import shlex

from emperor.doctor.facts import AclEntry, Place
from emperor.model import Identity
from emperor.system.acl import GROUP, GROUP_OBJ, MASK, USER, WRITE

_COMMANDS = ("chmod", "chown", "setfacl", "mkdir", "mv", "rm", "usermod", "systemctl", "emperorctl", "sysctl")
_ENDS = re.compile(r", or |, then |; |$")


def quoted(path: str) -> str:
    return shlex.quote(path)


def of_message(message: str) -> tuple[str, tuple[str, ...]]:
    """What is wrong, and the mend behind its last dashes: as a command if it is one, else as a comment."""
    what, dashes, mend = message.rpartition(" -- ")
    if not dashes:
        return message, ()
    first = mend.split(" ", 1)[0]
    if first not in _COMMANDS:
        return what, (f"# {mend}",)
    cut = _ENDS.search(mend)
    assert cut is not None  # the end of the text matches
    rest = mend[cut.end() :]
    return what, (mend[: cut.start()], *((f"# or: {rest}",) if rest else ()))


def entered(place: Place, who: Identity, acls: bool) -> tuple[str, ...]:
    """``who`` may pass the folder at which ``place`` ends. ``acls``: is there a setfacl?"""
    end = place.end
    path = quoted(end.path)
    away = "# or leave `socket` out of the ini: it is in the emperor's own folder then"
    if f"{end.path}/".startswith("/root/"):
        return ("# leave it closed, and leave `socket` out of the ini, or name a folder outside of /root",)
    if end.uid == who.uid:
        return (f"chmod u+x {path}", away)
    if end.gid in (who.gid, *who.groups) and not place.acl:
        return (f"chmod g+x {path}", away)
    if not acls:
        return (f"chmod o+x {path}", away)
    return (f"setfacl -m u:{who.user}:x {path}", f"# or: chmod o+x {path}", away)


def written(place: Place, who: Identity, acls: bool) -> tuple[str, ...]:
    """``who`` may connect to the socket at which ``place`` ends."""
    path = quoted(place.end.path)
    if place.uid == who.uid:
        return (f"chmod u+w {path}",)
    if masked(place.acl, who):
        return (f"setfacl -m m::rw {path}",)
    if place.gid in (who.gid, *who.groups):
        return (f"chmod g+w {path}",)
    return (f"setfacl -m u:{who.user}:rw {path}",) if acls else (f"chmod o+w {path}",)


def masked(entries: tuple[AclEntry, ...], who: Identity) -> bool:
    """Does an entry let ``who`` write, and the mask take that away?"""
    mask = next((permissions for tag, permissions, _ in entries if tag == MASK), None)
    if mask is None or mask & WRITE:
        return False
    groups = (who.gid, *who.groups)
    return any(
        permissions & WRITE and ((tag == USER and number == who.uid) or (tag == GROUP and number in groups))
        for tag, permissions, number in entries
    )


def by_acl(entries: tuple[AclEntry, ...]) -> bool:
    """Does an ACL say more than the mode?"""
    return any(tag in (USER, GROUP, MASK) for tag, _, _ in entries)


def group_bits(entries: tuple[AclEntry, ...], mode: int) -> int:
    """The owning group's own: with an ACL, those of the mode are the mask."""
    return next((permissions for tag, permissions, _ in entries if tag == GROUP_OBJ), mode >> 3 & 7)
