"""The owner of one ini against the emperor and everybody else's vassals: each of these once stalled or fooled it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import APPS, Emperor, Vassal
from tests.e2e.harness.hostile import (
    answers_soon,
    cpu_seconds,
    go,
    hers,
    hostile,
    roots,
    settled_descriptors,
    zombies,
)
from tests.e2e.harness.intruder import canary
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for, within
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "useradd")

LOG_PER_SECOND = 512 * 1024
"""Bytes that one vassal may make the emperor's own log grow by: 1000 short lines are a tenth of it."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


# Whose spec it is ----------------------------------------------------------------------------------------------------


def test_her_older_spec_is_still_hers_when_root_has_taken_the_ini_over(daemon: Emperor, users: Users) -> None:
    folder = daemon.root / "roots"
    folder.mkdir(mode=0o755)
    vassal = hostile(daemon, users, "serve", logto=folder / "a.log", socket=folder / "a.sock")
    row = vassal.running()
    wait_for(lambda: daemon.ctl("logs", "hers").stdout, lambda text: "a line of hers" in text, "her line")
    roots(vassal, wsgi_file="/nowhere.py", socket=None, logto=None)
    vassal.until(lambda now: "/nowhere.py" in (now["error"] or ""), "root's version fails to start")
    users.alice.run("kill", "-9", str(row["pid"]))
    vassal.replaced(row)
    # Its ring was cleared when the ini became root's, so that this is a new one.
    wait_for(lambda: daemon.ctl("logs", "hers").stdout, lambda text: "a line of hers" in text, "her line again")
    assert list(folder.iterdir()) == []


# Nobody waits for her ------------------------------------------------------------------------------------------------


def test_a_zombie_that_its_child_traces_stalls_nobody(daemon: Emperor, users: Users) -> None:
    """The dead are hidden from their parent as long as somebody else traces them (ptrace(2))."""
    vassal = hostile(daemon, users, "traced", reload_mercy=2)
    daemon.wait_for_log("seized: ")
    if "seized: 0" not in daemon.log_text:
        pytest.skip("ptrace(2) is not permitted here")
    row = vassal.running()
    go(vassal)
    vassal.until(lambda now: now.get("pid") != row["pid"], "it has ended")
    for _ in range(3):
        answers_soon(daemon)
    vassal.ini.unlink()
    with within(5):
        assert daemon.stop() == 0


LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
signal.alarm(60)
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("taken", flush=True)
sys.stdin.read()
"""


@contextmanager
def leased(users: Users, path: Path) -> Iterator[None]:
    """alice lets nobody open her file, for as long as the kernel lets her (fcntl(2), "Leases")."""
    with subprocess.Popen(
        [SYSTEM_PYTHON, "-c", LEASE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **users.alice.popen_arguments(),
    ) as holder:
        assert holder.stdin and holder.stdout
        try:
            assert holder.stdout.readline() == b"taken\n"
            yield
        finally:
            holder.stdin.close()


def test_a_lease_on_her_interpreter_stalls_nobody(daemon: Emperor, users: Users) -> None:
    vassal = hostile(daemon, users, "serve")
    vassal.running()
    daemon.ctl("stop", "hers")
    with leased(users, vassal.folder / "hostile"):
        daemon.ctl("start", "hers", "--no-wait")
        answers_soon(daemon)
        assert vassal.row()["state"] == "STARTING"
        canary(daemon)
    vassal.running()


@pytest.mark.parametrize("act", ["lingering", "lingering_last_words"])
def test_a_connection_that_lingers_handed_up_as_a_listener_stalls_nobody(
    daemon: Emperor, users: Users, act: str
) -> None:
    """SO_LINGER of socket(7): its last close waits for 20 s."""
    vassal = hostile(daemon, users, act, socket=users.alice.home / f"{act}.sock", reload_mercy=2)
    daemon.wait_for_log("handed up")
    go(vassal)
    for _ in range(3):
        answers_soon(daemon)
    canary(daemon)
    with within(5):
        assert daemon.stop() == 0


@contextmanager
def hanging_files(users: Users, folder: Path) -> Iterator[None]:
    """A filesystem of alice's below, where each close(2) hangs until this is over."""
    folder.mkdir()
    command = [SYSTEM_PYTHON, str(APPS / "fuse_hanging.py"), str(folder), str(users.alice.uid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            told = server.stdout.readline()
            if told != "mounted\n":
                pytest.skip(f"FUSE: {told or 'no /dev/fuse'}")
            yield
        finally:
            server.stdin.close()


@pytest.mark.parametrize(("act", "hanging"), [("hanging_listener", 1), ("hanging_words", 0)])
def test_what_nobody_can_close_costs_one_descriptor_however_often_it_is_sent(
    daemon: Emperor, users: Users, act: str, hanging: int
) -> None:
    """A file on a filesystem of hers that does not answer: close(2) asks it (FUSE_FLUSH)."""
    vassal = hostile(daemon, users, "serve", socket=users.alice.home / f"{act}.sock", reload_mercy=2)
    vassal.running()
    before, threads = settled_descriptors(daemon), len(os.listdir(f"/proc/{daemon.pid}/task"))
    with hanging_files(users, vassal.folder / "fuse"):
        hers(vassal, env=f"ACT={act}")
        daemon.wait_for_log("handed up")
        reload_ten_times(daemon, "hers")
        answers_soon(daemon)
        # MOST of tending.burials; and each generation's channel waits for what hangs before it.
        assert settled_descriptors(daemon) <= before + 2 + 11 * hanging
        assert len(os.listdir(f"/proc/{daemon.pid}/task")) <= threads + hanging
        assert daemon.log_text.count("not listened to any more") == 11
        # Another's program is started: it closes its copies of all that we have open.
        canary(daemon)
        daemon.ctl("stop", "canary")
    wait_for(lambda: settled_descriptors(daemon), lambda seen: seen <= before + 2, "what hung is closed")
    with within(5):
        assert daemon.stop() == 0


# Nobody is drowned by her --------------------------------------------------------------------------------------------


@contextmanager
def not_drowned(daemon: Emperor) -> Iterator[None]:
    """The emperor answers and keeps its log small, and does not spend all of its time on what happens here."""
    began, size, spent = time.monotonic(), daemon.log.stat().st_size, cpu_seconds(daemon.pid)
    yield
    while time.monotonic() < began + 1.5:
        answers_soon(daemon)
    took = time.monotonic() - began
    assert (daemon.log.stat().st_size - size) / took < LOG_PER_SECOND
    assert (cpu_seconds(daemon.pid) - spent) / took < 0.9


@pytest.mark.parametrize("where", ["import", "worker"])
def test_newlines_as_fast_as_it_can(daemon: Emperor, where: str) -> None:
    stop = daemon.root / "stop"
    site = daemon.add("site", app="floods.py", env=[f"FLOOD={where}", f"STOP={stop}"], reload_mercy=2)
    if where == "worker":
        site.running()
        site.get()
    else:
        site.state("STARTING")
    with not_drowned(daemon):
        pass
    stop.touch()
    site.running()
    daemon.wait_for_log("lines lost]")


def test_newlines_that_outlive_it(daemon: Emperor, users: Users) -> None:
    vassal = hostile(daemon, users, "flooding_child", reload_mercy=2)
    row = vassal.running()
    with not_drowned(daemon):
        go(vassal)
        vassal.until(lambda now: now.get("pid") != row["pid"], "it has ended")
        daemon.ctl("stop", "hers")


def test_messages_as_fast_as_it_can(daemon: Emperor, users: Users) -> None:
    vassal = hostile(daemon, users, "flooding_channel", reload_mercy=2)
    vassal.running()
    with not_drowned(daemon):
        canary(daemon)
        assert daemon.ctl("stop", "hers").returncode == 0


# The end -------------------------------------------------------------------------------------------------------------


def test_after_term_no_ini_delays_the_end(daemon: Emperor, users: Users) -> None:
    stubborn = hostile(daemon, users, "stubborn", reload_mercy=2)
    site = daemon.add("site")
    stubborn.running(), site.running()
    daemon.signal(signal.SIGTERM)
    with within(2 + 2):
        daemon.wait_for_log("stopping")
        for vassal in (stubborn, site):
            os.utime(vassal.ini)
        daemon.add("late")
        hers(stubborn, env="ACT=serve")
        assert daemon.process is not None
        assert daemon.process.wait(20) == 0
    assert "late: new" not in daemon.log_text
    assert daemon.log_text.count("STARTING -> RUNNING") == 2


def test_a_second_term_ends_it_at_once(daemon: Emperor, users: Users) -> None:
    stubborn = hostile(daemon, users, "stubborn", reload_mercy=60)
    row = stubborn.running()
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("requests in flight finish")
    os.utime(stubborn.ini)
    with within(3):
        assert daemon.stop() == 0
    assert not procfs.alive(row["pid"])


# What is another's ---------------------------------------------------------------------------------------------------


def stays_whole(site: Vassal) -> None:
    """It answers, and goes on to do so over a reload and a restart."""
    assert site.get().status == 200
    for verb in ("reload", "restart"):
        assert site.emperor.ctl(verb, site.name).returncode == 0
        assert site.get().status == 200


@pytest.fixture
def folder_of_site(request: pytest.FixtureRequest, daemon: Emperor, users: Users) -> Path:
    """Where alice cannot bind: in a folder of root's, or in bob's home."""
    if request.param == "bob":
        return users.bob.home
    folder = daemon.root / "sockets"
    folder.mkdir(mode=0o755)
    return folder


def bound_elsewhere(daemon: Emperor, users: Users, path: Path) -> Vassal:
    """In a mount namespace of her own she can bind any path, and the kernel's word on it is the same."""
    vassal = hostile(daemon, users, "elsewhere", socket=path)
    wait_for(lambda: daemon.log_text, lambda text: "bound elsewhere" in text or "not permitted" in text)
    if "not permitted" in daemon.log_text:
        pytest.skip("user namespaces are not permitted here (unshare(2), sysctl user.max_user_namespaces)")
    return vassal


@pytest.mark.parametrize("folder_of_site", ["root", "bob"], indirect=True)
def test_a_listener_of_anothers_path_from_elsewhere_is_refused(
    daemon: Emperor, users: Users, folder_of_site: Path
) -> None:
    vassal = bound_elsewhere(daemon, users, folder_of_site / "site.sock")
    vassal.running()
    site = daemon.add("site", users.bob, socket=folder_of_site / "site.sock")
    site.running()
    go(vassal)
    daemon.wait_for_log("it is vassal site's -- closed")
    stays_whole(site)
    assert daemon.ctl("stop", "hers").returncode == 0
    assert site.get().status == 200


def test_a_listener_of_a_path_of_roots_is_refused_before_anybody_has_it(daemon: Emperor, users: Users) -> None:
    folder = daemon.root / "sockets"
    folder.mkdir(mode=0o755)
    vassal = bound_elsewhere(daemon, users, folder / "site.sock")
    go(vassal)
    daemon.wait_for_log("cannot bind there -- closed")
    site = daemon.add("site", users.bob, socket=folder / "site.sock")
    site.running()
    assert site.get().status == 200


def test_a_socket_that_another_vassal_has_is_refused(daemon: Emperor, users: Users) -> None:
    site = daemon.add("site", users.bob, socket=users.bob.home / "held.sock")
    site.running()
    vassal = hostile(daemon, users, "serve", socket=site.socket)
    row = vassal.state("BACKOFF", "INVALID")
    assert f"{site.socket} is vassal site's already" in row["error"]
    assert site.get().status == 200


# Nothing is left of her ----------------------------------------------------------------------------------------------


def reload_ten_times(daemon: Emperor, name: str) -> None:
    for _ in range(10):
        assert daemon.ctl("reload", name).returncode == 0


def test_a_pipe_handed_up_leaves_no_descriptor(daemon: Emperor, users: Users) -> None:
    vassal = hostile(daemon, users, "pipe", socket=users.alice.home / "pipe.sock", reload_mercy=2)
    daemon.wait_for_log("handed up")
    vassal.running()
    before = settled_descriptors(daemon)
    reload_ten_times(daemon, "hers")
    # Of two generations that were killed the pid is still ours (MOST of tending.burials).
    assert settled_descriptors(daemon) <= before + 2
    assert daemon.log_text.count("no socket as a listener") == 11


def test_one_that_kills_itself_when_it_is_to_go_leaves_neither_zombies_nor_descriptors(
    daemon: Emperor, users: Users
) -> None:
    vassal = hostile(daemon, users, "selfkill", reload_mercy=9999)
    vassal.running()
    before = settled_descriptors(daemon)
    reload_ten_times(daemon, "hers")
    vassal.running()
    # MOST of tending.burials, and the one that has died a moment ago.
    wait_for(lambda: zombies(daemon.pid), lambda seen: seen <= 3, "the older ones are reaped")
    assert settled_descriptors(daemon) <= before + 3


def stale_watches(pid: int) -> list[str]:
    """What an epoll of a process still watches although the process has closed it (proc_pid_fdinfo(5))."""
    found = []
    for fd, target in procfs.descriptors(pid).items():
        if "eventpoll" not in target:
            continue
        for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines():
            if line.startswith("tfd:"):
                number, inode = int(line.split()[1]), int(line.split("ino:")[1].split()[0], 16)
                try:
                    open_one = os.stat(f"/proc/{pid}/fd/{number}").st_ino
                except OSError:
                    open_one = -1
                if open_one != inode:
                    found.append(line)
    return found


def test_a_second_listener_of_one_that_sleeps_is_not_taken_and_nothing_closed_is_watched(
    daemon: Emperor, users: Users
) -> None:
    path = users.alice.home / "second.sock"
    vassal = hostile(daemon, users, "second_listener", socket=path, on_demand="true", idle=1, reload_mercy=60)
    vassal.state("IDLE")
    assert daemon.ctl("restart", "hers").returncode == 0
    # It says that it is tired, is told to go, and stays.
    vassal.state("IDLE")
    go(vassal)
    daemon.wait_for_log("handed up")
    answers_soon(daemon)
    wait_for(lambda: stale_watches(daemon.pid), lambda found: not found, "nothing that is closed is watched")
    canary(daemon)
    daemon.ctl("stop", "hers")
