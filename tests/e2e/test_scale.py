"""``emperorctl scale``: what it does, how long it holds, who may, and what it says."""

from __future__ import annotations

import json
import os
import signal
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


def test_more_and_fewer_without_a_restart_or_an_import(site: Vassal) -> None:
    before = site.row()
    for workers in (3, 1, 2):
        done = scale(site, workers)
        assert done.returncode == 0, done
        assert done.stdout.startswith(f"site: {workers} worker{'s' if workers > 1 else ''}")
        row = site.until(serve(workers), f"{workers} serve")
        assert (row["pid"], row["generation"], row["scaled"]) == (before["pid"], before["generation"], workers)
    assert len(site.import_pids()) == 1
    assert site.row()["worker_exits"] == 0


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


def test_reloads_crashes_and_upgrades_keep_it(site: Vassal) -> None:
    assert scale(site, 3).returncode == 0
    assert site.emperor.ctl("reload", "site").returncode == 0
    row = site.until(serve(3), "three serve after a reload")
    os.kill(row["pid"], signal.SIGKILL)
    site.until(lambda now: now["pid"] != row["pid"] and serve(3)(now), "three serve after a crash")
    assert site.emperor.ctl("upgrade").returncode == 0
    assert site.row()["scaled"] == 3
    assert scale(site, 2).returncode == 0
    site.until(serve(2), "two serve after an upgrade")


def test_a_change_of_the_ini_keeps_it_unless_it_is_the_number(site: Vassal) -> None:
    assert scale(site, 3).returncode == 0
    row = site.row()
    site.write(env=[site.options["env"], "GREETING=hello"])
    site.until(lambda now: now["pid"] != row["pid"] and serve(3)(now), "three serve")
    site.write(processes=2)
    row = site.until(serve(2), "as many as the ini says")
    assert row["scaled"] is None
    assert "Scaled" not in site.emperor.ctl("status", "site").stdout


def test_a_stop_ends_it(site: Vassal) -> None:
    assert scale(site, 3).returncode == 0
    assert site.emperor.ctl("stop", "site").returncode == 0
    done = scale(site, 2)
    assert done.returncode == 1 and "emperorctl start site" in done.stderr
    assert site.emperor.ctl("start", "site").returncode == 0
    assert site.until(serve(1), "as the ini says")["scaled"] is None


def test_one_that_sleeps_has_so_many_when_it_wakes(daemon: Emperor) -> None:
    site = daemon.add("site", on_demand="true")
    site.state("IDLE")
    done = scale(site, 2)
    assert done.returncode == 0 and "next start" in done.stdout
    assert site.row()["state"] == "IDLE"
    assert site.get().status == 200
    site.until(serve(2), "two serve")


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
