"""Whose ini is it? Each row of the table, with somebody who tries to get more."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import Emperor, chown, ini
from tests.e2e.harness.intruder import SECRET, canary, nothing_said, place
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "useradd")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    """Not started."""
    return emperor()


@pytest.fixture
def hers(daemon: Emperor, users: Users) -> Path:
    """A vassals folder of alice's own."""
    folder = daemon.root / "alices.d"
    folder.mkdir(mode=0o755)
    return chown(folder, users.alice)


@pytest.fixture
def roots(daemon: Emperor) -> Path:
    """A folder that only root can write, and nobody else read."""
    folder = daemon.root / "roots"
    folder.mkdir(mode=0o700)
    return folder


def test_an_ini_of_hers_runs_as_her(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = place(daemon, users, hers)
    daemon.start(folders=[daemon.vassals, hers])
    assert procfs.uids(vassal.running()["pid"]) == [users.alice.uid] * 4
    assert vassal.get().status == 200


def test_an_ini_that_root_gave_her_runs_as_her(daemon: Emperor, users: Users) -> None:
    vassal = place(daemon, users, daemon.vassals)
    daemon.start()
    assert procfs.uids(vassal.running()["pid"]) == [users.alice.uid] * 4


def test_roots_link_to_an_ini_of_hers_runs_as_her(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = place(daemon, users, hers)
    (daemon.vassals / "hers.ini").symlink_to(vassal.ini)
    daemon.start()
    assert procfs.uids(vassal.running()["pid"]) == [users.alice.uid] * 4


@pytest.mark.parametrize(
    "options", [{"uid": "root"}, {"uid": "0"}, {"uid": "bob"}, {"uid": "root", "allow_root": "true"}]
)
def test_her_ini_cannot_name_another_user(
    daemon: Emperor, users: Users, hers: Path, options: dict[str, object]
) -> None:
    chosen = {**options, "uid": users.bob.name if options["uid"] == "bob" else options["uid"]}
    vassal = place(daemon, users, hers)
    vassal.write(**chosen)
    chown(vassal.ini, users.alice)
    daemon.start(folders=[hers])
    row = vassal.state("INVALID")
    assert str(vassal.ini) in row["error"]
    assert not vassal.import_pids()


@pytest.mark.parametrize("group", ["root", "shadow", "www-data"])
def test_her_ini_cannot_name_a_group_that_she_is_not_in(daemon: Emperor, users: Users, hers: Path, group: str) -> None:
    vassal = place(daemon, users, hers)
    vassal.write(gid=group)
    chown(vassal.ini, users.alice)
    daemon.start(folders=[hers])
    wait_for(lambda: vassal.row().get("state"), lambda state: state in ("INVALID", "RUNNING"), "a verdict")
    pid = vassal.row().get("pid")
    assert not pid or (procfs.gids(pid) == [users.alice.gid] * 4)


def test_her_link_to_a_file_of_roots_shows_nothing_of_it(
    daemon: Emperor, users: Users, hers: Path, roots: Path
) -> None:
    secret = roots / "secret"
    secret.write_text(f"[uwsgi]\n{SECRET} = {SECRET}\n{SECRET}\nprocesses = {SECRET}\n")
    users.alice.run("ln", "-s", str(secret), str(hers / "evil.ini"))
    users.alice.run("ln", "-s", "/etc/shadow", str(hers / "shadow.ini"))
    daemon.start(folders=[daemon.vassals, hers])
    canary(daemon)
    for name in ("evil", "shadow"):
        assert daemon.row(name).get("state") in (None, "INVALID")
    nothing_said(daemon)
    shadow = Path("/etc/shadow").read_text().split(":")[1]
    assert len(shadow) < 8 or shadow not in daemon.log_text


def test_a_hard_link_to_roots_ini_does_not_bring_roots_rights(
    daemon: Emperor, users: Users, hers: Path, roots: Path
) -> None:
    """Where fs.protected_hardlinks is off she can make one herself."""
    vassal = daemon.place("evil", users.alice, uid="root", gid="root", allow_root="true", env=f"X={SECRET}")
    original = roots / "original.ini"
    original.write_text(ini(**vassal.options))
    os.link(original, hers / "evil.ini")
    daemon.start(folders=[daemon.vassals, hers])
    canary(daemon)
    assert daemon.row("evil").get("state") in (None, "INVALID")
    assert not vassal.import_pids()
    nothing_said(daemon)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket", "dangling", "loop"])
def test_what_is_no_file_neither_blocks_nor_feeds_the_emperor(
    daemon: Emperor, users: Users, hers: Path, kind: str
) -> None:
    evil = hers / "evil.ini"
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: users.alice.run("mkfifo", str(evil)),
        "device": lambda: os.mknod(evil, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
        "folder": lambda: users.alice.run("mkdir", str(evil)),
        "socket": lambda: os.mknod(evil, stat.S_IFSOCK | 0o666),
        "dangling": lambda: users.alice.run("ln", "-s", "/nowhere", str(evil)),
        "loop": lambda: users.alice.run("ln", "-s", "evil.ini", str(evil)),
    }
    make[kind]()
    daemon.start(folders=[daemon.vassals, hers])
    canary(daemon)
    assert daemon.row("evil").get("state") in (None, "INVALID")


def test_a_huge_ini_is_not_read_whole(daemon: Emperor, users: Users, hers: Path) -> None:
    users.alice.run("truncate", "-s", "100G", str(hers / "evil.ini"))
    daemon.start(folders=[daemon.vassals, hers])
    canary(daemon)
    assert daemon.row("evil").get("state") in (None, "INVALID")


@pytest.mark.parametrize("how", ["world", "group", "acl", "folder"])
def test_an_ini_that_several_can_write_is_invalid_with_the_cure(
    daemon: Emperor, users: Users, hers: Path, how: str
) -> None:
    vassal = place(daemon, users, hers)
    os.chown(vassal.ini, users.alice.uid, users.bob.gid if how == "group" else users.alice.gid)
    let_in: dict[str, Callable[[], object]] = {
        "world": lambda: vassal.ini.chmod(0o666),
        "group": lambda: users.alice.run("chmod", "664", str(vassal.ini)),
        "acl": lambda: users.alice.run("setfacl", "-m", f"u:{users.bob.name}:rw", str(vassal.ini)),
        "folder": lambda: hers.chmod(0o777),
    }
    let_in[how]()
    daemon.start(folders=[daemon.vassals, hers])
    row = vassal.state("INVALID")
    assert "chmod" in row["error"] or "setfacl" in row["error"]
    assert str(hers) in row["error"]
    assert not vassal.import_pids()
    cure: dict[str, Callable[[], object]] = {
        "world": lambda: vassal.ini.chmod(0o644),
        "folder": lambda: hers.chmod(0o755),
    }
    if how in cure:
        cure[how]()
        os.utime(vassal.ini)
        vassal.running()


@needs("setfacl")
def test_roots_ini_that_another_can_write_by_acl_is_not_roots(daemon: Emperor, users: Users) -> None:
    vassal = daemon.place("site", users.alice, uid="root", gid="root", allow_root="true").write()
    people.current().run("setfacl", "-m", f"u:{users.bob.name}:rw", str(vassal.ini))
    daemon.start()
    vassal.state("INVALID")
    assert not vassal.import_pids()


def test_her_ini_includes_and_reads_nothing(daemon: Emperor, users: Users, hers: Path, roots: Path) -> None:
    secret = roots / "secret.ini"
    secret.write_text(f"[uwsgi]\nenv = SECRET={SECRET}\n")
    (roots / "word").write_text(SECRET)
    vassal = place(daemon, users, hers, ini=secret, include=secret)
    word = place(daemon, users, hers, "word")
    word.write(env=[f"SECRET=@({roots}/word)"])
    chown(word.ini, users.alice)
    daemon.start(folders=[daemon.vassals, hers])
    for one in (vassal, word):
        row = one.state("RUNNING", "INVALID")
        assert row["state"] == "INVALID" or SECRET not in str(one.get().json)
    nothing_said(daemon)


def test_tyrant_takes_the_user_from_the_inis_owner(daemon: Emperor, users: Users) -> None:
    vassal = place(daemon, users, daemon.vassals)
    vassal.write(uid=users.bob.name)
    chown(vassal.ini, users.alice)
    roots_own = daemon.add("roots", users.bob)
    daemon.start("--tyrant")
    assert procfs.uids(vassal.running()["pid"]) == [users.alice.uid] * 4
    roots_own.state("INVALID")
