"""Whose questions wait for each other, as they come in from the control socket."""

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

ROOT, ALICE, BOB = 0, 1001, 1002


class Clock:
    def __init__(self) -> None:
        self.time, self.due = 100.0, list[tuple[float, Callable[[], None]]]()

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        self.due.append((when, act))

    def go(self, seconds: float) -> None:
        self.time += seconds
        ripe = [act for when, act in self.due if when <= self.time]
        self.due = [one for one in self.due if one[0] > self.time]
        for act in ripe:
            act()


class Client:
    def __init__(self, uid: int) -> None:
        self.peer, self.gone, self.fd = Peer(uid, uid), False, 7
        self.answered = False

    def send(self, reply: dict[str, Any]) -> None:
        pass

    def finish(self, reply: dict[str, Any]) -> None:
        assert reply["ok"], reply
        self.answered = True


def test_after_a_question_that_took_long_its_asker_waits_and_neither_root_nor_anybody_else_does() -> None:
    clock, owners = Clock(), {"hers": ALICE, "his": BOB}

    def owner(name: str) -> int:
        clock.time += 0.1
        return owners[name]

    performers = {name: SimpleNamespace(ring=Ring()) for name in owners}
    realm = SimpleNamespace(vassals=owners, performers=performers, owner=owner, stopping=False)
    answers = Answers(cast(Realm, realm), Policy(own_uid=ROOT), cast(Loop, clock))

    def ask(uid: int, name: str) -> Client:
        client = Client(uid)
        answers(Request("logs", (name,), {}), client.peer, cast(Reply, client))
        return client

    assert ask(ALICE, "hers").answered
    second, third = ask(ALICE, "hers"), ask(ALICE, "hers")
    assert not second.answered
    assert ask(ROOT, "hers").answered
    assert ask(BOB, "his").answered
    while not second.answered:
        clock.go(0.01)
    assert not third.answered, "one at a time"
    while clock.due:
        clock.go(0.01)
    assert third.answered
