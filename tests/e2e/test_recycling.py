"""Workers are renewed, grown and shrunk under load, and nobody notices: behind a real nginx, over both protocols."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Row, Vassal
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.requirements import needs

UPSTREAM = "upstream {name} {{ server unix:{path}; keepalive 8; }}"
PASSES = {
    "uwsgi": "include /etc/nginx/uwsgi_params; uwsgi_pass {};",
    "fastcgi": "include /etc/nginx/fastcgi_params; fastcgi_pass {}; fastcgi_keep_conn on;",
}
SERVING = ("idle", "busy")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def behind(nginx: StartNginx, sites: dict[str, Vassal]) -> Nginx:
    upstreams = "\n".join(UPSTREAM.format(name=f"{name}_app", path=site.socket) for name, site in sites.items())
    rewrites = {f"/{name}/": f"rewrite ^/{name}(/.*)$ $1 break; {PASSES[name].format(f'{name}_app')}" for name in sites}
    return nginx(rewrites, upstreams)


class Load:
    """Clients that keep their connections to nginx, GET and POST, and what became of each request."""

    def __init__(self, port: int, paths: list[str], clients: int = 2) -> None:
        self._port, self._over = port, threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(path,)) for path in paths for _ in range(clients)]
        self.answered, self.failed = 0, list[str]()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _come(self, path: str) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as client:
            while not self._over.is_set():
                for method, where, body in (("GET", "pid", None), ("POST", "echo", b"x" * 1000)):
                    try:
                        client.request(method, path + where, body)
                        answer = client.getresponse()
                        text = answer.read()
                    except (OSError, http.client.HTTPException) as error:
                        self.failed.append(f"{method} {path}: {error!r}")
                        client.close()
                        continue
                    good = answer.status == 200 and (body is None or text == b"1000")
                    self.answered += good
                    if not good:
                        self.failed.append(f"{method} {path}: {answer.status} {text[:80]!r}")


@contextmanager
def watched(site: Vassal, rows: list[Row]) -> Iterator[None]:
    """Each report of its vassal, as status shows it, until the block ends."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            rows.append(site.row())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def workers(row: Row) -> list[Row]:
    return list(row.get("workers") or ())


def renewals(row: Row) -> int:
    return sum(int(one["renewals"]) for one in workers(row))


def states(row: Row) -> list[str]:
    return [one["state"] for one in workers(row)]


def serving(row: Row) -> int:
    return sum(state in SERVING for state in states(row))


def has(count: int) -> Callable[[Row], bool]:
    return lambda row: serving(row) == len(workers(row)) == count


@pytest.mark.parametrize("least", ["0", "1"])
@needs("root")
def test_workers_are_renewed_again_and_again_under_load_and_no_request_fails(
    daemon: Emperor, nginx: StartNginx, least: str
) -> None:
    more: dict[str, Any] = {"app": "wears_out.py", "processes": 3, "max_requests": 20, "min_worker_lifetime": least}
    sites = {
        "uwsgi": daemon.add("one", **more),
        "fastcgi": daemon.add("two", **more, fastcgi_socket=f"{daemon.run}/two.sock"),
    }
    before = {name: site.until(lambda row: serving(row) == 3, "three serve") for name, site in sites.items()}
    front = behind(nginx, sites)
    rows: dict[str, list[Row]] = {name: [] for name in sites}
    with (
        Load(front.port, ["/uwsgi/", "/fastcgi/"]) as load,
        watched(sites["uwsgi"], rows["uwsgi"]),
        watched(sites["fastcgi"], rows["fastcgi"]),
    ):
        for site in sites.values():
            site.until(lambda row: renewals(row) >= 9, "nine renewals", 60)
    assert load.failed == []
    assert load.answered > 100
    assert "upstream" not in front.error_log, front.error_log
    for name, site in sites.items():
        row = site.row()
        assert (row["worker_exits"], row["restarts"], row["pid"]) == (0, 0, before[name]["pid"])
        assert all(serving(one) == 3 for one in rows[name]), [states(one) for one in rows[name]]
        assert all(states(one).count("starting") <= 1 for one in rows[name])
        assert all(one["last_exit"] is None for one in row["workers"])
        assert (
            "requests (max-requests) -- starting its replacement" in daemon.ctl("logs", "-n", "200", site.name).stdout
        )
    old = [worker["pid"] for row in before.values() for worker in row["workers"]]
    wait_for(lambda: not any(procfs.alive(pid) for pid in old), what="those who were worn are gone")


def test_a_worker_that_leaks_is_renewed_before_it_takes_all(daemon: Emperor) -> None:
    site = daemon.add("site", app="wears_out.py", processes=2, reload_on_rss=80, min_worker_lifetime=0)
    site.running()
    leaked = 0
    while renewals(site.row()) < 2:
        assert [site.get("/leak").status for _ in range(20)] == [200] * 20
        leaked += 20
        assert leaked < 1000
    row = site.row()
    assert "MB of resident memory (reload-on-rss)" in daemon.ctl("logs", "-n", "50", "site").stdout
    assert row["worker_exits"] == 0


def test_a_worker_is_renewed_at_the_end_of_its_time(daemon: Emperor) -> None:
    site = daemon.add("site", app="wears_out.py", processes=2, max_worker_lifetime=2, min_worker_lifetime=1)
    before = {one["pid"] for one in site.until(lambda row: serving(row) == 2, "two serve")["workers"]}
    row = site.until(lambda row: all(one["renewals"] for one in workers(row)[:2]), "each was renewed")
    assert not before & {one["pid"] for one in row["workers"] if one["state"] in SERVING}
    assert "(max-worker-lifetime) -- starting its replacement" in daemon.ctl("logs", "-n", "50", "site").stdout


def test_no_worker_is_renewed_before_its_least_life(daemon: Emperor) -> None:
    began = time.monotonic()
    site = daemon.add("site", max_requests=1, min_worker_lifetime=3)
    site.until(lambda row: serving(row) == 1, "it serves")
    with site.crowd() as crowd:
        site.until(lambda row: renewals(row) == 2, "two renewals")
    assert time.monotonic() - began >= 2 * 3
    assert crowd.refused == crowd.lost == []
    assert len(set(crowd.pids)) in (2, 3)


def test_cheaper_has_more_workers_while_all_are_busy_and_fewer_afterwards(daemon: Emperor, folder: Path) -> None:
    site = daemon.add("site", app="wears_out.py", processes=3, cheaper=1, cheaper_overload="0.3")
    site.until(lambda row: states(row) == ["idle"], "one to begin with")
    go = folder / "go"
    visitors = []
    for number in (1, 2, 3):
        # A worker may take in two who have connected and not asked yet.
        visitors.append(site.visitor(f"/hang?{go}"))
        site.until(lambda row, number=number: states(row).count("busy") == number, f"{number} busy")  # type: ignore[misc]  # mypy infers no defaults
    late = site.visitor("/pid")
    go.touch()
    assert [one.answer().status for one in [*visitors, late]] == [200] * 4
    row = site.until(lambda row: len(workers(row)) == 1, "one is enough", 60)
    assert row["worker_exits"] == 0
    assert site.get("/pid").status == 200
    log = daemon.ctl("logs", "-n", "50", "site").stdout
    assert "cheaper: 1 worker: all were busy -- from now on 2" in log
    assert "cheaper: 2 workers: not all were needed -- from now on 1" in log


@needs("root")
def test_scaling_under_load_loses_no_request(daemon: Emperor, nginx: StartNginx) -> None:
    site = daemon.add("site", app="wears_out.py", processes=2, fastcgi_socket=f"{daemon.run}/site.sock")
    site.until(lambda row: states(row) == ["idle"] * 2, "two serve")
    front = behind(nginx, {"fastcgi": site})
    with Load(front.port, ["/fastcgi/"], clients=4) as load:
        for wanted in (5, 1, 3, 2):
            done = daemon.ctl("scale", "site", str(wanted))
            assert done.returncode == 0, done.stderr
            site.until(has(wanted), f"{wanted} serve")
    assert load.failed == []
    assert "upstream" not in front.error_log, front.error_log
    assert site.row()["worker_exits"] == 0


def until_spared(site: Vassal, *files: Path) -> None:
    """Three mercies after it was told to go it is still there; then its request may end: ``files`` are there."""
    words = "still has a request after 1 s (reload-mercy) -- it ends when that is answered"
    wait_for(lambda: words in site.emperor.ctl("logs", "-n", "50", site.name).stdout, what=words)
    end = time.monotonic() + 2
    wait_for(lambda: time.monotonic() > end, what="two mercies more")
    for file in files:
        file.touch()


def test_a_renewal_cuts_no_request_however_long_it_takes(daemon: Emperor, folder: Path) -> None:
    site = daemon.add("site", app="wears_out.py", threads=2, max_requests=2, min_worker_lifetime=1, reload_mercy=1)
    old = site.until(has(1), "one serves")["workers"][0]["pid"]
    go = folder / "go"
    visitor = site.visitor(f"/hang?{go}")
    site.until(lambda row: states(row) == ["busy"], "it has the request")
    while not renewals(site.row()):
        assert site.get("/pid").status == 200
    until_spared(site, go)
    assert visitor.answer().status == 200
    wait_for(lambda: not procfs.alive(old), what="the worn one has ended")
    assert site.row()["worker_exits"] == 0


def test_scaling_down_cuts_no_request_however_long_it_takes(daemon: Emperor, folder: Path) -> None:
    site = daemon.add("site", app="wears_out.py", processes=3, threads=2, reload_mercy=1)
    site.until(has(3), "three serve")
    go = folder / "go"
    visitors = [site.visitor(f"/hang?{go}") for _ in range(6)]
    site.until(lambda row: states(row) == ["busy"] * 3, "each has its share")
    assert daemon.ctl("scale", "site", "1", "--no-wait").returncode == 0
    until_spared(site, go)
    assert [one.answer().status for one in visitors] == [200] * 6
    assert site.until(has(1), "one is left")["worker_exits"] == 0


def test_cheaper_cuts_no_request_when_it_has_fewer_workers(daemon: Emperor, folder: Path) -> None:
    more: dict[str, Any] = {"cheaper": 1, "cheaper_initial": 3, "cheaper_overload": "0.2", "reload_mercy": 1}
    site = daemon.add("site", app="wears_out.py", processes=3, threads=4, **more)
    site.until(has(3), "three serve")
    visitors = {f"/hang{number}": site.visitor(f"/hang{number}?{folder}/go{number}") for number in range(12)}
    row = site.until(lambda row: all(one["doing"] for one in workers(row)), "each has its share")
    # With one each they are too many, and whoever has to go has one.
    kept = {str(one["doing"]).removeprefix("GET ") for one in workers(row)}
    for page in visitors.keys() - kept:
        (folder / page.replace("/hang", "go")).touch()
        assert visitors[page].answer().status == 200
    words = "cheaper: 3 workers: not all were needed -- from now on 2"
    wait_for(lambda: words in daemon.ctl("logs", "-n", "50", "site").stdout, what=words)
    until_spared(site, *(folder / page.replace("/hang", "go") for page in kept))
    assert [visitors[page].answer().status for page in kept] == [200] * 3
    assert site.until(has(1), "one is left", 60)["worker_exits"] == 0
