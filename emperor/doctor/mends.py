"""The commands that let somebody in, the narrowest first, and those that stand in a message already. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from emperor.ctl.wording import problem_text
from emperor.doctor.facts import AclEntry, Place
from emperor.model import Identity, Problem
from emperor.system.acl import GROUP, GROUP_OBJ, MASK, USER, WRITE
from emperor.text import printable

_SAFE = re.compile(
    r"(chmod [ugo]\+[rx]{1,2}|chmod [ugo]-w|setfacl -m u:[\w.-]+:[rx]{1,2}|setfacl -b) /[\w./@%+:,=-]*", re.ASCII
)
"""What a message of ours may tell root to type: it lets somebody read or enter, or takes a right away."""

_CLOSING = re.compile(
    r"((?:/[\w./@%+:,=-]*: )?[a-zA-Z ,']+ can write it): ((?:chmod [go]-w|setfacl -b) /[\w./@%+:,=-]*)", re.ASCII
)
"""As ``system.writers`` says who else can write an ini."""

_AT_A_PATH = re.compile(
    r"(?:chmod [ugo][+-][rwx]+|setfacl -\w [\w:.@-]* ?|setfacl -b|mkdir -p) ?(/[\w./@%+:,=-]*)", re.ASCII
)

_COMMANDS = ("chmod", "chown", "setfacl", "mkdir", "mv", "rm", "usermod", "systemctl", "sysctl", "curl", "sh", "sudo")


def quoted(path: str) -> str:
    return shlex.quote(path)


def of_message(message: str) -> tuple[str, tuple[str, ...]]:
    """What is wrong, and the mend behind the dashes of a message that is ours: as a command or as a comment.

    Never of what an app or its vassal has said. Names within a message are users': one that looks like a mend, or
    would be more than one word to a shell, leaves the message whole.
    """
    what, dashes, mend = message.partition(" -- ")
    if not dashes or " -- " in mend:
        return message, ()
    command, _, rest = mend.partition(", or ")
    if _SAFE.fullmatch(command):
        return what, (command, *((f"# or: {rest}",) if rest else ()))
    typed = "/" in mend and mend.split(" ", 1)[0] in _COMMANDS
    return (message, ()) if typed else (what, (f"# {mend}",))


def of_problem(problem: Any) -> tuple[str, tuple[str, ...]]:
    """The same of a ``Problem``, or of one as JSON: its option and its path are the ini's own words."""
    row: Mapping[str, Any] | None = (
        problem if isinstance(problem, Mapping) else vars(problem) if isinstance(problem, Problem) else None
    )
    if row is None:
        return problem_text(problem), ()
    message = printable(str(row.get("message") or ""))
    closing = _CLOSING.fullmatch(message)
    what, mend = (closing[1], (closing[2],)) if closing is not None else of_message(message)
    return problem_text({**row, "message": what}), mend


def path_of(line: str) -> str:
    """Of a command that changes what is at one path; "": it is none."""
    found = _AT_A_PATH.fullmatch(line)
    return found[1] if found is not None else ""


def by_owner(line: str, holder: str, owner: str) -> str:
    """Root follows no name in a user's folder, where it may be another thing by then. ``holder``: whose folder it is
    in, "": root's alone; ``owner``: of what is there."""
    if not holder:
        return line
    return (
        f"# once you see what {holder} has there: {line}"
        if owner == "root"
        else f"runuser -u {owner or holder} -- {line}"
    )


def entered(place: Place, who: Identity, acls: bool, named: bool = True) -> tuple[str, ...]:
    """``who`` may pass the folder at which ``place`` ends. ``acls``: is there a setfacl? ``named``: by the ini?"""
    end = place.end
    path = quoted(end.path)
    away = ("# or leave `socket` out of the ini: it is in the emperor's own folder then",) if named else ()
    if f"{end.path}/".startswith("/root/"):
        return ("# leave it closed, and leave `socket` out of the ini, or name a folder outside of /root",)
    if end.uid == who.uid:
        return (f"chmod u+x {path}", *away)
    if end.gid in (who.gid, *who.groups) and not place.acl:
        return (f"chmod g+x {path}", *away)
    if not acls:
        return (f"chmod o+x {path}", *away)
    return (f"setfacl -m u:{who.user}:x {path}", f"# or: chmod o+x {path}", *away)


def written(place: Place, who: Identity, acls: bool) -> tuple[str, ...]:
    """``who`` may connect to the socket at which ``place`` ends."""
    path = quoted(place.end.path)
    if place.uid == who.uid:
        return (f"chmod u+w {path}",)
    if masked(place.acl, who):
        return (f"setfacl -m m::rw {path}",)
    if place.gid in (who.gid, *who.groups) and not named(place.acl, who):
        return (f"chmod g+w {path}",)
    return (f"setfacl -m u:{who.user}:rw {path}",) if acls else (f"chmod o+w {path}",)


def named(entries: tuple[AclEntry, ...], who: Identity) -> bool:
    """Has it an entry of its own, which counts before every group's (acl(5))?"""
    return any(tag == USER and number == who.uid for tag, _, number in entries)


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
