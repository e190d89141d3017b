"""``emperorctl``: the verbs, their exit codes, for people and for scripts; and the kernel says who calls."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import wait_for

STATES = {"STOPPED", "STARTING", "RUNNING", "RELOADING", "STOPPING", "BACKOFF", "FATAL", "IDLE", "INVALID"}
FIELDS = {
    *("name", "state", "wanted", "pid", "generation", "restarts", "uptime", "error", "config", "uid", "gid"),
    *("sockets", "workers", "last_exit", "next_retry_in", "requests"),
}


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site")
    vassal.running()
    return vassal


def exits(daemon: Emperor, *words: str) -> int:
    done = daemon.ctl(*words)
    print(words, done)
    assert done.returncode == 0 or done.stderr or words[0] == "status", "a failure says something on stderr"
    return done.returncode


def test_status_is_a_line_per_vassal(daemon: Emperor, site: Vassal) -> None:
    done = daemon.ctl("status")
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("site"))
    row = site.row()
    assert re.match(rf"site\s+RUNNING\s+pid {row['pid']}, ", line)
    assert "\x1b" not in done.stdout


def test_status_json_has_every_field(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    assert row.keys() >= FIELDS
    assert row["state"] in STATES
    assert row["config"] == str(site.ini)
    assert row["sockets"][0].keys() >= {"protocol", "address", "mode", "owner", "group"}
    assert row["sockets"][0]["address"] == site.socket
    assert row["workers"][0].keys() >= {"id", "pid", "state", "requests", "exceptions", "rss"}
    assert json.loads(daemon.ctl("--json", "status", "site").stdout)[0]["name"] == "site"


def test_requests_and_exceptions_are_counted(daemon: Emperor, site: Vassal) -> None:
    for target in ("/facts", "/facts", "/fail"):
        site.get(target)
    row = site.until(lambda now: now["requests"] >= 3, "three requests")
    assert row["workers"][0]["requests"] == 3
    assert row["workers"][0]["exceptions"] == 1
    assert row["workers"][0]["rss"] > 1_000_000


def test_status_of_a_name_is_a_block_with_the_last_log_lines(daemon: Emperor, site: Vassal) -> None:
    site.get("/say?the-last-words")
    wait_for(lambda: daemon.ctl("status", "site").stdout, lambda text: "errors: the-last-words" in text)
    text = daemon.ctl("status", "site").stdout
    assert "RUNNING" in text and site.socket in text and str(site.ini) in text


def test_status_exit_codes(daemon: Emperor, site: Vassal) -> None:
    assert exits(daemon, "status") == 0
    assert exits(daemon, "status", "site") == 0
    assert exits(daemon, "status", "nobody") == 4
    daemon.add("bad", app="dies_at_import.py").state("BACKOFF")
    assert exits(daemon, "status") == 3
    assert exits(daemon, "status", "site") == 0
    assert daemon.stop() == 0
    assert daemon.ctl("status").returncode == 4


def test_orders_exit_codes(daemon: Emperor, site: Vassal) -> None:
    assert exits(daemon, "start", "site") == 0, "already as wished"
    assert exits(daemon, "stop", "site") == 0
    assert exits(daemon, "stop", "site") == 0, "already as wished"
    assert site.row()["state"] == "STOPPED"
    assert exits(daemon, "start", "site") == 0
    assert site.row()["state"] == "RUNNING"
    for verb in ("start", "stop", "restart", "reload"):
        assert exits(daemon, verb, "nobody") == 6
    site.write(processes="many")
    assert exits(daemon, "restart", "site") == 6
    assert site.row()["state"] == "RUNNING"
    assert daemon.stop() == 0
    for verb in ("start", "stop", "restart", "reload"):
        assert daemon.ctl(verb, "site").returncode == 7


@pytest.mark.parametrize(
    "words", [["nonsense"], [], ["start"], ["status", "--nonsense"], ["logs"], ["logs", "-n", "x", "a"]]
)
def test_usage_errors_exit_2(daemon: Emperor, words: list[str]) -> None:
    done = daemon.ctl(*words)
    assert done.returncode == 2
    assert done.stderr


def test_stop_holds_over_a_touch_and_a_reload_of_all(daemon: Emperor, site: Vassal) -> None:
    assert daemon.ctl("stop", "site").returncode == 0
    os.utime(site.ini)
    site.write(env="CHANGED=1")
    daemon.signal(signal.SIGHUP)
    other = daemon.add("other")
    other.running()
    assert site.row()["state"] == "STOPPED"
    assert daemon.ctl("status").returncode == 0, "stopped on purpose"
    assert daemon.ctl("start", "site").returncode == 0
    assert site.get().json["os_environ"]["CHANGED"] == "1"


def test_restart_and_reload_read_the_ini_again(daemon: Emperor, site: Vassal) -> None:
    for number, verb in enumerate(("restart", "reload")):
        row = site.row()
        site.write(env=f"NUMBER={number}")
        assert daemon.ctl(verb, "site").returncode == 0
        assert site.row()["pid"] != row["pid"]
        wait_for(lambda: site.get().json["os_environ"]["NUMBER"], str(number).__eq__)


def test_all_is_every_vassal(daemon: Emperor, site: Vassal) -> None:
    other = daemon.add("other")
    other.running()
    assert daemon.ctl("stop", "all").returncode == 0
    assert [row["state"] for row in daemon.status()] == ["STOPPED", "STOPPED"]
    assert daemon.ctl("start", "site", "other").returncode == 0
    assert [row["state"] for row in daemon.status()] == ["RUNNING", "RUNNING"]


def test_no_wait_returns_at_once(daemon: Emperor) -> None:
    site = daemon.place("site")
    (site.folder / "app.py").write_text("import signal\nwhile True: signal.pause()\n")
    site.write(start_timeout=60).state("STARTING")
    assert daemon.ctl("restart", "--no-wait", "site").returncode == 0
    assert site.row()["state"] == "STARTING"


def test_an_app_that_fails_to_import_shows_its_traceback(daemon: Emperor) -> None:
    daemon.add("site", app="broken_import.py").state("BACKOFF")
    last = "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    line = next(line for line in daemon.ctl("status").stdout.splitlines() if line.startswith("site"))
    assert last in line
    whole = daemon.ctl("status", "site").stdout
    assert "Traceback (most recent call last)" in whole
    assert "import a_module_that_nobody_has" in whole
    assert last in whole


def test_logs_are_lines(daemon: Emperor, site: Vassal) -> None:
    for number in range(30):
        site.get(f"/say?line-{number}")
    wait_for(lambda: daemon.ctl("logs", "site").stdout, lambda text: "stdout: line-29" in text)
    few = daemon.ctl("logs", "-n", "4", "site").stdout.splitlines()
    assert len(few) == 4
    assert "errors: line-28" in few[0] and "stdout: line-29" in few[3]
    assert daemon.ctl("logs", "nobody").returncode == 6


def test_logs_follow(daemon: Emperor, site: Vassal) -> None:
    words = [
        str(daemon.programs / "emperorctl"),
        "--control-socket",
        str(daemon.control),
        "logs",
        "-f",
        "-n",
        "0",
        "site",
    ]
    output = daemon.root / "followed"
    with output.open("wb") as sink:
        follower = subprocess.Popen(words, stdout=sink, stderr=sink, env={"PATH": os.environ["PATH"]})
    try:
        numbers = iter(range(10**6))

        def say() -> str:
            site.get(f"/say?follow-{next(numbers)}")
            return output.read_text()

        wait_for(say, lambda text: "errors: follow-" in text, "a followed line")
    finally:
        follower.kill()
        follower.wait()


def test_the_logs_of_a_dead_vassal_can_be_read(daemon: Emperor) -> None:
    site = daemon.place("site")
    (site.folder / "app.py").write_text("print('famous last words', flush=True)\nimport os\nos._exit(9)\n")
    site.write().state("BACKOFF")
    wait_for(lambda: daemon.ctl("logs", "site").stdout, lambda text: "famous last words" in text)
    assert site.row()["last_exit"]["code"] == 9


def test_check_works_without_a_daemon(emperor: StartEmperor) -> None:
    daemon = emperor()
    good = daemon.add("good")
    bad = daemon.add("bad", processes="many")
    done = daemon.ctl("check", str(good.ini))
    assert done.returncode == 0, done.stdout + done.stderr
    done = daemon.ctl("check", str(good.ini), str(bad.ini))
    assert done.returncode == 1
    assert re.search(rf"{bad.ini}:\d+: processes: ", done.stdout + done.stderr)


def test_options_lists_every_option(daemon: Emperor) -> None:
    plain = daemon.ctl("options")
    assert plain.returncode == 0
    table = daemon.ctl("options", "--markdown")
    assert table.returncode == 0
    for name in (
        "socket",
        "chmod-socket",
        "manage-script-name",
        "socket-umask",
        "fastcgi-engine",
        "start-timeout",
    ):
        assert name in plain.stdout
        assert f"`{name}`" in table.stdout


def test_version(daemon: Emperor) -> None:
    done = daemon.ctl("version")
    assert done.returncode == 0
    assert re.search(r"\d+\.\d+", done.stdout)


def test_the_socket_may_come_from_the_environment(daemon: Emperor, site: Vassal) -> None:
    environ = {"PATH": os.environ["PATH"], "EMPEROR_CONTROL": str(daemon.control)}
    program = str(daemon.programs / "emperorctl")
    assert subprocess.run([program, "status"], env=environ, capture_output=True).returncode == 0
