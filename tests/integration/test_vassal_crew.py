"""The crew of a whole vassal: ordered another number on its channel, renewed, on every interpreter."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.supervision.channel import Crewed
from emperor.supervision.orders import Resize, encode
from emperor.system import library
from tests.integration.kernel_world import gone, unix, vassal_spec
from tests.integration.vassal_process_world import APP, Vassal, ask
from tests.requirements import needs

Start = Callable[..., Vassal]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return library.install(str(tmp_path_factory.mktemp("run")))


@pytest.fixture
def start(tmp_path: Path, launcher: str) -> Iterator[Start]:
    (tmp_path / "app.py").write_text(APP)
    vassals: list[Vassal] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a.sock"))
        listener.listen(64)

        def started(workers: int = 0, **more: Any) -> Vassal:
            spec = vassal_spec(tmp_path, unix(tmp_path / "a.sock"), **more)
            vassals.append(Vassal(spec, launcher, {0: listener.fileno()}, workers=workers))
            return vassals[-1]

        yield started
        for vassal in vassals:
            vassal.bury()


def has(vassal: Vassal, count: int) -> Callable[[], bool]:
    return lambda: [one.state for one in vassal.workers()] == ["idle"] * count


def order(vassal: Vassal, workers: int) -> None:
    vassal.channel.send(encode(Resize(workers)))


def test_an_order_on_the_channel_is_obeyed_and_answered(start: Start) -> None:
    vassal = start(processes=2).serving()
    vassal.wait(has(vassal, 2))
    assert vassal.heard(Crewed) == []
    order(vassal, 4)
    vassal.wait(lambda: vassal.heard(Crewed)[-1:] == [Crewed(4, 0)])
    vassal.wait(has(vassal, 4))
    order(vassal, 1)
    vassal.wait(lambda: vassal.heard(Crewed)[-1] == Crewed(1, 0))
    vassal.wait(has(vassal, 1))
    assert ask(vassal.spec).body == b"ok"


def test_a_vassal_without_workers_lives_on_until_it_is_told_to_drain(start: Start) -> None:
    vassal = start().serving()
    vassal.wait(has(vassal, 1))
    (worker,) = vassal.workers()
    order(vassal, 0)
    vassal.wait(lambda: vassal.heard(Crewed)[-1:] == [Crewed(0, 0)] and gone(worker.pid))
    assert not vassal.ended()
    order(vassal, 1)
    vassal.wait(lambda: vassal.heard(Crewed)[-1] == Crewed(1, 0))
    assert ask(vassal.spec).body == b"ok"
    order(vassal, 0)
    vassal.wait(lambda: vassal.heard(Crewed)[-1] == Crewed(0, 0))
    os.kill(vassal.child.pid, signal.SIGTERM)
    assert vassal.code() == 0


def test_it_begins_with_the_number_of_its_commission(start: Start) -> None:
    vassal = start(workers=3).serving()
    vassal.wait(has(vassal, 3))
    assert json.loads(ask(vassal.spec, "/facts").body)["multiprocess"] is True


def test_one_that_is_alone_by_order_is_not_alone_for_ever(start: Start) -> None:
    vassal = start(workers=1, processes=4).serving()
    vassal.wait(has(vassal, 1))
    assert json.loads(ask(vassal.spec, "/facts").body)["multiprocess"] is True


@pytest.mark.parametrize("python", ["", pytest.param("pypy3", marks=needs("pypy3"))])
def test_its_workers_are_renewed_and_their_requests_are_not_forgotten(start: Start, python: str) -> None:
    more = {"python": shutil.which(python)} if python else {}
    limits: dict[str, Any] = {
        "max_requests": 5,
        "max_requests_delta": 0,
        "min_worker_lifetime": 0.0,
        "reload_on_as": 1 << 50,
    }
    vassal = start(processes=2, **limits, **more).serving()
    vassal.wait(has(vassal, 2))
    asked = 0

    def renewed() -> bool:
        nonlocal asked
        assert ask(vassal.spec).body == b"ok"
        asked += 1
        return sum(one.renewals for one in vassal.workers()) >= 3

    vassal.wait(renewed)
    vassal.wait(lambda: sum(one.requests + one.earlier for one in vassal.workers()) == asked)
    assert all((one.exits, one.last_exit) == (0, "") for one in vassal.workers())
