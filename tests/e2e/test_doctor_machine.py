"""``emperorctl doctor`` where the machine is at fault: limits, disks, folders that are hidden, no emperor, too many."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import APPS, Emperor, environ_for
from tests.e2e.harness.people import Users, current
from tests.e2e.harness.waiting import wait_for, within
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "useradd", "www-data", "venv")

Finding = dict[str, Any]

NO_WEB_SERVER = ("--nginx-conf", "/nowhere/nginx.conf")
"""Whatever web server this machine has is no part of these tests."""


def asked(daemon: Emperor, *words: str, inside: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """``inside``: a command that the rest is an argument of."""
    ctl = [str(daemon.programs / "emperorctl"), "--control-socket", str(daemon.control), "doctor", "--json", *words]
    command = [*inside, *ctl, *NO_WEB_SERVER]
    return subprocess.run(command, capture_output=True, text=True, env=environ_for(current()), cwd="/")


def doctor(daemon: Emperor, *words: str, inside: tuple[str, ...] = ()) -> list[Finding]:
    done = asked(daemon, *words, inside=inside)
    assert done.returncode == 1, done.stdout + done.stderr
    found: list[Finding] = json.loads(done.stdout)
    return found


def finds(kind: str, found: list[Finding]) -> Finding:
    chosen = next((one for one in found if one["kind"] == kind), None)
    assert chosen is not None, found
    return chosen


def kinds(found: list[Finding]) -> set[str]:
    return {one["kind"] for one in found}


def instead_of(path: str, other: Path) -> tuple[str, ...]:
    """A command that runs its arguments where ``path`` is ``other``."""
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {other} {path} && exec "$@"', "sh")


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def disk_that_does_not_answer(folder: Path) -> Iterator[None]:
    """In the place of what lies there: a filesystem whose server is stopped."""
    command = [SYSTEM_PYTHON, str(APPS / "fuse_hanging.py"), str(folder), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            told = server.stdout.readline()
            if told != "mounted\n":
                pytest.skip(f"FUSE: {told or 'no /dev/fuse'}")
            server.send_signal(signal.SIGSTOP)
            yield
        finally:
            server.send_signal(signal.SIGCONT)
            server.stdin.close()


def test_a_queue_that_the_kernel_shortens_is_told_with_the_sysctl(shared_emperor: Emperor) -> None:
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    if most >= 65535:
        pytest.skip("no ini can ask for more than this machine allows")
    shared_emperor.add("queue", listen=65535).running()
    finding = finds("somaxconn", doctor(shared_emperor, "queue"))
    assert finding["weight"] == "may fail" and f"{most}" in finding["what"]
    assert "sysctl -w net.core.somaxconn=65535" in finding["mend"]


def test_watches_of_inotify_that_are_used_up_are_counted(shared_emperor: Emperor, folder: Path) -> None:
    shared_emperor.add("watched").running()
    limit = folder / "limit"
    limit.write_text("1\n")
    inside = instead_of("/proc/sys/fs/inotify/max_user_watches", limit)
    finding = finds("inotify", doctor(shared_emperor, "watched", inside=inside))
    assert "of 1 inotify watches" in finding["what"]
    assert "inotify" not in kinds(doctor(shared_emperor, "watched"))


def test_files_that_workers_may_not_open_are_told(shared_emperor: Emperor) -> None:
    shared_emperor.add("files", limit_nofile=100).running()
    assert "100 files" in finds("open-files", doctor(shared_emperor, "files"))["what"]


def test_a_disk_without_room_for_the_log_is_found(shared_emperor: Emperor, open_folder: Path) -> None:
    logs = open_folder / "logs"
    logs.mkdir()
    with mounted(logs, "1m"):
        vassal = shared_emperor.add("full", logto=logs / "app.log")
        vassal.running()
        with pytest.raises(OSError), (logs / "ballast").open("wb") as ballast:
            ballast.write(bytes(2 << 20))
        finding = finds("disk-full", doctor(shared_emperor, "full"))
        assert str(logs) in finding["what"] and "space" in finding["what"]
        assert vassal.get("/facts").status == 200, "a full disk costs lines, not requests"
        (logs / "ballast").unlink()
        assert "disk-full" not in kinds(doctor(shared_emperor, "full"))


def test_that_the_emperors_own_log_cannot_be_written_is_said(emperor: StartEmperor) -> None:
    finding = finds("emperor-log", doctor(emperor().start("--logto", "/dev/full")))
    assert finding["what"] == "the emperor's log: No space left on device -- lines are lost"


def test_a_web_user_that_is_not_there_is_said(shared_emperor: Emperor) -> None:
    assert "nosuchuser" in finds("no-web-user", doctor(shared_emperor, "--as", "nosuchuser"))["what"]


def test_without_an_emperor_the_machine_is_looked_at_all_the_same(shared_emperor: Emperor, folder: Path) -> None:
    command = [str(shared_emperor.programs / "emperorctl"), "--control-socket", str(folder / "none"), "doctor"]
    done = subprocess.run([*command, *NO_WEB_SERVER], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No such file or directory" in done.stdout and "mend: " in done.stdout
    told = subprocess.run([*command, "--json", *NO_WEB_SERVER], capture_output=True, text=True)
    finding = finds("no-emperor", json.loads(told.stdout))
    assert str(shared_emperor.pid) in " ".join(finding["mend"]), "the emperor that runs elsewhere is named"


def test_two_emperors_that_quarrel_about_a_socket_are_found(
    shared_emperor: Emperor, emperor: StartEmperor, folder: Path
) -> None:
    sockets = folder / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    shared_emperor.add("first", socket=sockets / "app.sock").running()
    other = emperor().start()
    other.add("second", socket=sockets / "app.sock").state("BACKOFF", "FATAL")
    finding = finds("two-emperors", doctor(other, "second"))
    assert all(str(one.pid) in finding["what"] for one in (other, shared_emperor))


def test_an_emperor_with_a_tmp_of_its_own_is_found(emperor: StartEmperor, folder: Path) -> None:
    daemon = emperor()
    private = folder / "tmp"
    private.mkdir(mode=0o777)
    real = daemon.programs
    wrapper = folder / "bin"
    wrapper.mkdir()
    bind = f"mount --bind {private} /var/tmp"
    (wrapper / "emperor").write_text(
        f'#!/bin/sh\nexec unshare --mount sh -c \'{bind} && exec "$0" "$@"\' {real}/emperor "$@"\n'
    )
    (wrapper / "emperor").chmod(0o755)
    (wrapper / "emperorctl").symlink_to(real / "emperorctl")
    daemon.programs = wrapper
    daemon.start()
    vassal = daemon.add("hidden", socket=f"/var/tmp/{folder.parent.name}-{os.getpid()}.sock")
    vassal.running()
    assert not os.path.exists(vassal.socket)
    found = doctor(daemon, "hidden")
    finding = finds("hidden-folder", found)
    assert "/var/tmp" in finding["what"] and "PrivateTmp" in finding["what"]
    assert wait_for(lambda: "socket-missing" in kinds(doctor(daemon, "hidden")))


def test_a_disk_that_does_not_answer_costs_a_bounded_time_and_is_said(shared_emperor: Emperor) -> None:
    vassal = shared_emperor.add("asleep")
    vassal.running()
    with disk_that_does_not_answer(vassal.folder), within(15):
        done = asked(shared_emperor, "asleep")
    assert "not looked at: asleep: its files: a disk does not answer" in done.stderr
    assert finds("web-configuration", json.loads(done.stdout))["subject"] == "nginx", "the rest was looked at"


def test_root_does_not_act_on_what_a_users_emperor_says(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor(users.alice).start()
    vassal = daemon.add("hers")
    vassal.running()
    requests = vassal.row()["requests"]
    done = asked(daemon, "hers")
    assert f"which is {users.alice.name}: root takes no user's word" in done.stderr
    assert vassal.row()["requests"] == requests, "root connects to nothing of hers"
    hers = daemon.ctl("doctor", "hers", *NO_WEB_SERVER)
    assert "hers: OK: answered 200" in hers.stdout, "she herself may"
