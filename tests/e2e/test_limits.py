"""What an app's processes may take is what its ini says; the kernel tells."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Row
from tests.e2e.harness.people import Users
from tests.requirements import needs

MEGABYTE = 2**20
LIMITS = {"nofile": "Max open files", "nproc": "Max processes", "as": "Max address space"}


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def limits(pid: int, name: str) -> list[str]:
    """Soft and hard."""
    rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(LIMITS[name])]
    return re.split(r"  +", row)[1:3]


def niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def worker(row: Row) -> int:
    pid: int = row["workers"][0]["pid"]
    return pid


def test_workers_have_what_the_ini_says_and_the_emperor_stays_as_it_is(daemon: Emperor) -> None:
    before = {name: limits(daemon.pid, name) for name in LIMITS}
    site = daemon.add("site", app="greedy.py", limit_nofile=100, limit_nproc=200, limit_as=512, nice=7, processes=2)
    row = site.running()
    for one in row["workers"]:
        assert limits(one["pid"], "nofile") == ["100", "100"]
        assert limits(one["pid"], "nproc") == ["200", "200"]
        assert limits(one["pid"], "as") == [str(512 * MEGABYTE)] * 2
        assert niceness(one["pid"]) == niceness(daemon.pid) + 7
    assert {name: limits(daemon.pid, name) for name in LIMITS} == before
    at_import = site.get("/").json["at_import"]
    assert at_import["RLIMIT_AS"] == [512 * MEGABYTE] * 2
    assert [at_import[name][0] for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC")] == [100, 200]


def test_an_ini_that_says_nothing_leaves_all_as_it_is(daemon: Emperor) -> None:
    row = daemon.add("site", app="greedy.py").running()
    assert {name: limits(worker(row), name) for name in LIMITS} == {name: limits(row["pid"], name) for name in LIMITS}
    assert niceness(worker(row)) == niceness(daemon.pid)


def test_an_app_imported_in_its_worker_has_them_at_its_import(daemon: Emperor) -> None:
    site = daemon.add("site", app="greedy.py", limit_nofile=100, lazy_apps="true")
    row = site.running()
    assert limits(worker(row), "nofile") == ["100", "100"]
    assert site.get("/").json["at_import"]["RLIMIT_NOFILE"] == [100, 100]


def test_too_much_memory_is_a_memory_error_and_nobody_dies(daemon: Emperor) -> None:
    site = daemon.add("site", app="greedy.py", limit_as=512)
    row = site.running()
    assert site.get("/memory?64").status == 200
    assert site.get("/memory?800").status == 500
    assert site.get("/memory?64").status == 200
    assert (site.row()["pid"], worker(site.row())) == (row["pid"], worker(row))
    assert "MemoryError" in daemon.ctl("logs", "site").stdout


def test_descriptors_come_to_an_end_and_the_worker_serves_on(daemon: Emperor) -> None:
    site = daemon.add("site", app="greedy.py", limit_nofile=100)
    row = site.running()
    answer = site.get("/descriptors").json
    assert 50 < answer["got"] < 100
    assert answer["error"] == os.strerror(24)
    assert worker(site.row()) == worker(row)


def test_descriptors_rise_above_the_inherited_soft_limit(daemon: Emperor) -> None:
    soft, hard = map(int, limits(daemon.pid, "nofile"))
    if soft == hard:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft := soft // 2, hard))
    site = daemon.add("site", app="greedy.py", limit_nofile=soft + 10)
    assert limits(worker(site.running()), "nofile") == [str(soft + 10)] * 2


@needs("root")
def test_more_than_the_hard_limit_is_one_clear_line(daemon: Emperor) -> None:
    _, hard = map(int, limits(daemon.pid, "nofile"))
    site = daemon.add("site", app="greedy.py", limit_nofile=hard + 1)
    row = site.state("BACKOFF")
    line = f"limit-nofile = {hard + 1}: cannot be set: more than the {hard} that this user may have"
    assert row["error"].startswith(line)
    done = daemon.ctl("check", "--import", str(site.ini))
    assert done.returncode == 1
    assert line in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@needs("root")
def test_a_niceness_beyond_ones_rights_is_one_clear_line(daemon: Emperor) -> None:
    site = daemon.add("site", app="greedy.py", nice=-5)
    assert site.state("BACKOFF")["error"].startswith("nice = -5: cannot be set: ")


def test_less_memory_than_the_interpreter_has_is_one_clear_line(daemon: Emperor) -> None:
    site = daemon.add("site", app="greedy.py", limit_as=8)
    assert site.state("BACKOFF")["error"].startswith("limit-as = 8 MB: too little: ")


@needs("root")
def test_fewer_processes_than_a_worker_has_threads_are_one_clear_line(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor(owner=users.bob).start()
    site = daemon.add("site", app="greedy.py", limit_nproc=3, threads=8)
    row = site.state("BACKOFF")
    assert re.match(r"limit-nproc = 3: too few: only \d of 8 threads can be started beside what else ", row["error"])


@needs("root")
def test_an_app_that_forks_without_end_is_stopped_and_can_be_replaced(emperor: StartEmperor, users: Users) -> None:
    # Whoever has other processes would have fewer here.
    daemon = emperor(owner=users.bob).start()
    site = daemon.add("site", app="greedy.py", limit_nproc=20)
    row = site.running()
    answer = site.get("/processes?100").json
    assert 5 < answer["got"] < 20
    assert answer["error"] == os.strerror(11)
    os.kill(worker(row), 9)
    site.until(lambda now: worker(now) not in (0, worker(row)) and now["workers"][0]["state"] == "idle", "another")
    assert site.row()["pid"] == row["pid"]


@needs("pypy3")
def test_pypy_is_held_to_them_too(daemon: Emperor) -> None:
    site = daemon.place("site", app="greedy.py", python="/usr/bin/pypy3", start_timeout=60)
    site.write(limit_nofile=100, limit_nproc=200, nice=3)
    row = site.running(60)
    assert limits(worker(row), "nofile") == ["100", "100"]
    assert limits(worker(row), "nproc") == ["200", "200"]
    assert niceness(worker(row)) == niceness(daemon.pid) + 3
    assert site.get("/descriptors").json["error"] == os.strerror(24)
