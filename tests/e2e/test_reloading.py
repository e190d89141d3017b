"""A change that is wrong never takes down what runs, and one that is right loses no request."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import wait_for


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site", processes=2)
    vassal.running()
    return vassal


def test_reloads_lose_no_request(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    inode = os.stat(site.socket).st_ino
    with site.crowd() as crowd:
        for _ in range(4):
            assert daemon.ctl("reload", "site").returncode == 0
            fresh = site.replaced(row)
            assert fresh["generation"] > row["generation"]
            row = fresh
    assert crowd.refused == crowd.lost == []
    assert len(set(crowd.pids)) > 2
    assert os.stat(site.socket).st_ino == inode


def test_a_restart_refuses_nobody(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    with site.crowd() as crowd:
        wait_for(lambda: crowd.answered, what="answers")
        assert daemon.ctl("restart", "site").returncode == 0
        site.replaced(row)
    assert crowd.refused == crowd.lost == []


def test_the_old_generation_serves_until_the_new_is_ready(daemon: Emperor, site: Vassal) -> None:
    """The new one hangs in its import for as long as the test wants."""
    row = site.row()
    gate = site.folder / "gate"
    source = (site.folder / "app.py").read_text()
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    (site.folder / "app.py").write_text(wait + source.replace('GENERATION = "one"', 'GENERATION = "two"'))
    os.utime(site.ini)
    site.state("RELOADING")
    for _ in range(10):
        assert site.get().json["generation"] == "one"
    assert procfs.alive(row["pid"])
    gate.touch()
    site.replaced(row)
    wait_for(lambda: site.get().json["generation"], lambda seen: seen == "two", "the new generation")
    wait_for(lambda: procfs.alive(row["pid"]), lambda alive: not alive, "the old one is gone")


def test_a_request_in_flight_is_finished_by_the_old_generation(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    folder = site.folder / "held"
    folder.mkdir()
    site.own(folder)
    visitor = site.visitor(f"/hold?{folder}")
    wait_for((folder / "started").exists, what="a request in flight")
    os.utime(site.ini)
    site.until(lambda now: now["pid"] != row["pid"], "the new generation")
    assert visitor.waits
    assert site.get().status == 200
    (folder / "go").touch()
    assert visitor.answer().json["held"] in {worker["pid"] for worker in row["workers"]}
    wait_for(lambda: procfs.alive(row["pid"]), lambda alive: not alive, "the old one is gone")


def still_serves(daemon: Emperor, site: Vassal, pid: int) -> None:
    now = site.row()
    assert (now["state"], now["pid"]) == ("RUNNING", pid)
    assert site.get().json["generation"] == "one"
    assert daemon.ctl("status").returncode == 3
    assert daemon.ctl("status", "site").returncode == 3


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"processes": "many"}, "processes"),
        ({"chmod_socket": "9"}, "chmod-socket"),
        ({"uid": "nobody-at-all"}, "uid"),
    ],
)
def test_a_wrong_ini_leaves_the_old_generation_serving(
    daemon: Emperor, site: Vassal, change: dict[str, str], key: str
) -> None:
    row = site.row()
    site.write(**change)
    now = site.until(lambda now: now["error"], "an error")
    assert re.search(rf"{re.escape(str(site.ini))}:\d+: {key}: \S", now["error"]), now["error"]
    line = int(now["error"].split(f"{site.ini}:")[1].split(":")[0])
    assert site.ini.read_text().splitlines()[line - 1].startswith(key)
    still_serves(daemon, site, row["pid"])
    assert now["error"] in daemon.ctl("status", "site").stdout


@pytest.mark.parametrize("text", ["[uwsgi\nmodule", "not an ini at all", "[uwsgi]\nwsgi-file = gone.py\n", ""])
def test_a_half_written_ini_leaves_the_old_generation_serving(daemon: Emperor, site: Vassal, text: str) -> None:
    row = site.row()
    site.ini.write_text(text)
    site.until(lambda now: now["error"], "an error")
    still_serves(daemon, site, row["pid"])


@pytest.mark.parametrize("source", ["broken_import.py", "dies_at_import.py"])
def test_an_app_that_no_longer_imports_leaves_the_old_generation_serving(
    daemon: Emperor, site: Vassal, source: str
) -> None:
    row = site.row()
    site.app(source)
    os.utime(site.ini)
    site.until(lambda now: now["error"] and now["state"] == "RUNNING", "an error")
    still_serves(daemon, site, row["pid"])


def test_mending_the_ini_clears_the_error(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    site.write(processes="many")
    site.until(lambda now: now["error"], "an error")
    site.write(processes=1)
    site.replaced(row)
    assert not site.row()["error"]
    assert daemon.ctl("status").returncode == 0


def test_every_problem_of_an_ini_is_shown_at_once(daemon: Emperor) -> None:
    site = daemon.add("site", processes="many", threads="-1", chmod_socket="9")
    site.state("INVALID")
    shown = daemon.ctl("status", "site").stdout
    for key in ("processes", "threads", "chmod-socket"):
        assert re.search(rf"site\.ini:\d+: {key}: ", shown), shown


def test_a_vassal_whose_first_ini_is_wrong_starts_when_it_is_mended(daemon: Emperor) -> None:
    site = daemon.add("site", processes="many")
    site.state("INVALID")
    site.write(processes=1).running()


def test_a_reload_that_fails_exits_1_and_says_why(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    site.app("broken_import.py")
    done = daemon.ctl("reload", "site")
    assert done.returncode == 1
    assert "a_module_that_nobody_has" in done.stdout + done.stderr
    still_serves(daemon, site, row["pid"])


def test_hangup_reloads_all(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    daemon.signal(signal.SIGHUP)
    site.replaced(row)


def test_a_changed_socket_is_bound_anew_and_the_old_one_unlinked(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    old = site.socket
    site.write(socket=daemon.run / "elsewhere.sock")
    site.replaced(row)
    assert site.get().status == 200
    wait_for(lambda: Path(old).exists(), lambda there: not there, "the old socket is unlinked")


def test_a_changed_mode_reaches_the_bound_socket(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    site.write(chmod_socket="606")
    site.replaced(row)
    wait_for(lambda: os.stat(site.socket).st_mode & 0o777, lambda mode: mode == 0o606, "the new mode")
