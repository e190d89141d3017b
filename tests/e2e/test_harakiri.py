"""A request that takes too long ends its worker, and nobody else's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.protocol import uwsgi
from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Row, Vassal
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import PASS
from tests.e2e.harness.wire import connect, params
from tests.requirements import needs

LIMIT = 1


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def pids(row: Row) -> set[int]:
    return {worker["pid"] for worker in row["workers"] if worker["pid"]}


def logged(site: Vassal) -> list[str]:
    done = site.emperor.ctl("logs", "-n", "500", site.name)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def fallen(site: Vassal, times: int = 1) -> Row:
    """Wait until so many of its workers have died, and all seats are taken again."""
    return site.until(
        lambda row: (
            sum(one["exits"] for one in row["workers"]) >= times
            and all(one["state"] == "idle" for one in row["workers"])
        ),
        "a worker is killed and replaced",
    )


def position(lines: list[str], words: str) -> int:
    return next((number for number, line in enumerate(lines) if words in line), -1)


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
@pytest.mark.parametrize(
    ("page", "innermost"),
    [("/sleep", "in sleep"), ("/spin", "in spin"), ("/regex", "in match"), ("/locked", "in locked")],
)
def test_the_stacks_stand_in_the_log_with_the_request_and_the_worker_is_replaced(
    daemon: Emperor, protocol: str, page: str, innermost: str
) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, protocol=protocol)
    site.protocol = protocol
    old = site.running()
    visitor = site.visitor(f"{page}?x=1")
    fresh = fallen(site)
    assert pids(fresh).isdisjoint(pids(old))
    assert fresh["pid"] == old["pid"]
    with pytest.raises(ConnectionError):
        visitor.answer()
    assert site.get().json == {"pid": fresh["workers"][0]["pid"]}
    lines = logged(site)
    charge = position(
        lines, f"worker 1: harakiri: GET {page}?x=1 has taken more than 1 s -- killed, with these stacks:"
    )
    stacks = position(lines, innermost)
    end = position(lines, f"worker 1: killed by harakiri in GET {page} -- starting another")
    assert 0 <= charge < stacks < end, lines
    assert any("app.py" in line and " in application" in line for line in lines[charge:end])


def test_status_says_of_what_it_died_without_the_query(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    site.visitor("/sleep?token=secret")
    row = fallen(site)
    assert row["workers"][0]["last_exit"] == "killed by harakiri in GET /sleep"
    for text in (daemon.ctl("status").stdout, daemon.ctl("status", "site").stdout.partition("Log")[0]):
        assert "killed by harakiri in GET /sleep" in text
        assert "secret" not in text.partition("harakiri: ")[0]


def test_one_page_that_hangs_each_time_is_counted(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    for times in (1, 2, 3):
        site.visitor("/sleep")
        fallen(site, times)
    assert "killed by harakiri in GET /sleep, 3 deaths" in daemon.ctl("status").stdout


def test_the_other_worker_answers_meanwhile_and_stays(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, processes=2)
    old = {one["id"]: one["pid"] for one in site.running()["workers"]}
    with site.crowd() as crowd:
        site.visitor("/regex")
        fresh = {one["id"]: one for one in fallen(site)["workers"]}
    assert sorted((fresh[number]["exits"], fresh[number]["pid"] == old[number]) for number in (1, 2)) == [
        (0, True),
        (1, False),
    ]
    assert crowd.refused == crowd.lost == []
    assert crowd.answered


def test_with_threads_the_whole_worker_goes_and_all_their_stacks_are_shown(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, threads=4)
    old = site.running()
    site.visitor("/sleep")
    assert site.get().json == {"pid": old["workers"][0]["pid"]}, "its other threads serve"
    assert pids(fallen(site)).isdisjoint(pids(old))
    lines = logged(site)
    charge = position(lines, "worker 1: harakiri: GET /sleep")
    assert sum("hread 0x" in line for line in lines[charge:]) == 1, lines
    # The main thread serves nobody.
    assert position(lines, "4 threads in which the app does not run: idle, or waiting for a client") > charge
    assert lines[-1].endswith("worker 1: killed by harakiri in GET /sleep -- starting another")


@pytest.mark.parametrize("more", [{}, {"lazy_apps": "true"}, {"threads": 8}])
def test_the_last_ten_lines_are_the_apps_and_none_of_ours(daemon: Emperor, more: dict[str, Any]) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, **more)
    site.running()
    site.visitor("/sleep")
    fallen(site)
    shown = daemon.ctl("status", "site").stdout
    assert "in sleep" in shown and "harakiri: GET /sleep has taken more than 1 s" in shown
    assert not [line for line in logged(site) if "/emperor/" in line or "launch.py" in line]


def test_status_shows_what_hangs_before_it_is_killed(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py")
    site.running()
    site.visitor("/nearly?6")
    site.until(lambda row: row["workers"][0].get("doing"), "it takes long")
    shown = daemon.ctl("status", "site").stdout
    assert re.search(r"busy for \d s in GET /nearly, 0 requests", shown), shown


def test_an_app_imported_in_its_worker_is_held_to_it_as_well(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, lazy_apps="true")
    site.running()
    site.visitor("/locked")
    fallen(site)
    assert position(logged(site), "in locked") > 0


def test_the_flup_engine_is_held_to_it_as_well(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, protocol="fastcgi", fastcgi_engine="flup")
    site.protocol = "fastcgi"
    site.running()
    site.visitor("/sleep")
    fallen(site)
    assert position(logged(site), "in sleep") > 0


@pytest.mark.parametrize("page", ["/deaf", "/own-handlers"])
def test_an_app_that_takes_no_signal_is_killed_without_stacks(daemon: Emperor, page: str) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    old = site.running()
    site.visitor(page)
    assert pids(fallen(site)).isdisjoint(pids(old))
    assert position(logged(site), f"worker 1: killed by harakiri in GET {page} -- starting another") > 0


def test_what_the_app_forked_in_the_request_is_not_killed_and_keeps_nobody_waiting(
    daemon: Emperor, forked: Path
) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    site.own(forked)
    site.visitor(f"/fork?{forked}")
    fallen(site)
    assert procfs.alive(int(forked.read_text()))
    assert position(logged(site), "in fork") > 0


def test_what_the_app_forked_does_not_end_its_parents_request(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    site.visitor("/fork-and-leave")
    assert fallen(site)["workers"][0]["last_exit"] == "killed by harakiri in GET /fork-and-leave"


@pytest.fixture
def forked(folder: Path) -> Iterator[Path]:
    """A file for a child's pid; the child is ended with the test."""
    file = folder / "forked"
    file.touch()
    yield file
    if text := file.read_text():
        os.kill(int(text), 9)


def test_a_request_within_its_time_costs_nothing(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=4)
    old = site.running()
    for _ in range(3):
        assert site.get("/nearly?1.5").status == 200
    row = site.row()
    assert pids(row) == pids(old)
    assert row["workers"][0]["exits"] == 0


def test_a_kept_connection_that_is_idle_is_no_request(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=4, threads=2, protocol="http")
    old = site.running()
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    slow = b"GET /nearly?1.5 HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(site.socket) as kept, connect(site.socket) as other:
        kept.sendall(ask)
        assert b"200 OK" in kept.recv(65536)
        for _ in range(3):
            other.sendall(slow)
            assert b"200 OK" in other.recv(65536)
        kept.sendall(ask)
        assert b"200 OK" in kept.recv(65536)
    assert pids(site.row()) == pids(old)


def test_stacks_are_not_glued_to_half_a_line(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    site.visitor("/half-a-line")
    fallen(site)
    lines = logged(site)
    assert any(line.endswith("half a line") for line in lines), lines
    assert position(lines, "half a line") < position(lines, "worker 1: harakiri: GET /half-a-line")


def test_logto_has_the_same_lines_stamped(daemon: Emperor) -> None:
    site = daemon.place("site", app="hangs.py", harakiri=LIMIT)
    site.write(logto=site.folder / "site.log")
    site.running()
    site.visitor("/sleep?x=\x1b[2J")
    fallen(site)
    lines = (site.folder / "site.log").read_text().splitlines()
    charge = position(lines, "worker 1: harakiri: GET /sleep?x=\\x1b[2J has taken")
    assert 0 <= charge < position(lines, "in sleep") < position(lines, "worker 1: killed by harakiri")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4} ", line) for line in lines[charge:])


def test_a_stream_that_nobody_reads_is_a_request_that_takes_long(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT)
    site.running()
    with connect(site.socket) as slow:
        slow.sendall(uwsgi.encode_request(params("/stream")))
        row = fallen(site)
    assert row["workers"][0]["last_exit"] == "killed by harakiri in GET /stream"


def test_a_worker_that_drains_is_held_to_it_as_well(daemon: Emperor) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=5, reload_mercy=60)
    old = site.running()
    begun = site.folder / "begun"
    site.visitor(f"/mark-and-hang?{begun}")
    wait_for(begun.exists, what="it hangs")
    os.utime(site.ini)
    site.replaced(old)
    assert all(map(procfs.alive, pids(old))), "it drains"
    wait_for(lambda: procfs.alive(old["pid"]), lambda alive: not alive, "the old generation ends")
    assert f"worker 1: harakiri: GET /mark-and-hang?{begun} has taken more than 5 s" in "\n".join(logged(site))


@needs("nginx")
@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
def test_behind_nginx_the_visitor_gets_502_and_the_next_one_the_page(
    daemon: Emperor, nginx: StartNginx, protocol: str
) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, protocol=protocol)
    old = site.running()
    web = nginx({"/": PASS[protocol].format(site.socket)})
    assert web.get("/locked").status == 502
    assert web.get("/").json["pid"] not in pids(old)


@needs("pypy3")
@pytest.mark.parametrize("page", ["/sleep", "/spin"])
def test_pypy_shows_its_stacks(daemon: Emperor, page: str) -> None:
    site = daemon.add("site", app="hangs.py", harakiri=LIMIT, python="/usr/bin/pypy3", start_timeout=60)
    site.running(60)
    site.visitor(page)
    fallen(site)
    assert position(logged(site), f"in {page[1:]}") > 0
