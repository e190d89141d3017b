"""Who binds a socket, who opens a log: the emperor, or the vassal after it has dropped to its user.

The privileged process touches no path in a folder that someone else can write, and nothing at all for an ini
that someone else wrote, except the one socket that is the vassal's by name, and ports, which are nobody's.
"""

from __future__ import annotations

from emperor.model import ABSTRACT, ADMIN, NOBODY, TCP, Address, Authority

EMPEROR, VASSAL = "emperor", "vassal"

SYSTEMD = "systemd"
"""Bound by a ``.socket`` unit and handed to the emperor: it is never bound, changed or removed here."""

#     the folder is ours   the administrator wrote the ini
WHO = {
    (True, True): EMPEROR,
    (True, False): VASSAL,
    (False, True): VASSAL,
    (False, False): VASSAL,
}


def binder(address: Address, authority: Authority, folder_ours: bool, default_path: str) -> str:
    """EMPEROR or VASSAL.

    ``folder_ours``: on every ancestor of the path only root, or the emperor's own user, can write.
    ``default_path``: the vassal's own socket in the emperor's runtime folder. Which ports an ini may ask for,
    ``spec`` has checked. Whoever binds a local socket is who its clients are told they talk to (unix(7),
    SO_PEERCRED), so an abstract one of a user's ini is bound by that user; it has no folder.
    """
    if authority.kind == NOBODY:
        return VASSAL
    if address.family == TCP:
        return EMPEROR
    if address.family == ABSTRACT:
        return WHO[True, authority.kind == ADMIN]
    if folder_ours and address.path == default_path:
        return EMPEROR
    return WHO[folder_ours, authority.kind == ADMIN]


def opener(authority: Authority, folder_ours: bool) -> str:
    """EMPEROR or VASSAL, for the file of ``logto``."""
    return WHO[folder_ours, authority.kind == ADMIN]
