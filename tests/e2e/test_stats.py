"""``stats``: the real uwsgitop looks at an app of ours, on a unix socket and on TCP, while it is reloaded and dies."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from emperor.protocol import uwsgi
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.terminal import Terminal
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import connect, params
from tests.requirements import needs

pytestmark = needs("root")

UWSGITOP = [sys.executable, str(Path(sys.executable).with_name("uwsgitop"))]
REQUESTS = 25
ROW = (
    r"\s{id}\s+(\d+\.\d)\s+{pid}\s+{requests}\s+\d+\s+{exceptions}\s+0\s+(idle|busy)\s+\d+ms\s+\d+\.\dM\s+\d+\.\d[MG]\s"
)


def a_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def site_with(daemon: Emperor, name: str, **options: object) -> tuple[Vassal, str]:
    """A running app, and the address of its numbers: in a folder of its own."""
    site = daemon.place(name, **options)
    address = str(options.get("stats") or site.own(folder_of(site)) / "s")
    site.write(stats=address).running()
    return site, address


def folder_of(site: Vassal) -> Path:
    folder = site.folder / "stats"
    folder.mkdir(mode=0o755)
    return folder


def raw(address: str) -> bytes:
    with closing(connect(address)) as one:
        return b"".join(iter(lambda: one.recv(65536), b""))


def told(address: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw(address))
    return found


@contextmanager
def uwsgitop(address: str) -> Iterator[Terminal]:
    one = Terminal([*UWSGITOP, address])
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("kind", ["unix", "tcp", "http"])
def test_uwsgitop_shows_our_numbers_and_goes_on_over_a_reload(shared_emperor: Emperor, kind: str) -> None:
    options = {} if kind == "unix" else {"stats": f"127.0.0.1:{a_port()}", "stats_http": kind == "http"}
    site, address = site_with(shared_emperor, f"top-{kind}", processes=1, threads=2, **options)
    for _ in range(REQUESTS):
        assert site.get().status == 200
    assert site.get("/fail").status == 500
    row = site.row()
    worker = {"id": 1, "pid": row["workers"][0]["pid"], "requests": REQUESTS + 1, "exceptions": 1}
    with uwsgitop(f"http://{address}" if kind == "http" else address) as top:
        screen = top.shows(lambda text: re.search(ROW.format(**worker), text), "the worker's row")
        assert re.search(r"uwsgi-mini-emperor-\S+ - .* - req: 26 - RPS: \d+ - lq: 0 - tx: \d", screen)
        assert re.search(r"WID\s+%\s+PID\s+REQ\s+RPS\s+EXC\s+SIG\s+STATUS\s+AVG\s+RSS\s+VSZ\s+TX\s+ReSpwn\s+HC", screen)
        assert f"uid: {site.owner.uid}" in screen and f"masterpid: {row['pid']}" in screen
        # Cores under their workers: two looks on.
        top.press("aa")
        top.shows(lambda text: re.search(r":0\s+\d+\.\d\s+-\s+\d+\s+\d+\s+-\s+-\s+idle", text), "a core")
        if kind == "unix":
            top.press("f")
            shared_emperor.ctl("reload", site.name)
            fresh = site.replaced(row)
            top.shows(lambda text: f"masterpid: {fresh['pid']}" in text, "the younger generation")
        top.press("q")
        assert top.end() == 0, top.screen


def test_the_younger_generation_answers_where_the_older_did(shared_emperor: Emperor) -> None:
    """A port as soon as the older lets go of it; a file all the time, as uwsgitop has seen."""
    site, address = site_with(shared_emperor, "port", stats=f"127.0.0.1:{a_port()}")
    row = site.row()
    assert shared_emperor.ctl("reload", "port").returncode == 0
    fresh = site.replaced(row)

    def pid() -> int | None:
        try:
            return int(told(address)["pid"])
        except ConnectionRefusedError:
            return None

    wait_for(pid, lambda one: one == fresh["pid"], "the younger generation")
    assert "stats" not in shared_emperor.ctl("logs", "port").stdout


def test_what_a_request_says_of_itself_is_told_to_nobody(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "secret")
    folder = site.folder / "held"
    folder.mkdir()
    site.own(folder)
    secrets = {"HTTP_COOKIE": "session=hidden", "HTTP_AUTHORIZATION": "Basic hidden"}
    with closing(connect(site.socket)) as peer:
        peer.sendall(uwsgi.encode_request(params(f"/hold?{folder}", **secrets)))
        ours = wait_for(lambda: told(address), lambda found: found["workers"][0]["status"] == "busy", "busy")
        core = ours["workers"][0]["cores"][0]
        assert core["in_request"] == 1 and core["vars"] == []
        assert re.fullmatch(r"\{'request_start': \d{10}\}", str(core["req_info"]))
        assert "hidden" not in json.dumps(ours) and "hold" not in json.dumps(ours["workers"])
        (folder / "go").touch()
        assert peer.recv(100)
    assert stat.S_IMODE(os.lstat(address).st_mode) == 0o660


def test_who_waits_at_a_unix_socket_is_the_listen_queue(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "queue", listen=77)
    visitor, go = site.hold()
    waiting = [site.visitor() for _ in range(3)]
    ours = wait_for(lambda: told(address), lambda found: found["listen_queue"] == 3, "three wait")
    assert ours["load"] == 3
    assert [(one["queue"], one["max_queue"]) for one in ours["sockets"]] == [(3, 77)]
    go.touch()
    assert {one.answer().status for one in [visitor, *waiting]} == {200}
    # One document serves all who ask within a tenth of a second.
    wait_for(lambda: told(address)["listen_queue"], lambda queue: queue == 0, "an empty queue")


def test_counts_go_on_when_a_worker_dies(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "dies", processes=1)
    for _ in range(5):
        site.get()
    first = told(address)["workers"][0]
    assert (first["requests"], first["respawn_count"]) == (5, 1) and first["tx"] > 0
    os.kill(first["pid"], signal.SIGKILL)
    site.get()

    def second() -> dict[str, Any]:
        found: dict[str, Any] = told(address)["workers"][0]
        return found

    found = wait_for(second, lambda one: one["pid"] not in (0, first["pid"]) and one["requests"] == 6, "the next one")
    assert (found["delta_requests"], found["respawn_count"], found["cores"][0]["requests"]) == (1, 2, 1)


def test_workers_have_no_part_in_it_and_its_file_goes_with_the_vassal(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "leaves", processes=2)
    row = site.row()
    inodes = {os.readlink(f"/proc/{row['pid']}/fd/{fd}") for fd in os.listdir(f"/proc/{row['pid']}/fd")}
    for worker in row["workers"]:
        theirs = {os.readlink(f"/proc/{worker['pid']}/fd/{fd}") for fd in os.listdir(f"/proc/{worker['pid']}/fd")}
        assert len({one for one in theirs & inodes if one.startswith("socket:")}) == 1, "the app's own alone"
    assert os.lstat(address).st_uid == site.owner.uid
    assert shared_emperor.ctl("stop", "leaves").returncode == 0
    assert os.listdir(os.path.dirname(address)) == []
    assert not procfs.alive(row["pid"])


def test_where_its_user_may_not_bind_it_is_told_and_the_app_serves(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "closed", stats=shared_emperor.run / "numbers.sock")
    said = wait_for(lambda: shared_emperor.ctl("logs", "closed").stdout, lambda text: "stats " in text, "a line")
    assert f"stats {address}: bind: Permission denied" in said
    assert site.get().status == 200 and not os.path.lexists(address)


@needs("pypy3")
def test_pypy_tells_its_numbers_too(shared_emperor: Emperor) -> None:
    site, address = site_with(shared_emperor, "pypy", python="/usr/bin/pypy3", start_timeout=60)
    assert site.get().json["implementation"] == "pypy"
    ours = told(address)
    assert ours["workers"][0]["requests"] == 1 and ours["sockets"][0]["max_queue"] > 0
    with uwsgitop(address) as top:
        top.shows(lambda text: "req: 1 - RPS" in text, "uwsgitop's head")
        top.press("q")
        assert top.end() == 0
