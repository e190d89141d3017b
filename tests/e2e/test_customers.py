"""Customers under one root who do not trust each other: none takes what the others need."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, chown, ini
from tests.e2e.harness.owners import owned, rewrite, write_as
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "useradd")

FREE = 120
"""Descriptors that are left beside those of an emperor with one vassal."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    """Not started."""
    return emperor()


def limit(daemon: Emperor, most: int) -> None:
    subprocess.run(["prlimit", f"--pid={daemon.pid}", f"--nofile={most}:"], check=True)


def test_one_users_sleeping_inis_leave_the_others_room_to_start_and_to_reload(daemon: Emperor, users: Users) -> None:
    daemon.start()
    hers = owned(daemon, "hers", users.alice)
    row = hers.running()
    most = len(procfs.descriptors(daemon.pid)) + FREE
    limit(daemon, most)
    many = [daemon.place(f"bob{number}", users.bob, uid=None, gid=None, on_demand=True) for number in range(40)]
    for one in many:
        one.ini.write_text(ini(**one.options))
        chown(one.ini, users.bob)
    rows = daemon.wait_for(
        lambda rows: len(rows) == 41 and {one["state"] for one in rows} == {"RUNNING", "IDLE", "BACKOFF"},
        "each has begun, or was told why not",
    )
    refused = [one for one in rows if one["state"] == "BACKOFF"]
    assert len(refused) > 10
    for told in refused:
        assert re.fullmatch(
            rf"start: vassals of {users.bob.name} would need \d+ of {most} descriptors, and leave \d+ for all others "
            "-- raise LimitNOFILE= or ulimit -n, or remove some",
            told["error"],
        )
    assert daemon.ctl("reload", "hers", person=users.alice).returncode == 0
    hers.replaced(row)
    second = owned(daemon, "second", users.alice)
    second.running()
    assert len([one for one in daemon.status() if one["state"] == "IDLE"]) >= 5
    asleep = next(one for one in many if one.row()["state"] == "IDLE")
    assert asleep.get().status == 200, "who was let in is woken"
    awake = {one["name"] for one in rows if one["state"] != "BACKOFF"}
    for one in many[:-1] if "bob39" in awake else many[1:]:
        if one.name in awake and one is not asleep:
            one.ini.unlink()
    daemon.wait_for(
        lambda now: any(
            one["name"] in {two["name"] for two in refused} and one["state"] == "IDLE" and not one["error"]
            for one in now
        ),
        "one of the others has its room",
    )


def test_a_reload_that_had_no_room_is_made_up_for_and_nothing_is_left_to_read(daemon: Emperor) -> None:
    daemon.start()
    site = daemon.add("site")
    row = site.running()
    limit(daemon, len(procfs.descriptors(daemon.pid)) + 12)
    assert daemon.ctl("reload", "site").returncode == 1
    assert "descriptors are in use" in site.row()["error"]
    limit(daemon, 4096)
    site.until(lambda now: now["state"] == "RUNNING" and now["pid"] != row["pid"] and not now["error"], "it is well")
    assert daemon.ctl("status").returncode == 0


def test_that_the_emperors_own_log_is_lost_is_told_to_administrators(daemon: Emperor, users: Users) -> None:
    daemon.start("--logto", "/dev/full")
    owned(daemon, "hers", users.alice).running()
    told = daemon.ctl("status")
    assert told.returncode == 0
    assert told.stderr == "emperorctl: warning: the emperor's log: No space left on device -- lines are lost\n"
    assert json.loads(daemon.ctl("status", "--json").stdout)[0]["name"] == "hers"
    assert "the emperor's log" not in daemon.ctl("status", person=users.alice).stderr


def test_no_order_of_a_user_goes_beyond_what_wins_over_the_ini(daemon: Emperor, users: Users) -> None:
    above = daemon.root / "above.ini"
    above.write_text("[uwsgi]\nworkers = 2\n")
    daemon.start("--vassals-include", str(above))
    hers = owned(daemon, "hers", users.alice, processes=7)
    assert len(hers.running()["workers"]) == 2
    done = daemon.ctl("scale", "hers", "3", person=users.alice)
    assert done.returncode == 4
    assert "hers: scale: the emperor's administrator allows 2 at most, which wins over its ini" in done.stderr
    assert daemon.ctl("scale", "hers", "1", person=users.alice).returncode == 0
    assert daemon.ctl("scale", "hers", "2", person=users.alice).returncode == 0
    assert daemon.ctl("scale", "hers", "3").returncode == 0, "root may"


def test_no_vassal_is_called_as_the_emperors_own_lines_begin(daemon: Emperor, users: Users) -> None:
    folder = chown_folder(daemon.root / "alices.d", users)
    for name in ("emperor", "Emperor"):
        write_as(users.alice, folder / f"{name}.ini", ini(module="nothing"))
    daemon.start(folders=[daemon.vassals, folder])
    daemon.wait_for_log("not emperor)")
    owned(daemon, "hers", users.alice).running()
    assert daemon.names() == ["hers"]
    told = [line for line in daemon.log_text.splitlines() if "emperor.ini" in line.lower()]
    assert len(told) == 2 and all("is not a vassal's name -- ignored" in line for line in told)


def chown_folder(folder: Path, users: Users) -> Path:
    folder.mkdir(mode=0o755)
    return chown(folder, users.alice)


def test_check_of_a_name_reads_the_ini_that_the_emperor_has(daemon: Emperor, users: Users) -> None:
    daemon.start()
    hers = owned(daemon, "hers", users.alice)
    hers.running()
    done = daemon.ctl("check", "hers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{hers.ini}: OK")
    rewrite(hers, threads="many")
    assert f"{hers.ini}:" in daemon.ctl("check", "hers", person=users.alice).stdout


def test_one_users_flood_of_lines_leaves_the_emperors_log_small(daemon: Emperor, users: Users) -> None:
    daemon.start()
    noisy = [owned(daemon, f"noisy{number}", users.alice, reload_mercy=1) for number in range(2)]
    for one in noisy:
        one.running()
    hers = daemon.log.stat().st_size
    source = (
        "import os, threading, time\ndef flood():\n    while True:\n        os.write(1, (b'x' * 3900 + b'\\n') * 4)\n"
    )
    source += "threading.Thread(target=flood, daemon=True).start()\ndef application(environ, start):\n"
    source += "    start('200 OK', [])\n    return [b'']\n"
    for one in noisy:
        write_as(users.alice, one.folder / "app.py", source)
        assert daemon.ctl("reload", one.name).returncode == 0
    daemon.wait_for_log("lines lost: its user's vassals print more than 256 KiB a second into this log]")
    assert daemon.log.stat().st_size - hers < (8 << 20) + (60 * 256 << 10)
    owned(daemon, "quiet", users.bob).running()
    assert "quiet: " in daemon.log_text
