"""What dies is back at once, and nobody at the door is sent away."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal, replace_file
from tests.e2e.harness.waiting import wait_for


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def test_a_killed_worker_is_forked_again_without_an_import(daemon: Emperor) -> None:
    site = daemon.add("site", processes=2)
    row = site.running()
    old = [worker["pid"] for worker in row["workers"]]
    assert site.get().status == 200
    with site.crowd() as crowd:
        os.kill(old[0], signal.SIGKILL)
        fresh = site.until(
            lambda now: {worker["pid"] for worker in now["workers"]} - set(old) and len(now["workers"]) == 2,
            "a new worker",
        )
    assert fresh["pid"] == row["pid"]
    assert old[1] in {worker["pid"] for worker in fresh["workers"]}
    assert old[0] not in {worker["pid"] for worker in fresh["workers"]}
    assert site.import_pids() == [row["pid"]]
    assert crowd.refused == []
    assert len(crowd.lost) <= 1, "more than the request that the killed worker had"


def more_than(number: int) -> Callable[[int], bool]:
    return lambda seen: seen > number


def kill_the_worker(site: Vassal) -> None:
    """Kill the only one, and wait for the next."""
    old = site.row()["workers"][0]["pid"]
    os.kill(old, signal.SIGKILL)
    site.until(lambda now: now["workers"] and now["workers"][0]["pid"] != old, "another worker")


def test_the_only_worker_killed_leaves_clients_waiting_not_refused(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with site.crowd() as crowd:
        for _ in range(3):
            wait_for(lambda: crowd.answered, more_than(crowd.answered + 2), "answers")
            kill_the_worker(site)
    assert crowd.refused == []
    assert site.row()["pid"] == row["pid"]
    assert site.import_pids() == [row["pid"]]


def test_a_killed_vassal_is_started_again_on_the_same_socket(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    inode = os.stat(site.socket).st_ino
    with site.crowd() as crowd:
        wait_for(lambda: crowd.answered, what="answers")
        os.kill(row["pid"], signal.SIGKILL)
        fresh = site.replaced(row)
        wait_for(lambda: crowd.answered, more_than(crowd.answered), "answers again")
    assert crowd.refused == []
    assert os.stat(site.socket).st_ino == inode
    assert fresh["restarts"] >= 1
    assert fresh["last_exit"]["signal"] in (signal.SIGKILL, "SIGKILL", "KILL")
    wait_for(lambda: not any(procfs.alive(worker["pid"]) for worker in row["workers"]), what="its workers end")


def test_a_vassal_that_bound_its_own_socket_gets_it_again(daemon: Emperor) -> None:
    site = daemon.place("site")
    site.write(socket=site.folder / "own.sock")
    row = site.running()
    inode = os.stat(site.socket).st_ino
    with site.crowd() as crowd:
        wait_for(lambda: crowd.answered, what="answers")
        os.kill(row["pid"], signal.SIGKILL)
        site.replaced(row)
    assert crowd.refused == []
    assert os.stat(site.socket).st_ino == inode
    assert site.get().status == 200


def test_the_workers_of_a_killed_vassal_do_not_outlive_it(daemon: Emperor) -> None:
    site = daemon.add("site", processes=2)
    row = site.running()
    os.kill(row["pid"], signal.SIGKILL)
    workers = [worker["pid"] for worker in row["workers"]]
    wait_for(lambda: [pid for pid in workers if procfs.alive(pid)], lambda left: not left, "no worker", deadline=5)


@pytest.mark.parametrize(
    ("app", "reason"),
    [("dies_at_import.py", "KILL"), ("broken_import.py", "a_module_that_nobody_has")],
)
def test_what_keeps_dying_is_tried_again_after_a_pause(daemon: Emperor, app: str, reason: str) -> None:
    site = daemon.add("site", app=app)
    row = site.until(lambda now: now.get("state") == "BACKOFF" and now["next_retry_in"] > 3, "a long pause")
    assert row["restarts"] >= 1 and 0 <= row["next_retry_in"] <= 60
    assert row["pid"] in (None, 0)
    assert reason in f"{row['error']} {row['last_exit']}"
    text = daemon.ctl("status").stdout
    assert "BACKOFF" in text
    again = site.until(lambda now: now["restarts"] > row["restarts"], "the next try")
    assert again["restarts"] > row["restarts"]
    assert daemon.ctl("status").returncode == 3


def test_clients_wait_while_nobody_serves_and_are_answered_later(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_at_import.py")
    site.state("BACKOFF")
    visitors = [site.visitor() for _ in range(5)]
    site.app("facts.py")
    os.utime(site.ini)
    site.running()
    assert [one.answer().status for one in visitors] == [200] * 5


def test_a_changed_ini_ends_the_pause_at_once(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_at_import.py")
    row = site.until(lambda now: now.get("state") == "BACKOFF" and now["next_retry_in"] > 1.5, "a long pause")
    site.app("facts.py")
    site.write(env=["FIXED=1", f"IMPORTS={site.imports}"])
    site.running(deadline=max(20.0, row["next_retry_in"]))
    assert site.row()["next_retry_in"] in (None, 0)


def test_an_order_ends_the_pause_at_once(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_at_import.py")
    site.until(lambda now: now.get("state") == "BACKOFF" and now["next_retry_in"] > 1.5, "a long pause")
    site.app("facts.py")
    assert daemon.ctl("start", "site").returncode == 0
    assert site.row()["state"] == "RUNNING"


def test_max_restarts_gives_up(daemon: Emperor) -> None:
    site = daemon.add("site", app="dies_at_import.py", max_restarts=2)
    row = site.state("FATAL")
    assert row["next_retry_in"] in (None, 0)
    assert daemon.ctl("status").returncode == 3


def test_one_that_keeps_dying_does_not_disturb_the_others(daemon: Emperor) -> None:
    good = daemon.add("good")
    good.running()
    daemon.add("bad", app="dies_at_import.py").state("BACKOFF")
    row = good.row()
    with good.crowd() as crowd:
        daemon.row("bad")
        wait_for(lambda: crowd.answered, lambda number: number > 20, "answers")
    assert crowd.refused == crowd.lost == []
    assert good.row()["pid"] == row["pid"]


def test_an_app_that_never_gets_ready_is_not_waited_for_for_ever(daemon: Emperor) -> None:
    site = daemon.place("site", start_timeout=1)
    (site.folder / "app.py").write_text("import signal\nwhile True: signal.pause()\n")
    site.write()
    row = site.state("BACKOFF")
    assert "start-timeout" in row["error"] or "ready" in row["error"]


def test_the_last_lines_are_about_the_last_failure_and_tell_where_new_code_begins(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    assert site.get("/say?old").status == 200
    assert daemon.ctl("reload", "site").returncode == 0
    assert site.get("/say?new").status == 200
    wait_for(lambda: "stdout: new" in daemon.ctl("logs", "site").stdout, what="the new code's line")
    text = daemon.ctl("logs", "site").stdout
    assert text.index("stdout: old") < text.index("--- generation 2 serves ---") < text.index("stdout: new")
    for death, words in (
        ("import ctypes; ctypes.string_at(0)", "generation 3: killed by SIGSEGV before it served"),
        ("import os; os._exit(7)", "generation 4: exited with code 7 before it served"),
    ):
        site.own(replace_file(site.folder / "app.py", f"{death}\n"))
        assert daemon.ctl("reload", "site").returncode != 0
        lines = daemon.ctl("logs", "site", "-n", "40").stdout.splitlines()
        assert lines[-1].endswith(words), lines
    assert any('app.py", line 1 in <module>' in line for line in lines), lines
    assert site.get().status == 200
