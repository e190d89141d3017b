"""The daemon becomes the installed program in its own process, and nobody notices but who asked for it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import DEADLINE, wait_for


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site", processes=2)
    vassal.running()
    return vassal


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def upgrades(daemon: Emperor) -> int:
    return daemon.log_text.count("upgraded in place")


def test_upgrades_lose_no_request_keep_every_process_and_leak_nothing(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    assert daemon.ctl("upgrade").returncode == 0
    before = descriptors(daemon.pid)
    with site.crowd() as crowd:
        for _ in range(5):
            told = daemon.ctl("--json", "upgrade")
            assert told.returncode == 0, told.stderr
            assert json.loads(told.stdout)["pid"] == daemon.pid
        wait_for(lambda: crowd.answered > 20, what="answers")
    assert crowd.refused == crowd.lost == []
    after = site.row()
    assert (after["pid"], after["generation"], after["restarts"]) == (row["pid"], row["generation"], 0)
    assert [one["pid"] for one in after["workers"]] == [one["pid"] for one in row["workers"]]
    assert descriptors(daemon.pid) == before
    assert upgrades(daemon) == 6


def test_what_runs_is_supervised_as_before(daemon: Emperor, site: Vassal) -> None:
    assert daemon.ctl("upgrade").returncode == 0
    row = site.row()
    os.kill(row["pid"], signal.SIGKILL)
    fresh = site.replaced(row)
    assert fresh["restarts"] == 1 and fresh["last_exit"]["reason"] == "killed by SIGKILL"
    assert daemon.ctl("reload", "site").returncode == 0
    assert daemon.ctl("stop", "site").returncode == 0
    assert not os.path.exists(site.socket)


def test_what_is_stopped_stays_stopped_and_what_waits_goes_on_waiting(daemon: Emperor, site: Vassal) -> None:
    assert daemon.ctl("stop", "site").returncode == 0
    broken = daemon.add("broken", app="broken_import.py")
    paused = broken.until(lambda row: row.get("state") == "BACKOFF" and row["next_retry_in"] > 7, "a long pause")
    assert daemon.ctl("upgrade").returncode == 0
    assert site.row()["state"] == "STOPPED"
    after = broken.row()
    assert (after["state"], after["generation"], after["error"]) == ("BACKOFF", paused["generation"], paused["error"])
    assert 0 < after["next_retry_in"] <= paused["next_retry_in"]
    assert daemon.ctl("start", "site").returncode == 0


def test_usr2_is_the_same_and_a_touch_meanwhile_is_seen(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    daemon.signal(signal.SIGUSR2)
    os.utime(site.ini)
    wait_for(lambda: upgrades(daemon) == 1, what="the upgrade")
    site.replaced(row)


def test_signals_of_that_moment_are_answered_and_kill_nobody(daemon: Emperor, site: Vassal) -> None:
    pid = daemon.pid
    for round_ in range(1, 4):
        row = site.row()
        daemon.signal(signal.SIGUSR2)
        while upgrades(daemon) < round_:
            os.kill(pid, signal.SIGUSR1)
        daemon.signal(signal.SIGHUP)
        site.replaced(row)
    daemon.signal(signal.SIGUSR2)
    daemon.signal(signal.SIGTERM)
    assert daemon.process and daemon.process.wait(DEADLINE) == 0
    assert not os.path.exists(site.socket)


def test_a_reload_that_is_waited_for_is_answered_by_the_new_program(daemon: Emperor, site: Vassal) -> None:
    gate = site.folder / "gate"
    app = site.folder / "app.py"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    app.write_text(wait + app.read_text())
    with daemon.ctl_started("reload", "site") as reload:
        site.state("RELOADING")
        assert daemon.ctl("upgrade").returncode == 0
        gate.touch()
        output, _ = reload.communicate(timeout=30)
        assert reload.returncode == 0 and "reloaded" in output


def test_logs_are_kept_and_a_follower_stays(daemon: Emperor, site: Vassal) -> None:
    with daemon.ctl_started("logs", "-f", "site") as following:
        assert daemon.ctl("upgrade").returncode == 0
        os.kill(site.row()["workers"][0]["pid"], signal.SIGKILL)
        line = ""
        while "killed by SIGKILL" not in line:
            line = following.stdout.readline()
            assert line, "the follower was hung up on"
        following.terminate()


def test_a_program_that_cannot_read_what_we_can_does_not_take_over(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    package = next((daemon.programs.parent / "lib").glob("python*/site-packages/emperor"))
    module = package / "config" / "language" / "inifile.py"
    saved = module.read_text()
    try:
        module.write_text("raise RuntimeError('half an installation')\n")
        told = daemon.ctl("upgrade")
    finally:
        module.write_text(saved)
    assert told.returncode == 1
    assert "half an installation" in told.stderr and "goes on as it is" in told.stderr
    assert site.row()["pid"] == row["pid"]
    assert daemon.ctl("upgrade").returncode == 0


def test_a_program_whose_vassal_side_cannot_be_imported_does_not_take_over(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    package = next((daemon.programs.parent / "lib").glob("python*/site-packages/emperor"))
    module = package / "vassal.py"
    saved = module.read_text()
    try:
        module.write_text(saved + "\nraise RuntimeError('half an installation')\n")
        told = daemon.ctl("upgrade")
    finally:
        module.write_text(saved)
    assert told.returncode == 1
    assert "half an installation" in told.stderr and "no vassal could be started" in told.stderr
    assert site.row()["pid"] == row["pid"]


def test_only_administrators_may_ask(daemon: Emperor, site: Vassal) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: another user than the emperor's")
    told = daemon.ctl("upgrade", person=site.owner)
    assert told.returncode == 4
    assert upgrades(daemon) == 0


def test_an_ini_that_was_broken_before_is_no_obstacle(daemon: Emperor, site: Vassal) -> None:
    (Path(daemon.vassals) / "wrong.ini").write_text("[uwsgi]\nprocesses = many\n")
    wait_for(lambda: daemon.row("wrong").get("state") == "INVALID", what="an invalid vassal")
    assert daemon.ctl("upgrade").returncode == 0
    assert daemon.row("wrong")["state"] == "INVALID"
    assert site.row()["state"] == "RUNNING"


# Bad moments ----------------------------------------------------------------------------------------------------------


def test_what_the_new_program_could_not_open_is_found_out_before(emperor: StartEmperor, folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir()
    daemon = emperor()
    daemon.start("--logto", str(logs / "emperor.log"), "--pidfile", str(logs / "pid"))
    site = daemon.add("site")
    row = site.running()
    logs.rename(folder / "gone")
    told = daemon.ctl("upgrade")
    assert told.returncode == 1 and "No such file or directory" in told.stderr
    assert site.row()["pid"] == row["pid"]
    logs.mkdir()
    assert daemon.ctl("upgrade").returncode == 0
    assert site.row()["pid"] == row["pid"]


def test_one_that_is_stopping_is_not_upgraded(daemon: Emperor, site: Vassal) -> None:
    visitor, go = site.hold()
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("stopping: requests in flight finish")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_for_log("upgrade: refused: the emperor is stopping")
    go.touch()
    assert visitor.answer().status == 200
    assert daemon.process and daemon.process.wait(DEADLINE) == 0


def test_a_folder_that_is_away_at_that_moment_leaves_its_vassals_as_they_are(daemon: Emperor, site: Vassal) -> None:
    row = site.row()
    away = daemon.vassals.with_name("away")
    # An ini that is broken anyway: then nothing that could be read before is missed by the check.
    (daemon.vassals / "site.ini").write_text("[uwsgi]\nprocesses = many\n")
    site.until(lambda one: one["error"], "its problem is shown")
    daemon.vassals.rename(away)
    daemon.wait_for_log("cannot be read")
    assert daemon.ctl("upgrade").returncode == 0
    daemon.wait_for_log("upgraded in place")
    log = len(daemon.log_text)
    # The next program has looked at least once, and twice the time that a removal rests.
    wait_for(lambda: "cannot be read" in daemon.log_text[log - 2000 :], what="the new program's look")
    away.rename(daemon.vassals)
    daemon.wait_for_log("can be read again")
    assert (site.row()["pid"], site.row()["state"]) == (row["pid"], "RUNNING")


def test_a_removed_ini_whose_vassal_drains_is_still_forgotten(daemon: Emperor, site: Vassal) -> None:
    visitor, go = site.hold()
    site.ini.unlink()
    site.state("STOPPING")
    assert daemon.ctl("upgrade").returncode == 0
    go.touch()
    assert visitor.answer().status == 200
    wait_for(lambda: "site" not in daemon.names(), what="it is gone")
    assert not os.path.exists(site.socket)


def test_a_control_socket_that_somebody_removed_is_bound_again(daemon: Emperor, site: Vassal) -> None:
    daemon.control.unlink()
    daemon.wait_for_log("control.sock: its file was removed -- bound again")
    assert daemon.ctl("status").returncode == 0
    assert daemon.ctl("upgrade").returncode == 0
    assert daemon.ctl("status").returncode == 0
