"""What goes wrong while an app runs is seen in ``emperorctl status``: workers that die, logs that cannot be written."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def line_of(daemon: Emperor, name: str) -> tuple[int, str]:
    """The exit code of ``emperorctl status``, and the vassal's line."""
    done = daemon.ctl("status")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
    return done.returncode, line


def with_exits(site: Vassal, count: int) -> dict[str, object]:
    return site.until(lambda row: row.get("worker_exits", 0) >= count, f"{count} exits")


def test_a_worker_that_died_once_is_told_and_all_is_well(daemon: Emperor) -> None:
    site = daemon.add("site", processes=2)
    row = site.running()
    os.kill(row["workers"][1]["pid"], signal.SIGKILL)
    row = site.until(lambda row: row["worker_exits"] == 1 and row["workers"][1]["state"] == "idle", "one exit")
    worker = row["workers"][1]
    assert (worker["exits"], worker["last_exit"], worker["retry_in"]) == (1, "killed by SIGKILL", None)
    assert 0 <= worker["last_exit_ago"] < 60
    assert (row["workers"][0]["exits"], row["workers"][0]["last_exit"]) == (0, None)
    assert (row["restarts"], row["serves"]) == (0, True)
    code, line = line_of(daemon, "site")
    assert code == 0
    assert "warning: worker 2: killed by SIGKILL, " in line
    assert "1 exit: killed by SIGKILL" in daemon.ctl("status", "site").stdout


def test_a_request_that_kills_its_worker_is_told(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_young.py", processes=2)
    site.running()
    for _ in range(3):
        with suppress(ConnectionError):
            site.get("/kill")
        assert site.get("/").text == "alive"
    row = with_exits(site, 3)
    assert "killed by SIGSEGV" in str(row["warnings"])
    assert "killed by SIGSEGV" in line_of(daemon, "site")[1]


def test_when_no_worker_lives_status_says_so_and_exits_three(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_young.py")
    row = site.running()
    (site.folder / "die").touch()
    os.kill(row["workers"][0]["pid"], signal.SIGKILL)
    # A pause that is long enough to be looked at twice.
    row = site.until(lambda row: row["serves"] is False and (row["workers"][0]["retry_in"] or 0) > 5, "nobody serves")
    assert row["state"] == "RUNNING"
    assert row["workers"][0]["last_exit"] == "exited with code 3"
    code, line = line_of(daemon, "site")
    assert code == 3
    assert "RUNNING" in line and "warning: no worker serves: exited with code 3, " in line
    (site.folder / "die").unlink()
    site.until(lambda row: row["serves"] and row["workers"][0]["state"] == "idle", "it serves again")
    assert daemon.ctl("status").returncode == 0
    assert site.get("/").text == "alive"


def test_an_option_that_nobody_knows_is_marked_in_the_list(daemon: Emperor) -> None:
    site = daemon.add("site", procesess=2)
    site.running()
    code, line = line_of(daemon, "site")
    assert code == 0
    assert f"warning: {site.ini}:" in line and "did you mean processes?" in line


@needs("root")
def test_a_log_of_roots_that_cannot_be_opened_is_told_and_the_app_serves(daemon: Emperor) -> None:
    place = daemon.root / "log.d"
    place.mkdir(mode=0o755)
    site = daemon.add("site", logto=place)
    site.running()
    code, line = line_of(daemon, "site")
    assert code == 0
    assert f"warning: logto {place}: Is a directory" in line
    assert f"logto {place}: Is a directory" in daemon.ctl("status", "site").stdout
    assert site.get().status == 200


def test_the_journal_says_where_it_serves(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    daemon.wait_for_log(f"STARTING -> RUNNING (generation 1): serves on {site.socket} (uwsgi)")


PRINTS_LATE = """
import os, sys, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/late":
        open("started", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
        for _ in range(3):
            print("done", flush=True)
            print("done", file=environ["wsgi.errors"], flush=True)
            sys.stderr.write("done\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"late"]
"""


def test_a_request_in_flight_may_print_after_its_vassal_was_killed(daemon: Emperor) -> None:
    site = daemon.place("site")
    (site.folder / "app.py").write_text(PRINTS_LATE)
    site.write()
    row = site.running()
    visitor = site.visitor("/late")
    wait_for((site.folder / "started").exists, what="a request in flight")
    os.kill(row["pid"], signal.SIGKILL)
    site.replaced(row)
    (site.folder / "go").touch()
    response = visitor.answer()
    assert (response.status, response.text) == (200, "late")
