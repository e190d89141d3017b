"""However many vassals a user has, there are descriptors left for those of all others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from emperor.errors import SpawnError
from emperor.model import ADMIN, OWNER, UNIX, UWSGI, Address, Authority, SocketSpec, VassalSpec
from emperor.system import limits
from emperor.tending import shares
from emperor.tending.shares import KEPT, Claim
from tests.integration.kernel_world import vassal_spec

ALICE, BOB = 1001, 1002
MOST, OWN = 300, 25
"""Descriptors, and those that an emperor has without vassals."""


def spec_of(uid: int | None, sockets: int = 1) -> VassalSpec:
    named = [SocketSpec(UWSGI, Address(UNIX, f"/run/x/{number}")) for number in range(sockets)]
    authority = Authority(ADMIN) if uid is None else Authority(OWNER, uid)
    return dataclasses.replace(vassal_spec(Path("/srv"), *named), authority=authority)


@dataclasses.dataclass
class Hands:
    claim: Claim


class Realm:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hands: list[Hands] = []
        monkeypatch.setattr(limits, "descriptors", lambda: (self.taken, MOST))

    @property
    def taken(self) -> int:
        return OWN + sum(one.claim.open for one in self.hands)

    def begins(self, uid: int | None, *, asleep: bool, sockets: int = 1) -> bool:
        try:
            shares.require_room(Claim(), spec_of(uid, sockets), self.hands, len(self.hands))
            limits.keep_reserve(8 + sockets)
        except SpawnError:
            return False
        self.hands.append(Hands(Claim(uid, sockets, 0 if asleep else 1)))
        return True

    def fill(self, uid: int | None, *, asleep: bool) -> int:
        found = 0
        while self.begins(uid, asleep=asleep):
            found += 1
            assert found < MOST
        return found


@pytest.fixture
def realm(monkeypatch: pytest.MonkeyPatch) -> Realm:
    return Realm(monkeypatch)


@pytest.mark.parametrize("asleep", [True, False])
def test_one_user_s_vassals_leave_as_much_as_they_take(realm: Realm, asleep: bool) -> None:
    assert realm.fill(BOB, asleep=asleep) >= 20
    theirs = sum(one.claim.weight for one in realm.hands)
    assert theirs <= MOST - OWN - theirs
    assert realm.fill(ALICE, asleep=asleep) >= 8
    assert realm.begins(1003, asleep=asleep)


def test_all_who_were_let_in_can_be_woken(realm: Realm) -> None:
    for uid in (BOB, ALICE, 1003):
        realm.fill(uid, asleep=True)
    for one in realm.hands:
        assert shares.more(one.claim, spec_of(one.claim.uid)) == 0
        limits.keep_reserve(8)
        one.claim = one.claim._replace(processes=1)


def test_what_is_there_can_be_reloaded_and_more_sockets_count(realm: Realm) -> None:
    realm.fill(BOB, asleep=False)
    own = realm.hands[0].claim
    shares.require_room(own, spec_of(BOB), realm.hands, len(realm.hands))
    with pytest.raises(SpawnError):
        shares.require_room(own, spec_of(BOB, sockets=20), realm.hands, len(realm.hands))


def test_an_administrator_s_inis_have_no_share(realm: Realm) -> None:
    realm.fill(BOB, asleep=True)
    assert realm.fill(None, asleep=True) > 20


def test_the_word_says_whose_and_how_many_and_what_mends_it(realm: Realm) -> None:
    realm.fill(BOB, asleep=True)
    spec = spec_of(BOB)
    with pytest.raises(SpawnError) as caught:
        shares.require_room(Claim(), spec, realm.hands, len(realm.hands))
    had = sum(one.claim.weight for one in realm.hands) + 1 + KEPT
    left = MOST - limits.reserve(MOST) - OWN - had
    assert str(caught.value) == (
        f"start: vassals of {spec.identity.user} would need {had} of {MOST} descriptors, and leave {left} for all "
        "others -- raise LimitNOFILE= or ulimit -n, or remove some"
    )
    assert limits.is_short(str(caught.value))


def test_when_some_are_gone_the_next_begins(realm: Realm) -> None:
    realm.fill(BOB, asleep=True)
    assert not realm.begins(BOB, asleep=True)
    realm.hands.pop()
    assert realm.begins(BOB, asleep=True)


def test_few_vassals_are_not_counted() -> None:
    class Uncounted:
        @property
        def claim(self) -> Claim:
            raise AssertionError

    taken, most = limits.descriptors()
    assert 2 * (taken + KEPT + 5) < most
    shares.require_room(Claim(), spec_of(BOB), [Uncounted()], 1)
