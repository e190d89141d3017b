"""Whose is an address that several inis name? One vassal's; the others are told whose, and come up once it is free.

In this order: who has it open keeps it; a vassal's own socket in the runtime folder is that vassal's; an
administrator's ini comes before a user's, who could otherwise keep root's app from starting by naming its socket; who
came first stays; last is who had it and names another now, but is refused that one. Pure: addresses are compared as
written, ``host:port`` also with every interface's port.

To judge one ini costs as much as it has sockets, however many inis there are; an event costs nothing unless it moves
an address that somebody waits for, and then no more than they are.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from emperor.config.addresses import EVERY_INTERFACE
from emperor.config.context import Checked
from emperor.config.language.inifile import Row
from emperor.config.numbers import shared
from emperor.model import ADMIN, TCP, UNIX, Address, Problem, VassalSpec

OWN, ADMINS, OWNERS, GIVEN_UP = 0, 1, 2, 3

Holder = Callable[[Address, VassalSpec], str]
"""Which vassal has this address open, and will not hand it to this spec's; "": none."""


@dataclass(frozen=True)
class Claim:
    """One vassal's word for one address. ``rank``: OWN, ADMINS, OWNERS or GIVEN_UP. ``uid``: whom it runs as."""

    name: str
    address: Address
    rank: int
    uid: int


class Obstacle(NamedTuple):
    """Whose the address is that is in the way: of that one more can be hoped when this address moves."""

    name: str
    address: Address


class Refusal(NamedTuple):
    """``since``: who was refused earlier has a lower one. ``awaited``: until it moves there is no hope; None: ever."""

    since: int
    problems: tuple[Problem, ...]
    awaited: Address | None


class Shelf:
    """What is granted: who claims an address, and who claims one that overlaps it."""

    def __init__(self) -> None:
        self._exact: dict[Address, dict[str, Claim]] = {}
        self._hosts: dict[tuple[int, bool], dict[Address, None]] = {}
        """Of a port, and a family of hosts: the claimed addresses of one interface each."""

    def put(self, claim: Claim) -> None:
        self._exact.setdefault(claim.address, {})[claim.name] = claim
        if claim.address.family == TCP and claim.address.host not in EVERY_INTERFACE:
            self._hosts.setdefault(_hosts_of(claim.address), {})[claim.address] = None

    def take(self, claim: Claim) -> None:
        there = self._exact[claim.address]
        there.pop(claim.name, None)
        if there:
            return
        del self._exact[claim.address]
        if claim.address.family == TCP and claim.address.host not in EVERY_INTERFACE:
            hosts = self._hosts[_hosts_of(claim.address)]
            del hosts[claim.address]
            if not hosts:
                del self._hosts[_hosts_of(claim.address)]

    def find(self, name: str, address: Address) -> Claim | None:
        return self._exact.get(address, {}).get(name)

    def rivals(self, claim: Claim) -> Iterator[Claim]:
        """One after another, for the first one mostly decides."""
        for address in self._overlapping(claim.address):
            for one in self._exact.get(address, {}).values():
                if one.name != claim.name and not _strangers(one, claim):
                    yield one

    def _overlapping(self, address: Address) -> Iterator[Address]:
        yield address
        if address.family != TCP:
            return
        six = ":" in address.host
        for host in EVERY_INTERFACE:
            if host != address.host and ("" in (host, address.host) or (":" in host) == six):
                yield replace(address, host=host)
        if address.host in EVERY_INTERFACE:
            for family in (False, True) if address.host == "" else (six,):
                yield from self._hosts.get((address.port, family), {})


@dataclass
class Claims:
    """Of all inis that are there. One that is refused claims nothing; what it claimed before stays, until another asks
    for what its newest ini does not name any more, and it has not open.
    """

    runtime: str
    holder: Holder
    control: str = ""
    """The path of the emperor's own socket, which no vassal gets; "": none."""
    _granted: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    _shelf: Shelf = field(default_factory=Shelf)
    _said: dict[str, Checked] = field(default_factory=dict)
    """What each said before it was judged."""
    _refused: dict[str, Refusal] = field(default_factory=dict)
    _waiting: dict[Address, dict[str, None]] = field(default_factory=dict)
    """Who waits for it to move."""
    _moved: dict[str, None] = field(default_factory=dict)
    """The refused ones for whom something has moved since they were looked at."""
    _ousted: dict[str, None] = field(default_factory=dict)
    _restless: dict[str, None] = field(default_factory=dict)
    """The refused ones of whom something else is to be said now."""
    _count: int = 0

    def judge(self, name: str, checked: Checked) -> Checked:
        """What was read, if all its addresses are its own; else without a spec, and with whose they are."""
        before = self._forget(name)
        self._said[name] = checked
        if checked.spec is None:
            return checked
        conflicts, awaited = self._conflicts(name, checked)
        if not conflicts:
            self._grant(name, tuple(dict.fromkeys(self._claims(name, checked.spec))))
            return checked
        self._count += 1
        self._wait(name, Refusal(before.since if before is not None else self._count, conflicts, awaited))
        self._give_up(name, {one.address for one in checked.spec.sockets})
        return Checked(None, (*checked.problems, *conflicts), checked.rows)

    def withdraw(self, name: str) -> None:
        """Its ini is gone."""
        self._forget(name)
        self._grant(name, ())

    def ousted(self, name: str) -> bool:
        """Has it lost what it had claimed, and not been judged since?"""
        return name in self._ousted

    def moved(self, addresses: Iterable[Address]) -> None:
        """To be told each time that ``holder`` has another answer for one of them."""
        for address in addresses:
            self._moved.update(self._waiting.get(address, {}))

    def unsettled(self) -> list[tuple[str, Checked]]:
        """Who has lost what they had claimed, and who was refused and would not be any more, or for another's sake.

        Judge them again; until then they are named each time.
        """
        for name in self._moved:
            refusal = self._refused[name]
            conflicts, awaited = self._conflicts(name, self._said[name])
            if conflicts != refusal.problems:
                self._restless[name] = None
            elif awaited != refusal.awaited:
                self._stop_waiting(name)
                self._wait(name, refusal._replace(awaited=awaited))
        self._moved.clear()
        names = dict.fromkeys((*self._ousted, *sorted(self._restless, key=self._turn)))
        return [(name, self._said[name]) for name in names]

    def _turn(self, name: str) -> tuple[bool, int]:
        return precedence(name, self._said[name])[0], self._refused[name].since

    def _forget(self, name: str) -> Refusal | None:
        for shelf in (self._moved, self._ousted, self._restless, self._said):
            shelf.pop(name, None)
        return self._stop_waiting(name)

    def _wait(self, name: str, refusal: Refusal) -> None:
        self._refused[name] = refusal
        if refusal.awaited is not None:
            self._waiting.setdefault(refusal.awaited, {})[name] = None

    def _stop_waiting(self, name: str) -> Refusal | None:
        refusal = self._refused.pop(name, None)
        if refusal is not None and refusal.awaited is not None:
            there = self._waiting[refusal.awaited]
            del there[name]
            if not there:
                del self._waiting[refusal.awaited]
        return refusal

    def _claims(self, name: str, spec: VassalSpec) -> tuple[Claim, ...]:
        own = Address(UNIX, posixpath.join(self.runtime, f"{name}.sock"))
        usual, uid = ADMINS if spec.authority.kind == ADMIN else OWNERS, spec.identity.uid
        return tuple(Claim(name, one.address, OWN if one.address == own else usual, uid) for one in spec.sockets)

    def _conflicts(self, name: str, checked: Checked) -> tuple[tuple[Problem, ...], Address | None]:
        """What is wrong, and which address is to move before anything else can help."""
        assert checked.spec is not None
        rows: Iterable[Row | None] = checked.rows or [None] * len(checked.spec.sockets)
        found: list[tuple[Problem, Address | None]] = []
        for claim, row in zip(self._claims(name, checked.spec), rows, strict=True):
            place = (row.path, row.line, row.key) if row is not None else (checked.spec.config, 0, "socket")
            obstacle = self._obstacle(claim, checked.spec)
            if self.control and claim.address.path == self.control:
                words = f"{claim.address} is the emperor's own control socket -- give the vassal another address"
                found.append((Problem(*place, words), None))
            elif obstacle is not None:
                found.append((Problem(*place, self._words(claim.address, obstacle)), obstacle.address))
        return tuple(problem for problem, _ in found), found[0][1] if found else None

    def _words(self, address: Address, obstacle: Obstacle) -> str:
        there = self._shelf.find(obstacle.name, obstacle.address)
        if there is not None and there.rank == GIVEN_UP:
            name = obstacle.name
            return (
                f"{address} is still open in vassal {name}, whose new ini is refused -- emperorctl stop {name} frees it"
            )
        return f"{address} is vassal {obstacle.name}'s already -- give one of the two another address"

    def _obstacle(self, claim: Claim, spec: VassalSpec) -> Obstacle | None:
        holder = self.holder(claim.address, spec)
        if holder not in ("", claim.name):
            return Obstacle(holder, claim.address)
        for rival in self._shelf.rivals(claim):
            if rival.rank <= claim.rank or self.holder(rival.address, spec) == rival.name:
                return Obstacle(rival.name, rival.address)
        return None

    def _give_up(self, name: str, named: set[Address]) -> None:
        """It was refused: what its newest ini does not name is its own only for as long as nobody else asks."""
        kept = [one if one.address in named else replace(one, rank=GIVEN_UP) for one in self._granted.get(name, ())]
        self._replace(name, tuple(kept))

    def _grant(self, name: str, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            for rival in list(self._shelf.rivals(claim)):
                # It was asked before: this one comes first.
                self._replace(rival.name, ())
                self._ousted[rival.name] = None
        self._replace(name, claims)

    def _replace(self, name: str, claims: tuple[Claim, ...]) -> None:
        before = self._granted.pop(name, ())
        for claim in before:
            self._shelf.take(claim)
        for claim in claims:
            self._shelf.put(claim)
        if claims:
            self._granted[name] = claims
        self.moved(claim.address for claim in {*before} ^ {*claims})


def judge_all(found: Sequence[tuple[str, Checked]], runtime: str) -> list[Checked]:
    """A dry run: the same inis as if an emperor saw them at its start. Of one name the first counts."""
    claims = Claims(runtime, lambda address, spec: "")
    judged = [checked for _, checked in found]
    place: dict[str, int] = {}
    for index in sorted(range(len(found)), key=lambda number: precedence(*found[number])):
        name, checked = found[index]
        if name not in place:
            place[name] = index
            judged[index] = claims.judge(name, checked)
    # One that came later may have had the better claim.
    for _ in range(len(found)):
        again = claims.unsettled()
        for name, checked in again:
            judged[place[name]] = claims.judge(name, checked)
        if not again:
            break
    return shared([(name, checked) for (name, _), checked in zip(found, judged, strict=True)])


def precedence(name: str, checked: Checked) -> tuple[bool, str]:
    """Of inis that are first seen at the same time: a user's would not be first by its letters."""
    return checked.spec is None or checked.spec.authority.kind != ADMIN, name


def _strangers(one: Claim, other: Claim) -> bool:
    """Inis of two users for one path. At most one of them can bind it; a word alone keeps no stranger from starting."""
    return min(one.rank, other.rank) >= OWNERS and one.uid != other.uid and one.address.family == UNIX


def _hosts_of(address: Address) -> tuple[int, bool]:
    return address.port, ":" in address.host
