"""How a listener comes to be held: systemd lends its own, or gives back what it kept for us; else it is bound."""

from __future__ import annotations

import os
from dataclasses import replace

from emperor.config.placement import EMPEROR, SYSTEMD
from emperor.errors import ListenError
from emperor.holding.estate import Estate
from emperor.holding.held import Held, access_of, make_folder
from emperor.model import ADMIN, UNIX, SocketSpec, VassalSpec
from emperor.system import listeners


def inherit(
    estate: Estate, name: str, wanted: SocketSpec, spec: VassalSpec, binder: str, may_claim: bool
) -> Held | None:
    """What systemd has for this address; None: nothing that this vassal may have. ListenError: it is root's alone.

    ``may_claim``: can its user have bound what was kept?
    """
    address, user = wanted.address, spec.identity
    by_root = spec.authority.kind == ADMIN
    lent = estate.heirlooms.lent(address)
    if lent is not None:
        if not by_root:
            raise ListenError(f"{address}: bind: it is systemd's ({lent.name}), and only root's inis may have it")
        return Held(lent.sock, wanted, SYSTEMD, None, None, spec)
    kept = estate.heirlooms.claim(address, name, binder, user.uid, by_root) if may_claim else None
    if kept is None or kept.label is None:
        return None
    place = kept.label.place
    # Which access it was given is not known: so it is given again.
    before = replace(access_of(wanted, spec), mode=-1) if binder == EMPEROR else None
    owner = replace(spec, identity=replace(user, uid=kept.label.uid, gid=kept.label.gid))
    if place is not None:
        estate.book.note(address.path, place, os.geteuid() if binder == EMPEROR else user.uid)
    return Held(kept.sock, wanted, binder, place, before, owner, stored=kept.name)


def bind(estate: Estate, name: str, wanted: SocketSpec, spec: VassalSpec) -> Held:
    """A new listener, where only root can write. Raises ListenError."""
    own, path = os.geteuid(), wanted.address.path
    ours = None
    if wanted.address.family == UNIX:
        make_folder(os.path.dirname(path), spec)
        ours = estate.book.find(path, own)
    access = access_of(wanted, spec)
    bound = listeners.bind(wanted, access, ours)
    if bound.warning:
        estate.journal.warning(name, bound.warning)
    if bound.place is not None:
        estate.book.note(path, bound.place, own)
    return Held(bound.sock, wanted, EMPEROR, bound.place, access, spec)
