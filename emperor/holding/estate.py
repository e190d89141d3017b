"""What the holdings of all vassals share.

With a service manager behind us every listener of ours is in its fd store, under a name of its own, for as long as it
is held; what it gave back at our start waits among the ``heirlooms`` for the vassal that may have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emperor.config.placement import EMPEROR, SYSTEMD
from emperor.holding.errands import Errands
from emperor.holding.heirlooms import Heirlooms
from emperor.holding.held import Held, HeldState
from emperor.journal import Journal
from emperor.model import OWNER, Address
from emperor.system import fdstore, listeners
from emperor.system.closer import Closer
from emperor.system.fdstore import Received
from emperor.system.notify import Notifier
from emperor.system.placebook import PlaceBook

if TYPE_CHECKING:
    from emperor.holding.holdings import Holdings


__all__ = ["Estate", "HeldState"]


@dataclass
class Estate:
    """``received``: what systemd gave us at our start.

    ``leave_behind``: the emperor ends, and another one is to find its sockets: they are closed, and neither unlinked
    nor taken from the fd store, unless their vassal is removed.
    """

    runtime: str
    book: PlaceBook
    errands: Errands
    journal: Journal
    closer: Closer
    holders: dict[Address, Holdings]
    notifier: Notifier | None = None
    received: Iterable[Received] = ()
    leave_behind: bool = False
    left: list[tuple[str, Held]] = field(default_factory=list)
    drafts: set[str] = field(default_factory=set)
    """Temporary names that are in use."""
    moved: set[Address] = field(default_factory=set)
    """Of which addresses the holder has changed since somebody took note of it."""

    _kept: dict[int, set[str]] = field(default_factory=dict)
    """The names of what is in the fd store, by uid."""
    _told: set[int] = field(default_factory=set)
    """Who has more than is kept."""

    def __post_init__(self) -> None:
        self.heirlooms = Heirlooms(self.received, self.book, self.errands, self.journal, self.closer, self._unstore)

    def settle(self, named: Iterable[Address] = ()) -> None:
        """Everybody who may claim something has been read: let go of what is not ``named`` by any of them.

        To be called again when a vassal is gone that had not started yet.
        """
        self.heirlooms.settle(tuple(named))
        for path, place in self.book.drafts().items():
            if path not in self.drafts and not any(path == address.path for address in self.holders):
                self.heirlooms.remove(path, place)

    def store(self, name: str, held: Held) -> None:
        """Of the vassal ``name``. What is systemd's own it keeps anyway."""
        if self.notifier is None or held.binder == SYSTEMD:
            return
        who = held.owner.identity
        kept = self._kept.setdefault(who.uid, set())
        if held.stored:
            kept.add(held.stored)
            return
        if held.owner.authority.kind == OWNER and len(kept) >= fdstore.SHARE:
            if who.uid not in self._told:
                self._told.add(who.uid)
                self.journal.warning(name, f"fd store: {who.user} has {len(kept)} sockets there -- no more are kept")
            return
        stored = fdstore.label(name, held.binder, who.uid, who.gid, held.place).name
        if self.notifier.store(stored, held.sock.fileno()):
            held.stored = stored
            kept.add(stored)

    def unstore(self, held: Held) -> None:
        self._unstore(held.stored)
        held.stored = ""

    def _unstore(self, name: str) -> None:
        if self.notifier is None or not name:
            return
        self.notifier.unstore(name)
        label = fdstore.parse(name)
        if label is not None:
            self._kept.get(label.uid, set()).discard(name)

    def dismiss(self, name: str, held: Held, leave: bool = False) -> None:
        """Close it and remove what we left of it. ``leave``: for the next emperor to find, so only our copy is closed.

        What is systemd's own stays open for whoever is next.
        """
        if held.binder == SYSTEMD:
            return
        if not leave:
            self.unstore(held)
        if held.binder == EMPEROR:
            held.sock.close()
        else:
            self.closer.close(held.sock.detach())
        if leave:
            self.left.append((name, held))
        else:
            self._remove(name, held)

    def clear_up(self) -> None:
        """Nobody comes back after all: what was left for the next emperor goes, too."""
        for name, held in self.left:
            self.unstore(held)
            self._remove(name, held)
        self.left.clear()

    def _remove(self, name: str, held: Held) -> None:
        """Its file, if it is the one that we know."""
        path = held.spec.address.path
        if held.place is None:
            return
        if held.binder == EMPEROR:
            listeners.unlink(path, held.place)
            self.book.strike(path)
        else:
            self.errands.unlink(name, held.owner.identity, {path: held.place})
