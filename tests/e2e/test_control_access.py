"""Who may say what on the control socket: the kernel says who calls, and nobody can block it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.wire import connect
from tests.requirements import needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site")
    vassal.running()
    return vassal


def test_a_client_that_says_nothing_or_nonsense_blocks_nobody(daemon: Emperor, site: Vassal) -> None:
    idle = [connect(str(daemon.control)) for _ in range(20)]
    with suppress(OSError):  # a refusal may come before the end of it
        idle[0].sendall(b"\xff\x00 nonsense\n")
        idle[1].sendall(b"{" * 100_000)
    try:
        assert daemon.ctl("status").returncode == 0
    finally:
        for one in idle:
            one.close()
    assert site.get().status == 200


@needs("root")
def test_the_control_socket_is_open_and_the_kernel_says_who_calls(daemon: Emperor, users: Users) -> None:
    assert stat.S_IMODE(os.stat(daemon.control).st_mode) == 0o666
    hers, his = daemon.add("hers", users.alice), daemon.add("his", users.bob)
    hers.running(), his.running()
    seen = json.loads(daemon.ctl("status", "--json", person=users.alice).stdout)
    assert [row["name"] for row in seen] == ["hers"]
    pid = his.row()["pid"]
    for verb in ("stop", "restart", "reload", "logs"):
        done = daemon.ctl(verb, "his", person=users.alice)
        assert done.returncode in (4, 6), f"{verb}: {done}"
    assert daemon.ctl("stop", "all", person=users.alice).returncode == 0
    assert his.row()["pid"] == pid
    assert hers.row()["state"] == "STOPPED"
    assert daemon.ctl("start", "hers", person=users.alice).returncode == 0


@needs("root")
def test_a_stranger_sees_nothing_unless_it_is_public(emperor: StartEmperor, users: Users) -> None:
    closed = emperor().start()
    closed.add("hers", users.alice).running()
    done = closed.ctl("status", "--json", person=users.bob)
    assert "hers" not in done.stdout
    open_ = emperor().start("--control-public", "status")
    open_.add("hers", users.alice).running()
    assert "hers" in open_.ctl("status", person=users.bob).stdout
    assert open_.ctl("stop", "hers", person=users.bob).returncode in (4, 6)
    assert open_.row("hers")["state"] == "RUNNING"


@needs("root")
def test_the_control_group_may_do_everything(emperor: StartEmperor, users: Users) -> None:
    """alice is in it by a supplementary group alone."""
    daemon = emperor().start("--control-group", str(users.crew))
    his = daemon.add("his", users.bob)
    his.running()
    assert daemon.ctl("stop", "his", person=users.alice).returncode == 0
    assert his.row()["state"] == "STOPPED"


def test_a_second_emperor_on_the_same_control_socket_is_refused(daemon: Emperor, site: Vassal) -> None:
    words = [str(daemon.programs / "emperor"), "--control-socket", str(daemon.control), str(daemon.vassals)]
    environ = {"PATH": os.environ["PATH"], "HOME": "/"}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert str(daemon.control) in done.stderr
    assert daemon.ctl("status").returncode == 0
    assert site.get().status == 200


def test_usage_of_the_daemon_exits_2(emperor_venv: Path) -> None:
    done = subprocess.run([str(emperor_venv / "bin/emperor"), "--nonsense"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr


@needs("root")
def test_nothing_runs_as_root_but_the_emperor(daemon: Emperor, site: Vassal) -> None:
    assert {procfs.uids(pid)[1] for pid in procfs.descendants(daemon.pid)} == {site.owner.uid}
