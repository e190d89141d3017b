"""Faults of the world around the daemon: clocks that jump, ways of saving an ini, files of rubbish, logs."""

from __future__ import annotations

import glob
import os
import signal
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal, chown, ini
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import FAKETIME, needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


# Clocks ------------------------------------------------------------------------------------------------------------


def faked(offset: Path) -> dict[str, str]:
    """For libfaketime: the wall clock alone is another, by what stands in a file at the moment of asking."""
    return {
        "LD_PRELOAD": glob.glob(FAKETIME)[0],
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def log_is_of(daemon: Emperor, site: Vassal, days: int) -> None:
    """The daemon stamps its lines with that day."""
    day = (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%dT")

    def stamped() -> bool:
        site.get("/say?hello")
        return any(line.startswith(day) for line in daemon.log_text.splitlines()[-3:])

    wait_for(stamped, what=f"the log is of {day}")


@needs("faketime")
def test_a_wall_clock_that_jumps_by_a_day_restarts_nobody_and_delays_nothing(emperor: StartEmperor) -> None:
    daemon = emperor()
    offset = daemon.root / "offset"
    offset.write_text("+0\n")
    around = faked(offset)
    daemon.start(**around)
    # libfaketime lets no app sleep(3) whose clock has jumped, so that the one that waits has its clock left alone.
    site, fails = daemon.add("site", harakiri=60), daemon.add("fails")
    other = daemon.add("other", harakiri=60, env=[f"{key}={value}" for key, value in around.items()])
    rows = {one.name: one.running() for one in (site, other, fails)}
    visitor, finish = site.hold()
    (fails.folder / "app.py").rename(fails.folder / "away.py")
    os.kill(rows["fails"]["pid"], 9)
    fails.state("BACKOFF")
    touched = other.row()
    for days in (1, -1):
        offset.write_text(f"{days:+}d\n")
        log_is_of(daemon, other, days)
        assert fails.until(lambda row: row["state"] == "BACKOFF", "it waits")["next_retry_in"] <= 61
        os.utime(other.ini)
        touched = other.replaced(touched)
        assert visitor.waits
    assert touched["generation"] == rows["other"]["generation"] + 2
    (fails.folder / "away.py").rename(fails.folder / "app.py")
    fails.running(90)
    now = site.row()
    assert (now["pid"], now["worker_exits"], now["restarts"]) == (rows["site"]["pid"], 0, 0)
    finish.touch()
    assert visitor.answer().status == 200


# Ways of saving ----------------------------------------------------------------------------------------------------


SAVES = {
    "sed -i": 'sed -i "s/WORD=.*/WORD=$3/" "$1"',
    "cp": 'cp "$2" "$1"',
    "install": 'install -m 644 "$2" "$1"',
    "mv": 'cp "$2" "$1.new" && mv "$1.new" "$1"',
    "truncate and write": ': > "$1"; cat "$2" > "$1"',
    "backup and write": 'mv "$1" "$1~" && cp "$2" "$1" && rm "$1~"',
    "unlink and write": 'rm "$1"; cp "$2" "$1"',
}


def settled(bell: Vassal) -> None:
    """Whatever was still to be told of the folder is told: what comes later has been heard."""
    row = bell.row()
    os.utime(bell.ini)
    bell.replaced(row)


def test_every_way_of_saving_is_one_reload_with_what_was_saved_last(daemon: Emperor) -> None:
    site, bell = daemon.add("site", env="WORD=none"), daemon.add("bell")
    row = site.running()
    bell.running()
    for number, script in enumerate(SAVES.values()):
        fresh = daemon.root / "fresh"
        fresh.write_text(ini(**{**site.options, "env": f"WORD={number}"}))
        fresh.chmod(0o644)
        daemon.person.run("/bin/sh", "-ec", script, "sh", str(site.ini), str(fresh), str(number))
        now = site.replaced(row)
        settled(bell)
        assert (site.row()["generation"], site.row()["error"]) == (row["generation"] + 1, None), script
        assert site.get().json["os_environ"]["WORD"] == str(number), script
        row = now


def test_a_touch_reloads_a_mode_is_judged_and_a_link_is_followed(daemon: Emperor) -> None:
    site, bell = daemon.add("site"), daemon.add("bell")
    first = site.running()
    bell.running()
    site.ini.chmod(0o666)
    assert "chmod" in site.until(lambda row: row["error"], "an error")["error"]
    assert site.row()["pid"] == first["pid"]
    site.ini.chmod(0o644)
    first = site.until(lambda row: row["state"] == "RUNNING" and not row["error"], "no error")
    site.ini.chmod(0o640)
    settled(bell)
    assert site.row()["pid"] == first["pid"]
    for words in (("touch", str(site.ini)), ("cp", "--no-preserve=all", str(site.ini), f"{site.ini}.same")):
        daemon.person.run(*words)
        if words[0] == "cp":
            Path(f"{site.ini}.same").replace(site.ini)
        first = site.replaced(first)
    link, target = daemon.vassals / "linked.ini", daemon.root / "target"
    os.replace(site.ini, target)
    link.symlink_to(target)
    daemon.wait_for(lambda rows: {row["name"] for row in rows} == {"bell", "linked"}, "the link is the vassal")
    linked = Vassal(daemon, "linked", site.owner, site.folder, {**site.options, "socket": None})
    row = linked.running()
    daemon.person.run("touch", "-h", str(link))
    settled(bell)
    daemon.person.run("touch", str(link))
    linked.replaced(row)


# Rubbish -----------------------------------------------------------------------------------------------------------


def _listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


RUBBISH: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ": has no [uwsgi] section"),
    "comments": (b"# nothing\n; else\n\n", ": has no [uwsgi] section"),
    "no-section": (b"wsgi-file = app.py\n", ": has no [uwsgi] section"),
    "other-section": (b"[other]\nwsgi-file = app.py\n", ": has no [uwsgi] section"),
    "half-section": (b"[uwsgi\nwsgi-file = app.py\n", ":1: "),
    "no-equals": (b"[uwsgi]\nwsgi-file app.py\n", ":2: "),
    "nul": (b"[uwsgi]\nwsgi-file = a\0b.py\n", ":2: "),
    "latin": (b"[uwsgi]\nwsgi-file = \xe9\xff\xfe.py\n", ":2: is not UTF-8"),
    "utf-16": ("[uwsgi]\nwsgi-file = app.py\n".encode("utf-16"), ":1: is not UTF-8"),
    "random": (bytes(range(256)) * 64, ".ini:"),
    "huge": (b"[uwsgi]\n# " + b"x" * (10 << 20), ": cannot be read: it is larger than "),
    "long-line": (b"[uwsgi]\nmodule = " + b"x" * 60000 + b"\n", ":2: the line is longer than "),
    "many-lines": (b"[uwsgi]\n" + b"x=y\n" * 15000, ":1001: has more than 1000 lines"),
    "itself": (b"[uwsgi]\nini = itself.ini\ninclude = itself.ini\n", ":2: ini: files draw in each other more than "),
    "unknown": (b"[uwsgi]\nno-such-option = 1\n", ": names no app"),
    "no-user": (b"[uwsgi]\nuid = nobody-at-all\nmodule = app\n", ":2: uid: "),
    "no-group": (b"[uwsgi]\ngid = nobody-at-all\nmodule = app\n", ":2: gid: "),
}
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "it is a FIFO"),
    "socket": (_listening, "it is a socket"),
    "folder": (os.mkdir, "it is a folder"),
    "dangling": (lambda path: path.symlink_to("/nowhere"), "a symbolic link on the way leads to nothing"),
    "loop": (lambda path: path.symlink_to(path), "a loop of symbolic links"),
}
GOOD: dict[str, tuple[str, str]] = {
    "bom": ("\ufeff", "\n"),
    "crlf": ("", "\r\n"),
    "twice": ("[uwsgi]\nprocesses = 2\n", "\n"),
}
"""What comes before the text of an ini, and how its lines end."""


def test_of_all_that_is_no_ini_each_is_named_and_costs_nobody_else_anything(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with site.crowd() as crowd:
        for name, (content, _) in RUBBISH.items():
            (daemon.vassals / f"{name}.ini").write_bytes(content)
        for name, (make, _) in ODD.items():
            make(daemon.vassals / f"{name}.ini")
        for name, (before, end) in GOOD.items():
            good = daemon.place(name)
            good.ini.write_bytes((before + ini(**good.options)).replace("\n", end).encode())
            good.running()
        late = daemon.add("late")
        late.running()
        settled(late)
    assert (crowd.refused, crowd.lost) == ([], [])
    assert site.row()["pid"] == row["pid"]
    told = {one["name"]: one for one in daemon.status()}
    for name, words in [(name, words) for table in (RUBBISH, ODD) for name, (_, words) in table.items()]:
        assert told[name]["state"] == "INVALID", name
        assert f"{daemon.vassals}/{name}.ini" in told[name]["error"] and words in told[name]["error"], told[name][
            "error"
        ]


# Logs --------------------------------------------------------------------------------------------------------------


def say(site: Vassal, log: Path, words: str) -> None:
    assert site.get(f"/say?{words}").status == 200
    wait_for(lambda: log.exists() and words in log.read_text(), what=f"{words} in {log}")


@needs("root", "useradd")
def test_a_log_that_is_emptied_in_place_or_removed_goes_on_and_is_its_owners(daemon: Emperor, users: Users) -> None:
    """logrotate's copytruncate, and rm with USR1; of root's log and of hers."""
    hers = daemon.root / "logs"
    hers.mkdir(mode=0o755)
    chown(hers, users.alice)
    logs = {
        daemon.root / "roots.log": daemon.add("roots", logto=daemon.root / "roots.log"),
        hers / "hers.log": daemon.add("hers", users.alice, logto=hers / "hers.log"),
    }
    for log, site in logs.items():
        site.running()
        say(site, log, "before")
        seen = log.stat()
        os.truncate(log, 0)
        say(site, log, "after-the-cut")
        text = log.read_text()
        assert "before" not in text and "\0" not in text
        log.unlink()
        daemon.signal(signal.SIGUSR1)
        wait_for(log.exists, what="it is there again")
        say(site, log, "after-the-removal")
        now = log.stat()
        assert (now.st_uid, now.st_gid, now.st_mode) == (seen.st_uid, seen.st_gid, seen.st_mode)
        assert site.row()["warnings"] == []
