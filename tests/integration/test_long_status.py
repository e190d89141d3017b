"""The status of very many vassals: in pieces, as fast as the client reads, and whoever asks meanwhile is answered."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from emperor.answers.answers import Answers
from emperor.answers.realm import Realm
from emperor.control import client, messages
from emperor.control.connection import ANSWER_LIMIT
from emperor.control.messages import Policy, Request
from emperor.control.server import ControlServer
from emperor.supervision.reports import WorkerReport
from emperor.system.eventloop import Loop

PATIENCE = 30.0
VASSALS, WORKERS = 2500, 8
WORKER = asdict(WorkerReport(1, 102, "idle", 7, 0, 4096))


class Empire:
    """As much of a realm as ``status`` looks at."""

    def __init__(self, count: int) -> None:
        self.vassals = {f"v{number}": SimpleNamespace() for number in range(count)}
        self.shown: list[str] = []

    def show(self, name: str, lines: int, numbers: bool = False) -> dict[str, Any]:
        self.shown.append(name)
        return {"name": name, "workers": [WORKER] * WORKERS, "lines": ["x" * 100] * lines, "numbers": numbers}

    def trouble(self) -> str:
        return ""

    def owner(self, name: str) -> int | None:
        return os.geteuid()


class Served:
    def __init__(self, path: str) -> None:
        self.path, self.realm, self.errors = path, Empire(VASSALS), list[BaseException]()
        loop = Loop(self.errors.append)
        policy = Policy(own_uid=os.geteuid())
        self.answers = Answers(cast(Realm, self.realm), policy, loop)
        self.server = ControlServer(loop, path, self.answers, policy)
        ours, self._stop = socket.socketpair()
        loop.watch(ours.fileno(), loop.stop)
        self._thread = threading.Thread(target=self._run, args=(loop, ours))
        self._thread.start()

    def _run(self, loop: Loop, ours: socket.socket) -> None:
        loop.run()
        self.server.close()
        loop.close()
        ours.close()

    def close(self) -> None:
        self._stop.send(b"x")
        self._thread.join(PATIENCE)
        self._stop.close()
        assert self.errors == []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(str(tmp_path / "control.sock"))
    yield one
    one.close()


def names(replies: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for reply in replies for one in reply.get("data") or ()]


@pytest.mark.parametrize("numbers", [False, True])
def test_an_answer_that_is_too_large_for_one_message_comes_in_several(served: Served, numbers: bool) -> None:
    options = {"numbers": True} if numbers else {}
    replies = list(client.call(served.path, Request("status", (), options), PATIENCE))
    assert all(reply["ok"] for reply in replies) and replies[-1]["end"] and replies[-1]["exit"] == 0
    assert names(replies) == sorted(served.realm.vassals)
    assert {one["numbers"] for reply in replies for one in reply.get("data") or ()} == {numbers}
    sizes = [len(messages.encode_reply(reply)) for reply in replies]
    assert sum(sizes) > ANSWER_LIMIT > 4 * max(sizes)


def test_a_few_vassals_are_one_reply(served: Served) -> None:
    (reply,) = client.call(served.path, Request("status", ("v1", "v2"), {"lines": 3}), PATIENCE)
    assert (names([reply]), reply["end"], len(reply["data"][0]["lines"])) == (["v1", "v2"], True, 3)


def test_a_client_that_does_not_read_is_shown_no_more_and_keeps_nobody_waiting(served: Served) -> None:
    asking = client.call(served.path, Request("status"), PATIENCE)
    first = next(asking)
    (other,) = client.call(served.path, Request("status", ("v7",)), PATIENCE)
    assert names([other]) == ["v7"]
    assert len(served.realm.shown) < VASSALS // 2
    # And what is shown after that is what is there by then.
    last, gone = sorted(served.realm.vassals)[-2:]
    del served.realm.vassals[gone]
    replies = [first, *asking]
    assert names(replies)[-1] == last and replies[-1]["end"]


def test_who_is_not_there_is_said_with_the_first_piece(served: Served) -> None:
    wanted = tuple(f"v{number}" for number in range(500))
    replies = list(client.call(served.path, Request("status", ("nobody", *wanted)), PATIENCE))
    assert names(replies) == list(wanted) and len(replies) > 1
    assert "nobody: no such vassal" in replies[0]["error"]
