"""Who follows a log, and may not any more: an ini may become somebody else's while it is read."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from emperor.answers.answers import Answers
from emperor.answers.realm import Realm
from emperor.control.connection import Reply
from emperor.control.messages import Peer, Policy, Request
from emperor.system.eventloop import Loop
from emperor.system.ring import Ring

ALICE, BOB = 1001, 1002


class Clock:
    """A loop that is turned by hand."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def now(self) -> float:
        return 0.0

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        self.due.append(act)

    def turn(self) -> None:
        now, self.due = self.due, []
        for act in now:
            act()


class Client:
    def __init__(self, uid: int) -> None:
        self.peer, self.gone, self.fd = Peer(uid, uid), False, 7
        self.heard: list[dict[str, Any]] = []

    def send(self, reply: dict[str, Any]) -> None:
        self.heard.append(reply)

    def finish(self, reply: dict[str, Any]) -> None:
        self.heard.append(reply)
        self.gone = True

    @property
    def lines(self) -> list[str]:
        return [line for reply in self.heard for line in (reply.get("data") or {}).get("lines", ())]


def test_a_follower_hears_nothing_of_an_ini_that_has_become_somebody_elses() -> None:
    rings, owners = {"blog": Ring(), "shop": Ring()}, {"blog": ALICE, "shop": ALICE}
    performers = {name: SimpleNamespace(ring=ring) for name, ring in rings.items()}
    realm = SimpleNamespace(vassals=owners, performers=performers, owner=owners.get, stopping=False)
    clock, alice = Clock(), Client(ALICE)
    answers = Answers(cast(Realm, realm), Policy(own_uid=0), cast(Loop, clock))
    answers(Request("logs", ("blog", "shop"), {"follow": True}), alice.peer, cast(Reply, alice))
    rings["blog"].add("hers")
    clock.turn()
    owners["blog"] = BOB
    rings["blog"].add("his")
    rings["shop"].add("still hers")
    clock.turn()
    assert alice.lines == ["hers", "still hers"] and not alice.gone
    assert [one["data"]["name"] for one in alice.heard if one["data"].get("gone")] == ["blog"]
    owners["shop"] = BOB
    rings["shop"].add("his too")
    clock.turn()
    assert alice.gone and alice.lines == ["hers", "still hers"] and clock.due == []
