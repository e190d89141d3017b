"""May somebody? The kernel's own rule, for those whom this process cannot become. Pure.

Source: acl(5), "Access Check Algorithm". Capabilities and security modules are not looked at.
"""

from __future__ import annotations

from emperor.doctor.facts import AclEntry
from emperor.model import Identity
from emperor.system.acl import GROUP, GROUP_OBJ, MASK, USER


def allows(entries: tuple[AclEntry, ...], mode: int, owner: tuple[int, int], who: Identity, wanted: int) -> bool:
    """``owner``: uid and gid of the file; ``wanted``: bits of READ, WRITE and EXECUTE."""
    if who.uid == 0:
        return True
    uid, gid = owner
    if who.uid == uid:
        return mode >> 6 & wanted == wanted
    groups = (who.gid, *who.groups)
    mask = next((permissions for tag, permissions, _ in entries if tag == MASK), 7)
    named = next((permissions for tag, permissions, number in entries if tag == USER and number == who.uid), None)
    if named is not None:
        return named & mask & wanted == wanted
    own = next((permissions for tag, permissions, _ in entries if tag == GROUP_OBJ), mode >> 3 & 7)
    theirs = [own] if gid in groups else []
    theirs += [permissions for tag, permissions, number in entries if tag == GROUP and number in groups]
    if theirs:
        return any(permissions & mask & wanted == wanted for permissions in theirs)
    return mode & wanted == wanted
