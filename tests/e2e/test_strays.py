"""A stopped vassal leaves no process behind, whatever its app has done to be left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal, environ_for, ini
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "useradd")

ESCAPED = ("pauses", "deaf", "tidies_up", "forks_on", "runs_away", "multiplies")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def inside(folder: Path) -> list[int]:
    """Who lives and works in an app's folder: an escaped process keeps it, whatever else it has changed."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder) and procfs.alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def nobody_in(folder: Path, deadline: float = 20) -> None:
    wait_for(lambda: inside(folder), lambda left: not left, "nobody is left", deadline)


def zombies(pid: int) -> list[int]:
    """Dead children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and procfs.parent(int(entry.name)) == pid and not procfs.alive(int(entry.name)):
                found.append(int(entry.name))
        except (OSError, KeyError):
            continue
    return found


def leaves(daemon: Emperor, name: str = "site", strays: str = "", clear: bool = False, **options: object) -> Vassal:
    """``strays``: those of its import. ``clear``: it gives the role of a subreaper up, and they go to the emperor."""
    wanted = [f"STRAYS={strays}", *(["CLEAR_FLAG=1"] if clear else [])]
    return daemon.add(name, None, "leaves_strays.py", env=wanted, **options)


def escaped(site: Vassal, *kinds: str) -> list[int]:
    """They have left; everybody in the folder who is none of ours."""
    wait_for(
        lambda: (site.folder / "escaped").read_text().split() if (site.folder / "escaped").exists() else [],
        lambda seen: len(seen) >= len(kinds),
        "they have escaped",
    )
    row = site.row()
    ours = {row["pid"], *(worker["pid"] for worker in row["workers"])}
    return wait_for(lambda: [pid for pid in inside(site.folder) if pid not in ours], what="somebody has escaped")


def asks_for_all(site: Vassal) -> None:
    site.running()
    for kind in ESCAPED:
        assert site.get(f"/?{kind}").status == 200
    escaped(site, *ESCAPED)


@pytest.mark.parametrize("order", ["stop", "remove"])
def test_whoever_escaped_is_gone_with_its_vassal(daemon: Emperor, order: str) -> None:
    site = leaves(daemon, strays=" ".join(ESCAPED), processes=2)
    other = leaves(daemon, "other", strays="pauses")
    asks_for_all(site)
    theirs = escaped(other, "pauses")
    if order == "stop":
        assert daemon.ctl("stop", "site").returncode == 0
        site.state("STOPPED")
    else:
        site.ini.unlink()
    nobody_in(site.folder)
    # Once at the import, once in a request.
    assert (site.folder / "tidied").read_text() == "xx"
    assert set(theirs) <= set(inside(other.folder))
    assert other.get("/").status == 200


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_the_next_generation_has_none_of_the_last_ones(daemon: Emperor, how: str) -> None:
    site = leaves(daemon)
    asks_for_all(site)
    before = site.row()
    old = set(inside(site.folder))
    assert daemon.ctl(how, "site").returncode == 0
    row = site.replaced(before)
    now = {row["pid"], *(worker["pid"] for worker in row["workers"])}
    wait_for(lambda: set(inside(site.folder)), lambda left: left == now, "the new generation alone")
    assert not now & old


@pytest.mark.parametrize("clear", [False, True], ids=["", "flag cleared"])
def test_a_killed_vassals_strays_are_the_emperors_to_end(emperor: StartEmperor, clear: bool) -> None:
    daemon = emperor().start()
    site = leaves(daemon, strays="pauses forks_on", clear=clear, reload_mercy=1)
    asks_for_all(site)
    before = site.row()
    strays = [pid for pid in inside(site.folder)]
    os.kill(before["pid"], signal.SIGKILL)
    row = site.replaced(before)
    wait_for(lambda: [pid for pid in strays if procfs.alive(pid)], lambda left: not left, "the old ones are gone")
    assert daemon.ctl("stop", "site").returncode == 0
    nobody_in(site.folder)
    wait_for(lambda: zombies(daemon.pid), lambda dead: not dead, "nobody dead is left")
    assert row["pid"] != before["pid"]


def test_an_app_that_clears_the_flag_gets_no_stray_past_its_stop(daemon: Emperor) -> None:
    site = leaves(daemon, clear=True)
    asks_for_all(site)
    wait_for(lambda: [pid for pid in procfs.children(daemon.pid) if pid in inside(site.folder)], what="adopted")
    assert daemon.ctl("stop", "site").returncode == 0
    site.state("STOPPED")
    nobody_in(site.folder)


@pytest.mark.parametrize("kind", ["ignores_term", "ignores_all"])
def test_a_worker_that_ignores_its_orders_is_gone_after_reload_mercy(daemon: Emperor, kind: str) -> None:
    site = daemon.add("site", app="leaves_strays.py", reload_mercy=1)
    site.running()
    assert site.get(f"/?worker={kind}").status == 200
    assert daemon.ctl("stop", "site").returncode == 0
    site.state("STOPPED")
    nobody_in(site.folder, 1)


def test_a_generation_that_had_to_be_killed_leaves_nobody_for_longer(daemon: Emperor) -> None:
    """Its workers were killed with it, so that nobody waits for them once more."""
    site = leaves(daemon, strays="pauses", clear=True, reload_mercy=8)
    site.running()
    assert site.get("/?worker=ignores_term").status == 200
    before = site.row()
    old = inside(site.folder)
    assert daemon.ctl("reload", "site").returncode == 0
    site.replaced(before)
    wait_for(lambda: [pid for pid in old if procfs.alive(pid)], lambda left: not left, "the old ones are gone", 13)


def test_the_dead_of_an_app_that_double_forks_in_each_request_do_not_pile_up(daemon: Emperor) -> None:
    site = daemon.add("site", app="leaves_strays.py")
    pid = site.running()["pid"]
    for _ in range(500):
        assert site.get("/?ends").status == 200
    wait_for(lambda: zombies(pid), lambda left: not left, "all are reaped")
    assert site.row()["pid"] == pid


@pytest.mark.parametrize("clear", [False, True], ids=["", "flag cleared"])
def test_an_emperor_that_stops_leaves_nobody(emperor: StartEmperor, clear: bool) -> None:
    daemon = emperor().start()
    site = leaves(daemon, strays="pauses", clear=clear)
    asks_for_all(site)
    assert daemon.stop() == 0
    nobody_in(site.folder, 1)


ORPHANAGE = """#!/usr/bin/python3
import os, sys, time
if "ORPHANS" not in os.environ:
    os.environ["ORPHANS"] = "1"
    middle = os.fork()
    if not middle:
        for _ in range(200):
            if not os.fork():
                os.setsid(), os.closerange(0, 256), time.sleep(600)
        os._exit(0)
    os.waitpid(middle, 0)
os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv[1:]])
"""


def test_another_users_orphans_by_the_hundred_do_not_keep_the_emperor_busy(daemon: Emperor, users: Users) -> None:
    """Made by a program of the user's, before ours stands and adopts them."""
    crowded = daemon.place("crowded", users.bob)
    program = crowded.folder / "python"
    program.write_text(ORPHANAGE)
    program.chmod(0o755)
    crowded.write(python=program).running()
    wait_for(lambda: procfs.children(daemon.pid), lambda pids: len(pids) > 200, "they are the emperor's")
    site = leaves(daemon, strays="pauses", clear=True)
    theirs = escaped(site, "pauses")
    before = site.row()
    assert daemon.ctl("restart", "site").returncode == 0
    site.replaced(before)
    wait_for(lambda: [pid for pid in theirs if procfs.alive(pid)], lambda left: not left, "the old ones are gone")

    def wakes() -> int:
        before = int(procfs.status(daemon.pid)["voluntary_ctxt_switches"])
        select.select([], [], [], 1)
        return int(procfs.status(daemon.pid)["voluntary_ctxt_switches"]) - before

    wait_for(wakes, lambda count: count < 12, "it is at rest")
    assert len(procfs.children(daemon.pid)) > 200
    assert daemon.ctl("stop", "crowded").returncode == 0
    wait_for(lambda: procfs.children(daemon.pid), lambda pids: len(pids) < 20, "they went with their user's vassal")


def test_vassals_end_their_strays_when_the_emperor_was_killed(emperor: StartEmperor) -> None:
    daemon = emperor().start()
    site = leaves(daemon, strays="pauses")
    asks_for_all(site)
    daemon.kill()
    nobody_in(site.folder)


def test_an_upgrade_in_place_goes_on_looking_after_them(daemon: Emperor) -> None:
    site = leaves(daemon, strays="pauses", clear=True)
    other = daemon.add("other")
    asks_for_all(site)
    mine = other.running()
    assert daemon.ctl("upgrade").returncode == 0, daemon.log_text
    assert other.row()["pid"] == mine["pid"]
    assert daemon.ctl("stop", "site").returncode == 0
    site.state("STOPPED")
    nobody_in(site.folder)
    assert other.row()["pid"] == mine["pid"]


@pytest.mark.parametrize("upgraded", [False, True], ids=["", "upgraded"])
def test_whoever_was_the_emperors_child_before_it_was_the_emperor_is_left_alone(
    emperor: StartEmperor, folder: Path, upgraded: bool
) -> None:
    daemon = emperor()
    site = daemon.add("site", uid="root", gid="root", allow_root="true", app="leaves_strays.py")
    script = f'setsid sleep 60 & echo $! >{folder}/before; exec "$@"'
    command = [str(daemon.programs / "emperor"), "--allow-root", "--control-socket", str(daemon.control)]
    words = ["sh", "-c", script, "sh", *command, str(daemon.vassals)]
    daemon.process = subprocess.Popen(words, env=environ_for(daemon.person), start_new_session=True)
    wait_for(daemon.answers, what="the control socket answers")
    asks_for_all(site)
    before = int((folder / "before").read_text())
    if upgraded:
        assert daemon.ctl("upgrade").returncode == 0, daemon.log_text
    assert daemon.ctl("stop", "site").returncode == 0
    nobody_in(site.folder)
    try:
        assert procfs.alive(before)
    finally:
        os.kill(before, signal.SIGKILL)


def test_emperor_run_leaves_nobody_either(emperor: StartEmperor) -> None:
    daemon = emperor()
    site = daemon.place("site", app="leaves_strays.py")
    (site.folder / "own.ini").write_text(
        ini(socket=f"{site.folder}/own.sock", wsgi_file=f"{site.folder}/app.py", chdir=site.folder, env="STRAYS=deaf")
    )
    process = subprocess.Popen(
        [str(daemon.programs / "emperor"), "run", str(site.folder / "own.ini")],
        env=environ_for(site.owner),
        cwd="/",
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        **site.owner.popen_arguments(),
    )
    try:
        wait_for((site.folder / "own.sock").is_socket, what="it listens")
        wait_for(lambda: len(inside(site.folder)) >= 3, what="vassal, worker and stray")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        nobody_in(site.folder, 1)
    finally:
        process.kill()
        process.wait()
