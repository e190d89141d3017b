"""Fifty apps that sleep: nobody runs, everybody is answered, and they sleep again as they slept before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Row, Vassal
from tests.e2e.harness.hostile import settled_descriptors
from tests.e2e.harness.waiting import wait_for

MANY = 50
PATIENCE = 60.0


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor()


@pytest.fixture
def sites(daemon: Emperor) -> list[Vassal]:
    """Their inis are there before the emperor is."""
    found = [daemon.add(f"site{number}", on_demand="true", idle=2) for number in range(MANY)]
    daemon.start()
    return found


def all_sleep(daemon: Emperor) -> None:
    def good(rows: list[Row]) -> bool:
        return len(rows) == MANY and all(row["state"] == "IDLE" and not row["error"] for row in rows)

    daemon.wait_for(good, "all of them asleep", PATIENCE)
    wait_for(lambda: procfs.descendants(daemon.pid), lambda below: not below, "no process below the emperor", PATIENCE)


def wake(sites: Sequence[Vassal]) -> set[int]:
    """All at once; who answered."""
    visitors = [site.visitor() for site in sites]
    answers = [visitor.answer() for visitor in visitors]
    assert [answer.status for answer in answers] == [200] * MANY
    return {int(answer.json["pid"]) for answer in answers}


def test_all_sleep_all_answer_and_all_sleep_again(daemon: Emperor, sites: list[Vassal]) -> None:
    all_sleep(daemon)
    assert not any(site.import_pids() for site in sites)
    before = settled_descriptors(daemon)
    for times in (1, 2):
        assert len(wake(sites)) == MANY
        all_sleep(daemon)
        assert {len(site.import_pids()) for site in sites} == {times}
        assert settled_descriptors(daemon) == before
    assert {row["restarts"] for row in daemon.status()} == {0}
    assert daemon.ctl("status").returncode == 0


def test_an_order_to_all_that_sleep_wakes_nobody(daemon: Emperor, sites: list[Vassal]) -> None:
    all_sleep(daemon)
    assert daemon.ctl("reload", "all").returncode == 0
    told = daemon.ctl("upgrade")
    assert told.returncode == 0, told.stderr
    all_sleep(daemon)
    assert not any(site.import_pids() for site in sites)
    assert sites[-1].get().status == 200
