"""Listeners that are to take the place of others: bound beside them, and moved over their paths at once.

Nobody is refused while a generation starts that may not share its predecessor's listener: the path leads to the old one
until the new generation serves, and to the new one from then on. A path that leads nowhere is bound directly.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from emperor.config.placement import EMPEROR
from emperor.errors import ListenError
from emperor.holding.estate import Estate
from emperor.holding.held import Held
from emperor.model import UNIX, Address, SocketSpec, VassalSpec
from emperor.system import drafts, listeners
from emperor.system.access import Access


@dataclass
class Fresh:
    """``draft``: its temporary name; "": it is at its path already. ``number``: the generation that waits for it."""

    held: Held
    draft: str
    number: int


def changed(held: Held, wanted: SocketSpec, spec: VassalSpec) -> bool:
    """May the next generation not share this listener, so that it needs one of its own?

    Its user is another (whose processes hold it, and would get its clients), its protocol is (the old generation still
    speaks the old one), or nobody can come to it any more.
    """
    if held.binder != EMPEROR or held.place is None or not drafts.draft_of(wanted.address.path):
        return False
    before, now = held.owner.identity, spec.identity
    if (before.uid, before.gid, held.spec.protocol) != (now.uid, now.gid, wanted.protocol):
        return True
    return listeners.place_of(wanted.address.path) != held.place


def bind(estate: Estate, held: Held, wanted: SocketSpec, spec: VassalSpec, access: Access, number: int) -> Fresh:
    """Raises ListenError: also where something stands at the path that is not ``held``'s."""
    path, own = wanted.address.path, os.geteuid()
    alone = held.place is not None and listeners.place_of(path) == held.place
    draft = drafts.draft_of(path) if alone else ""
    there = draft or path
    at = replace(wanted, address=Address(UNIX, there))
    bound = listeners.bind(at, access, estate.book.find(there, own) if draft else None)
    if bound.warning:
        estate.journal.warning(spec.name, bound.warning)
    if draft:
        estate.drafts.add(draft)
    assert bound.place is not None
    estate.book.note(there, bound.place, own)
    return Fresh(Held(bound.sock, wanted, EMPEROR, bound.place, access, spec), draft, number)


def publish(estate: Estate, name: str, fresh: Fresh, before: Held) -> None:
    """Its generation serves: whoever connects from now on comes to it. ``before`` is ours no longer."""
    held = fresh.held
    assert held.place is not None and before.place is not None
    path = held.spec.address.path
    # Stored first: should we die here, the next emperor takes the one whose file stands at the path.
    estate.store(name, held)
    if fresh.draft:
        try:
            drafts.publish(fresh.draft, held.place, path, before.place)
            estate.book.note(path, held.place, os.geteuid())
        except ListenError as error:
            estate.journal.warning(name, str(error))
            listeners.unlink(fresh.draft, held.place)
        _forget_draft(estate, fresh)
    estate.unstore(before)
    before.sock.close()


def drop(estate: Estate, fresh: Fresh) -> None:
    """Its generation never served."""
    held = fresh.held
    held.sock.close()
    where = fresh.draft or held.spec.address.path
    if held.place is not None:
        listeners.unlink(where, held.place)
    if fresh.draft:
        _forget_draft(estate, fresh)
    else:
        estate.book.strike(where)


def _forget_draft(estate: Estate, fresh: Fresh) -> None:
    estate.drafts.discard(fresh.draft)
    estate.book.strike(fresh.draft)
