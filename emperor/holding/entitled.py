"""Which of a vassal's addresses are its own user's to bind, and so to hand up.

``config.placement`` has the table; here the kernel is asked whose the folders are.
"""

from __future__ import annotations

import os

from emperor.config.placement import VASSAL, binder
from emperor.errors import ListenError
from emperor.holding.held import Held
from emperor.model import UNIX, Address, SocketSpec, VassalSpec
from emperor.system import trust


def who_binds(address: Address, spec: VassalSpec, default: str) -> str:
    """EMPEROR or VASSAL. ``default``: the path of the vassal's own socket in the emperor's runtime folder."""
    return binder(address, spec.authority, _in_our_folder(address), default)


def can_bind(address: Address, spec: VassalSpec) -> bool:
    """Can this user's processes have bound it in the mount namespace that everybody sees?"""
    return not _in_our_folder(address) or spec.identity.uid in (0, os.geteuid())


def require_theirs(wanted: SocketSpec, spec: VassalSpec, binder: str, held: Held | None) -> None:
    """May they hand it up? ``held``: what is there by now. Raises ListenError."""
    if binder != VASSAL or (held is not None and held.binder != VASSAL):
        raise ListenError(f"{wanted.address}: handed up, but it is not the vassal's to bind -- closed")
    if not can_bind(wanted.address, spec):
        # In a mount namespace of their own anybody can bind any path, and getsockname(2) says the same of it.
        raise ListenError(f"{wanted.address}: handed up, but {spec.identity.user} cannot bind there -- closed")


def _in_our_folder(address: Address) -> bool:
    """Can nobody but root and we make a file there?"""
    return (
        address.family == UNIX
        and trust.only_ours(os.path.dirname(address.path), os.geteuid(), near=True, roots=True).ours
    )
