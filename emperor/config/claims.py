"""Whose is an address that several inis name? One vassal's; the others are told whose, and come up once it is free.

In this order: who has it open keeps it; a vassal's own socket in the runtime folder is that vassal's; an
administrator's ini comes before a user's, who could otherwise keep root's app from starting by naming its socket; who
came first stays. Pure: addresses are compared as written, ``host:port`` also with every interface's port.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from emperor.config.context import Checked
from emperor.config.inifile import Row
from emperor.model import ADMIN, TCP, UNIX, Address, Problem, VassalSpec

EVERY_INTERFACE = ("", "0.0.0.0", "::")
OWN, ADMINS, OWNERS = 0, 1, 2

Holder = Callable[[Address, VassalSpec], str]
"""Which vassal has this address open, and will not hand it to this spec's; "": none."""


@dataclass(frozen=True)
class Claim:
    """One vassal's word for one address. ``rank``: OWN, ADMINS or OWNERS. ``uid``: whom it runs as."""

    name: str
    address: Address
    rank: int
    uid: int


@dataclass
class Claims:
    """Of all inis that are there. One that is refused claims nothing; what it claimed before stays."""

    runtime: str
    holder: Holder
    control: str = ""
    """The path of the emperor's own socket, which no vassal gets; "": none."""
    _granted: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    _shelf: dict[tuple[str, str, int], dict[str, list[Claim]]] = field(default_factory=dict)
    _sound: dict[str, Checked] = field(default_factory=dict)
    """What each said before it was judged."""
    _refused: dict[str, None] = field(default_factory=dict)
    _ousted: dict[str, None] = field(default_factory=dict)

    def judge(self, name: str, checked: Checked) -> Checked:
        """What was read, if all its addresses are its own; else without a spec, and with whose they are."""
        for shelf in (self._refused, self._ousted, self._sound):
            shelf.pop(name, None)
        if checked.spec is None:
            return checked
        self._sound[name] = checked
        conflicts = self._conflicts(name, checked)
        if conflicts:
            self._refused[name] = None
            return Checked(None, (*checked.problems, *conflicts), checked.rows)
        self._grant(name, self._claims(name, checked.spec))
        return checked

    def withdraw(self, name: str) -> None:
        """Its ini is gone."""
        for shelf in (self._refused, self._ousted, self._sound):
            shelf.pop(name, None)
        self._grant(name, ())

    def ousted(self, name: str) -> bool:
        """Has it lost what it had claimed, and not been judged since?"""
        return name in self._ousted

    def unsettled(self) -> list[tuple[str, Checked]]:
        """Who was refused and would not be any more, and who has lost what they had claimed: judge them again."""
        freed = [name for name in self._refused if not self._conflicts(name, self._sound[name])]
        return [(name, self._sound[name]) for name in (*self._ousted, *freed)]

    def _claims(self, name: str, spec: VassalSpec) -> tuple[Claim, ...]:
        own = Address(UNIX, posixpath.join(self.runtime, f"{name}.sock"))
        usual, uid = ADMINS if spec.authority.kind == ADMIN else OWNERS, spec.identity.uid
        return tuple(Claim(name, one.address, OWN if one.address == own else usual, uid) for one in spec.sockets)

    def _conflicts(self, name: str, checked: Checked) -> list[Problem]:
        assert checked.spec is not None
        rows: Iterable[Row | None] = checked.rows or [None] * len(checked.spec.sockets)
        found = []
        for claim, row in zip(self._claims(name, checked.spec), rows, strict=True):
            other = self._other(claim, checked.spec)
            words = ""
            if self.control and claim.address.path == self.control:
                words = f"{claim.address} is the emperor's own control socket -- give the vassal another address"
            elif other:
                words = f"{claim.address} is vassal {other}'s already -- give one of the two another address"
            if words:
                place = (row.path, row.line, row.key) if row is not None else (checked.spec.config, 0, "socket")
                found.append(Problem(*place, words))
        return found

    def _other(self, claim: Claim, spec: VassalSpec) -> str:
        """Who is in the way of this claim; "": nobody."""
        holder = self.holder(claim.address, spec)
        if holder not in ("", claim.name):
            return holder
        for rival in self._rivals(claim):
            if rival.rank <= claim.rank or self.holder(rival.address, spec) == rival.name:
                return rival.name
        return ""

    def _rivals(self, claim: Claim) -> list[Claim]:
        shelf = self._shelf.get(_shelf_of(claim.address), {})
        return [
            one
            for name, claims in shelf.items()
            if name != claim.name
            for one in claims
            if _overlap(one.address, claim.address) and not _strangers(one, claim)
        ]

    def _grant(self, name: str, claims: tuple[Claim, ...]) -> None:
        for claim in self._granted.pop(name, ()):
            self._shelf[_shelf_of(claim.address)].pop(name, None)
        for claim in claims:
            for rival in self._rivals(claim):
                # It was asked before: this one comes first.
                self._grant(rival.name, ())
                self._ousted[rival.name] = None
            self._shelf.setdefault(_shelf_of(claim.address), {}).setdefault(name, []).append(claim)
        if claims:
            self._granted[name] = claims


def judge_all(found: Sequence[tuple[str, Checked]], runtime: str) -> list[Checked]:
    """A dry run: the same inis as if an emperor saw them at its start. Of one name the first counts."""
    claims = Claims(runtime, lambda address, spec: "")
    judged = [checked for _, checked in found]
    seen: set[str] = set()
    for index in sorted(range(len(found)), key=lambda number: precedence(*found[number])):
        name, checked = found[index]
        if name not in seen:
            judged[index] = claims.judge(name, checked)
            seen.add(name)
    return judged


def precedence(name: str, checked: Checked) -> tuple[bool, str]:
    """Of inis that are first seen at the same time: a user's would not be first by its letters."""
    return checked.spec is None or checked.spec.authority.kind != ADMIN, name


def _strangers(one: Claim, other: Claim) -> bool:
    """Inis of two users for one path. At most one of them can bind it; a word alone keeps no stranger from starting."""
    return one.rank == other.rank == OWNERS and one.uid != other.uid and one.address.family == UNIX


def _shelf_of(address: Address) -> tuple[str, str, int]:
    return address.family, address.path, address.port


def _overlap(one: Address, other: Address) -> bool:
    """On the same shelf, so family, path and port are the same."""
    if one.family != TCP or one.host == other.host or "" in (one.host, other.host):
        return True
    same_family = (":" in one.host) == (":" in other.host)
    return same_family and (one.host in EVERY_INTERFACE or other.host in EVERY_INTERFACE)
