"""Who a vassal and its workers are, as the kernel says it, and what an app can do about it."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import ROOTS_SECRET, Emperor, Row, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "useradd")

HARMLESS = re.compile(r"/dev/null|pipe:\[\d+\]|socket:\[\d+\]|anon_inode:\[?(eventpoll|eventfd|signalfd)\]?")
SEALED = re.compile(r"/memfd:.* \(deleted\)|/dev/zero \(deleted\)")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def processes(row: Row) -> list[int]:
    return [row["pid"], *(worker["pid"] for worker in row["workers"])]


def test_uid_gid_and_groups_are_exactly_the_users(daemon: Emperor, users: Users) -> None:
    site = daemon.add("site", users.alice, gid=None, processes=2)
    row = site.running()
    for pid in processes(row):
        assert procfs.uids(pid) == [users.alice.uid] * 4
        assert procfs.gids(pid) == [users.alice.gid] * 4
        assert procfs.groups(pid) == set(users.alice.groups)
    assert users.crew in users.alice.groups
    facts = site.get().json
    assert facts["uids"] == [users.alice.uid] * 3
    assert facts["gids"] == [users.alice.gid] * 3
    assert (row["uid"], row["gid"]) == (users.alice.uid, users.alice.gid)


def test_a_named_group_becomes_the_gid(daemon: Emperor, users: Users) -> None:
    site = daemon.add("site", users.alice, gid="www-data")
    row = site.running()
    assert procfs.gids(row["pid"]) == [33] * 4
    assert 0 not in procfs.groups(row["pid"])


def test_nobody_named_is_the_web_user(daemon: Emperor) -> None:
    site = daemon.add("site", uid=None, gid=None, env="X=1")
    row = site.running()
    assert procfs.uids(row["pid"]) == [33] * 4
    assert procfs.gids(row["pid"]) == [33] * 4


def test_root_only_if_the_ini_or_the_command_line_says_so(daemon: Emperor, emperor: StartEmperor) -> None:
    refused = daemon.add("refused", uid="root", gid="root")
    allowed = daemon.add("allowed", uid="root", gid="root", allow_root="true")
    refused.state("INVALID")
    assert procfs.uids(allowed.running()["pid"]) == [0] * 4
    unnamed = emperor().start("--allow-root").add("unnamed", uid=None, gid=None)
    assert procfs.uids(unnamed.running()["pid"]) == [0] * 4


def test_no_new_privileges_and_no_capabilities(daemon: Emperor) -> None:
    row = daemon.add("site").running()
    for pid in processes(row):
        assert procfs.status(pid)["NoNewPrivs"] == "1"
        assert set(procfs.capabilities(pid).values()) == {0}


def test_descriptors_are_the_vassals_own(daemon: Emperor) -> None:
    """None of the emperor's: not its watches, its control socket, its log, another vassal's listener."""
    daemon.add("neighbour").running()
    site = daemon.add("site", processes=2)
    row = site.running()
    assert site.get().status == 200
    for pid in processes(row):
        held = procfs.descriptors(pid)
        assert held[0] == "/dev/null"
        strange = {fd: what for fd, what in held.items() if not (HARMLESS.fullmatch(what) or SEALED.fullmatch(what))}
        assert not strange
        assert procfs.unix_paths(pid) <= {site.socket}
        assert len(held) <= 20
    assert any(site.socket in procfs.unix_paths(pid) for pid in processes(row))


def test_a_vassal_leaks_nothing_from_generation_to_generation(daemon: Emperor) -> None:
    site = daemon.add("site")
    first = site.running()
    before = len(procfs.descriptors(first["pid"])), len(procfs.descriptors(daemon.pid))
    row = first
    for _ in range(3):
        assert daemon.ctl("reload", "site").returncode == 0
        row = site.replaced(row)
    wait_for(
        # The last but one generation may still be on its way out.
        lambda: (len(procfs.descriptors(row["pid"])), len(procfs.descriptors(daemon.pid))),
        lambda seen: seen == before,
        "as many descriptors as before",
    )


def test_nothing_of_the_emperors_environment_is_there(daemon: Emperor, users: Users) -> None:
    site = daemon.add("site", users.alice)
    row = site.running()
    inside = site.get().json["os_environ"]
    for environ in (inside, *(procfs.environ(pid) for pid in processes(row))):
        assert ROOTS_SECRET not in " ".join([*environ, *environ.values()])
    assert inside["HOME"] == str(users.alice.home)
    assert inside["USER"] == users.alice.name
    assert inside["LOGNAME"] == users.alice.name
    assert "PATH" in inside
    assert not {name for name in inside if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_", "SUDO_"))}


def test_each_vassal_is_an_exec_of_its_own(daemon: Emperor) -> None:
    row = daemon.add("site").running()
    assert procfs.parent(row["pid"]) == daemon.pid
    assert procfs.command(row["pid"]) != procfs.command(daemon.pid)
    assert "site" in " ".join(procfs.command(row["pid"]))


def test_root_cannot_be_regained_by_a_call(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    assert site.get("/regain").json["worked"] == []


def test_root_cannot_be_regained_by_a_setuid_program(daemon: Emperor, folder: Path) -> None:
    program = folder / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o6755)
    assert os.stat(program).st_mode & stat.S_ISUID
    site = daemon.add("site")
    site.running()
    ran = site.get(f"/run?{program}").json
    assert ran["code"] == 0
    assert "euid=" not in ran["output"] and "egid=" not in ran["output"]
    assert f"uid={site.owner.uid}(" in ran["output"]


def importable(site: Vassal, name: str) -> bool:
    return "file" in site.get(f"/import?{name}").json


def test_a_virtualenv_of_its_own_sees_nothing_of_the_emperors(
    daemon: Emperor, app_venv: Path, emperor_venv: Path
) -> None:
    site = daemon.add("site", virtualenv=app_venv)
    site.running()
    assert importable(site, "flask")
    assert not importable(site, "watchdog")
    assert not importable(site, "flup")
    assert not [path for path in site.get().json["sys_path"] if path.startswith(str(emperor_venv))]


def test_without_a_virtualenv_the_emperors_packages_are_there(daemon: Emperor, emperor_venv: Path) -> None:
    site = daemon.add("site")
    site.running()
    assert importable(site, "flask")
    assert site.get().json["prefix"] == str(emperor_venv)


def test_the_emperor_imports_no_app_and_serves_none(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    assert site.import_pids() == [row["pid"]]
    assert site.get().json["pid"] != daemon.pid


def test_the_emperor_may_become_a_user_for_good(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor()
    for folder in (daemon.run, daemon.vassals):
        os.chown(folder, users.bob.uid, users.bob.gid)
    daemon.start("--uid", users.bob.name, "--gid", str(users.bob.gid))
    assert procfs.uids(daemon.pid) == [users.bob.uid] * 4
    assert procfs.gids(daemon.pid) == [users.bob.gid] * 4
    assert procfs.groups(daemon.pid) <= set(users.bob.groups)
    assert set(procfs.capabilities(daemon.pid).values()) == {0}
