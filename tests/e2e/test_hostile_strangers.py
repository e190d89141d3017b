"""Other users of the machine: at the control socket, at an app's socket, in the runtime folder, and in /proc."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import APPS, Emperor, Vassal
from tests.e2e.harness.hostile import answers_soon, cpu_seconds, settled_descriptors
from tests.e2e.harness.intruder import canary
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root")

SYSTEM_PYTHON = "/usr/bin/python3"
MIB = 1024
"""KiB, as VmRSS of proc_pid_status(5) counts."""
SECRET = "swordfish-of-hers"


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@contextmanager
def stranger(daemon: Emperor, person: Person, kind: str, *requests: str) -> Iterator[subprocess.Popen[str]]:
    """tests/apps/stranger.py as somebody, with all of its clients there."""
    program = daemon.root / "stranger.py"
    shutil.copy(APPS / "stranger.py", program)
    program.chmod(0o644)
    command = [SYSTEM_PYTHON, "-I", str(program), kind, str(daemon.control), *requests]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **person.popen_arguments()
    ) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()


def resident(pid: int) -> int:
    """Kibibytes."""
    return int(procfs.status(pid)["VmRSS"].split()[0])


def own_status(daemon: Emperor, person: Person) -> list[str]:
    """What emperorctl shows to somebody; the places of one user do not depend on another's."""
    done = daemon.ctl("status", "--json", person=person)
    assert done.returncode == 0, done
    return [row["name"] for row in json.loads(done.stdout)]


def not_full_any_more(daemon: Emperor, person: Person) -> None:
    wait_for(lambda: daemon.ctl("status", person=person).stderr, lambda said: "too many" not in said, "a place is free")


# The control socket --------------------------------------------------------------------------------------------------


def test_a_thousand_clients_of_a_stranger_keep_neither_root_nor_another_user_waiting(
    daemon: Emperor, users: Users
) -> None:
    hers = daemon.add("hers", users.alice)
    row = hers.running()
    before, descriptors = resident(daemon.pid), settled_descriptors(daemon)
    with ExitStack() as crowd:
        for kind in ("silent", "half", "pipelined", "endless"):
            crowd.enter_context(stranger(daemon, users.bob, kind))
        for _ in range(3):
            answers_soon(daemon)
            assert own_status(daemon, users.alice) == ["hers"]
        assert hers.get().status == 200
        assert len(procfs.descriptors(daemon.pid)) <= descriptors + 64, "MOST_CLIENTS of control.server"
        assert resident(daemon.pid) < before + 24 * MIB
    assert settled_descriptors(daemon) <= descriptors
    assert hers.row()["pid"] == row["pid"]


def test_nothing_that_a_stranger_says_is_an_order_or_an_error_of_ours(daemon: Emperor, users: Users) -> None:
    """Names of attributes, deep JSON, huge numbers, what is none, keys that come twice, bytes that are no text."""
    hers = daemon.add("a", users.alice)
    row = hers.running()
    with stranger(daemon, users.bob, "garbage") as garbage:
        assert garbage.stdin and garbage.stdout
        answers_soon(daemon)
        garbage.stdin.close()
        assert garbage.stdout.read() == ""
        assert garbage.wait(30) == 0
    assert hers.row()["pid"] == row["pid"]
    assert "Traceback" not in daemon.log_text
    assert "bug" not in daemon.log_text


def test_descriptors_that_a_stranger_sends_along_keep_nobody_waiting(daemon: Emperor, users: Users) -> None:
    """Of connections with SO_LINGER: their last close waits for half a minute each."""
    descriptors = settled_descriptors(daemon)
    with stranger(daemon, users.bob, "bombs"):
        for _ in range(3):
            answers_soon(daemon)
        canary(daemon)
        assert len(procfs.descriptors(daemon.pid)) < descriptors + 150
        assert daemon.stop() == 0


def test_followers_that_never_read_cost_little_and_hold_up_nobody(daemon: Emperor, users: Users) -> None:
    stop = daemon.root / "stop"
    hers = daemon.add("hers", users.alice, app="floods.py", env=["FLOOD=worker", f"STOP={stop}"], reload_mercy=2)
    hers.running()
    before = resident(daemon.pid)
    logs = '{"verb":"logs","names":["hers"],"options":{"lines":10000,"follow":true}}'
    events = '{"verb":"events","options":{"follow":true}}'
    with stranger(daemon, users.alice, "unread", logs), stranger(daemon, users.alice, "unread", events):
        hers.get()
        spent = cpu_seconds(daemon.pid)
        for _ in range(5):
            answers_soon(daemon)
        canary(daemon)
        assert cpu_seconds(daemon.pid) - spent < 10
        # MOST_OF_ONE_USER of control.server, each with ANSWER_LIMIT of control.connection at most.
        assert resident(daemon.pid) < before + 80 * MIB
    stop.touch()
    not_full_any_more(daemon, users.alice)


# An app's socket -----------------------------------------------------------------------------------------------------


def connecting(person: Person, path: str) -> str:
    """What the kernel says to somebody who connects: "" is yes."""
    code = "import socket, sys\ntry: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\nexcept OSError as e: print(e)"
    return person.run(SYSTEM_PYTHON, "-I", "-c", code, path).stdout.strip()


def test_who_may_not_connect_to_an_app_forges_no_request(daemon: Emperor, users: Users) -> None:
    """Nothing that a web server would say of the visitor (REMOTE_USER, HTTPS) can be said by another user."""
    hers = daemon.add("hers", users.alice)
    hers.running()
    mode = os.lstat(hers.socket)
    assert (stat.S_IMODE(mode.st_mode), mode.st_uid) == (0o660, users.alice.uid)
    assert mode.st_gid not in (users.alice.gid, users.bob.gid), "the web server's group"
    assert "Permission denied" in connecting(users.bob, hers.socket)
    assert connecting(users.alice, hers.socket) == ""
    assert hers.get().status == 200


def test_a_process_of_somebody_elses_that_listens_at_an_apps_path_is_left_alone(daemon: Emperor, users: Users) -> None:
    """Also one that is bound and does not listen yet, which refuses as a stale one does."""
    for number, listening in enumerate((True, False)):
        place = daemon.root / f"shared{number}"
        place.mkdir()
        place.chmod(0o777)
        path = place / "s.sock"
        with socket.socket(socket.AF_UNIX) as his:
            his.bind(str(path))
            os.chown(path, users.bob.uid, users.bob.gid)
            if listening:
                his.listen()
            there = os.lstat(path)
            hers = daemon.add(f"hers{number}", users.alice, socket=path)
            row = hers.state("BACKOFF", "FATAL", "INVALID")
            assert "bind:" in row["error"]
            assert os.lstat(path).st_ino == there.st_ino
    canary(daemon)


# What there is to be read -------------------------------------------------------------------------------------------


def words_of_processes(person: Person) -> str:
    """All command lines and environments on this machine that a user may read."""
    code = (
        "import glob\n"
        "for one in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):\n"
        " try: print(open(one, errors='replace').read().replace(chr(0), ' '))\n"
        " except OSError: pass"
    )
    return person.run(SYSTEM_PYTHON, "-I", "-c", code).stdout


def test_what_stands_in_an_ini_is_read_by_nobody_else(daemon: Emperor, users: Users) -> None:
    """Neither in argv and environments of processes, nor in what emperorctl tells; the ini may be right or wrong."""
    hers = daemon.place("hers", users.alice, env=f"PASSWORD={SECRET}")
    hers.write()
    hers.ini.chmod(0o600)
    hers.running()
    wrong = daemon.place("wrong", users.alice, env=f"PASSWORD={SECRET}", harakiri=SECRET)
    wrong.write()
    wrong.ini.chmod(0o600)
    wrong.state("INVALID")
    told = words_of_processes(users.bob)
    assert "launch.py hers" in told
    for verb in (["status"], ["status", "hers"], ["events"], ["config", "hers"], ["logs", "hers"], ["config", "wrong"]):
        done = daemon.ctl(*verb, person=users.bob)
        told += done.stdout + done.stderr
    told += daemon.ctl("status", "--json").stdout + daemon.ctl("events").stdout + daemon.log_text
    assert SECRET not in told
    assert "ROOTS_SECRET" not in told


# The runtime folder --------------------------------------------------------------------------------------------------


def refuses_to_start(daemon: Emperor) -> str:
    daemon.launch()
    assert daemon.process
    assert daemon.process.wait(30) != 0
    return daemon.log_text


@pytest.mark.parametrize("what", ["hers", "open to all", "a link of hers", "in a folder of hers"])
def test_a_runtime_folder_that_somebody_else_made_is_not_used(emperor: StartEmperor, users: Users, what: str) -> None:
    daemon = emperor()
    daemon.run.rmdir()
    if what == "a link of hers":
        (users.alice.home / "run").mkdir(exist_ok=True)
        daemon.run.symlink_to(users.alice.home / "run")
        os.lchown(daemon.run, users.alice.uid, users.alice.gid)
        os.chown(users.alice.home / "run", users.alice.uid, users.alice.gid)
    elif what == "in a folder of hers":
        daemon.run = users.alice.home / "hers" / "run"
        daemon.control = daemon.run / "control.sock"
        daemon.run.parent.mkdir()
        os.chown(daemon.run.parent, users.alice.uid, users.alice.gid)
    else:
        daemon.run.mkdir()
        daemon.run.chmod(0o777 if what == "open to all" else 0o755)
        if what == "hers":
            os.chown(daemon.run, users.alice.uid, users.alice.gid)
    assert "not ours alone" in refuses_to_start(daemon)
    left = [one for one in daemon.run.parent.rglob("*") if one.name not in ("log", "run", "vassals.d")]
    assert [one for one in left if stat.S_ISSOCK(one.lstat().st_mode) or one.name == "lib"] == []


def test_what_somebody_else_planted_in_the_runtime_folder_is_neither_run_nor_followed(
    emperor: StartEmperor, users: Users
) -> None:
    daemon = emperor()
    (daemon.run / "lib").mkdir()
    os.chown(daemon.run / "lib", users.alice.uid, users.alice.gid)
    assert "belongs to somebody else" in refuses_to_start(daemon)
    shutil.rmtree(daemon.run / "lib")
    victim = daemon.root / "victim"
    victim.write_text("root's")
    (daemon.run / "control.sock.lock").symlink_to(victim)
    assert "Too many levels of symbolic links" in refuses_to_start(daemon)
    (daemon.run / "control.sock.lock").unlink()
    daemon.control.symlink_to(victim)
    assert "a file that is no socket" in refuses_to_start(daemon)
    assert victim.read_text() == "root's"
    daemon.control.unlink()
    site: Vassal = daemon.start().add("site")
    site.running()
