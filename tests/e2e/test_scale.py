"""``emperorctl scale`` as a command: whom it waits for, what it says, who may. What it does: ``test_scaling.py``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Row, Vassal
from tests.e2e.harness.people import Users
from tests.requirements import needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site")
    vassal.running()
    return vassal


def scale(site: Vassal, workers: int, *options: str) -> subprocess.CompletedProcess[str]:
    return site.emperor.ctl("scale", site.name, str(workers), *options)


def serve(workers: int) -> Callable[[Row], bool]:
    def good(row: Row) -> bool:
        return row.get("state") == "RUNNING" and [one["state"] for one in row["workers"]] == ["idle"] * workers

    return good


def test_as_many_as_there_are_is_well_and_said(site: Vassal) -> None:
    assert scale(site, 1).returncode == 0
    assert "to 1 worker by an order" in site.emperor.ctl("status", "site").stdout
    assert site.until(serve(1), "one serves")["scaled"] == 1


def test_it_waits_for_what_is_in_flight_unless_it_is_told_not_to(site: Vassal) -> None:
    assert scale(site, 2).returncode == 0
    visitor, go = site.hold()
    with site.emperor.ctl_started("scale", "site", "1") as waits:
        assert scale(site, 1, "--no-wait").returncode == 0
        go.touch()
        assert waits.wait(30) == 0
    assert visitor.answer().status == 200
    site.until(serve(1), "one serves")


def test_a_change_of_the_ini_keeps_it_unless_it_is_the_number(site: Vassal) -> None:
    assert scale(site, 3).returncode == 0
    row = site.row()
    site.write(env=[site.options["env"], "GREETING=hello"])
    site.until(lambda now: now["pid"] != row["pid"] and serve(3)(now), "three serve")
    site.write(processes=2)
    row = site.until(serve(2), "as many as the ini says")
    assert row["scaled"] is None
    assert "Scaled" not in site.emperor.ctl("status", "site").stdout


def test_the_answer_for_programs_is_that_of_every_order(site: Vassal) -> None:
    (one,) = json.loads(scale(site, 2, "--json").stdout)
    assert (one["name"], one["ok"], one["message"]) == ("site", True, "2 workers")
    assert one["seconds"] >= 0


def test_who_is_not_there_is_told_from_who_cannot_be_started(daemon: Emperor) -> None:
    assert daemon.ctl("scale", "nobody", "2").returncode == 6
    daemon.place("broken").write(processes="many")
    daemon.wait_for(lambda rows: [one["state"] for one in rows] == ["INVALID"], "it is INVALID")
    assert daemon.ctl("scale", "broken", "2").returncode == 6


@needs("root")
def test_users_scale_their_own_and_nobody_elses(daemon: Emperor, users: Users) -> None:
    site = daemon.add("hers", users.alice)
    site.running()
    assert daemon.ctl("scale", "hers", "2", person=users.bob).returncode == 4
    assert site.row()["scaled"] is None
    assert daemon.ctl("scale", "hers", "2", person=users.alice).returncode == 0
    site.until(serve(2), "two serve")
