"""alice and bob have a folder of inis each, which one emperor of root's serves: what can each do to others?"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, Emperor, Vassal, chown, environ_for, ini
from tests.e2e.harness.intruder import SECRET, nothing_said, place
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "useradd")

STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4} \S")


@pytest.fixture(scope="module")
def daemon(shared_folder: Path, emperor_venv: Path, users: Users) -> Iterator[Emperor]:
    one = Emperor(emperor_venv / "bin", shared_folder / "e", people.current(), users.alice)
    for name, person in (("alice", users.alice), ("bob", users.bob)):
        folder = one.root / "inis" / name
        folder.mkdir(mode=0o755, parents=True)
        chown(folder, person)
    try:
        # Hers come before all others.
        yield one.start(folders=[one.root / "inis/alice", one.root / "inis/bob", one.vassals])
    finally:
        one.dispose()


def folder_of(daemon: Emperor, name: str) -> Path:
    return daemon.root / "inis" / name


def bobs(daemon: Emperor, users: Users, name: str) -> Vassal:
    vassal = daemon.place(name, users.bob, uid=None, gid=None)
    vassal.ini = folder_of(daemon, "bob") / f"{name}.ini"
    vassal.write()
    chown(vassal.ini, users.bob)
    return vassal


def written_by(person: Person, path: Path, text: str) -> None:
    """As that person would, in one step."""
    person.run("sh", "-c", 'printf %s "$2" > "$1.new" && mv "$1.new" "$1"', "sh", str(path), text)


# Whose name it is ------------------------------------------------------------------------------------------------


def test_nobody_gets_anothers_name_or_its_socket_by_an_ini_that_is_called_so(daemon: Emperor, users: Users) -> None:
    shop = bobs(daemon, users, "shop")
    row = shop.running()
    lure = daemon.place("lure", users.alice, uid=None, gid=None)
    hers = folder_of(daemon, "alice") / "shop.ini"
    written_by(users.alice, hers, ini(**lure.options))
    daemon.wait_for_log(f"{hers}: warning: shop is already {shop.ini} -- ignored")
    assert shop.row()["pid"] == row["pid"]
    # Nor while bob's is not there, however often is looked, and after a reload of his.
    users.bob.run("mv", str(shop.ini), f"{shop.ini}.away")
    daemon.wait_for(lambda rows: "shop" not in {row["name"] for row in rows}, "his is known to be gone")
    users.alice.run("touch", str(hers))
    place(daemon, users, folder_of(daemon, "alice"), "witness").running()
    assert "shop" not in daemon.names()
    users.bob.run("mv", f"{shop.ini}.away", str(shop.ini))
    now = shop.running()
    assert now["config"] == str(shop.ini)
    users.bob.run("touch", str(shop.ini))
    now = shop.replaced(now)
    assert now["config"] == str(shop.ini)
    assert procfs.uids(now["pid"]) == [users.bob.uid] * 4
    assert shop.get().status == 200
    assert not lure.import_pids()
    hers.unlink()


def test_an_administrators_ini_has_its_name_whoever_was_called_so_before(daemon: Emperor, users: Users) -> None:
    squatter = place(daemon, users, folder_of(daemon, "alice"), "wanted")
    squatter.running()
    roots = daemon.place("wanted2", users.bob)
    roots.name, roots.ini = "wanted", daemon.vassals / "wanted.ini"
    roots.write()
    now = roots.until(lambda row: row.get("config") == str(roots.ini) and row["state"] == "RUNNING", "root's ini")
    assert procfs.uids(now["pid"]) == [users.bob.uid] * 4
    squatter.ini.unlink()
    roots.ini.unlink()


# What is read ----------------------------------------------------------------------------------------------------


def test_an_ini_that_is_swapped_while_it_is_read_runs_as_its_owner_or_not_at_all(daemon: Emperor, users: Users) -> None:
    vassal = place(daemon, users, folder_of(daemon, "alice"), "swapped")
    vassal.running()
    foreign = daemon.place("foreign", users.bob, uid=None, gid=None, env=f"X={SECRET}")
    roots = daemon.place("roots", users.alice, uid="root", gid="root", allow_root="true", env=f"X={SECRET}")
    props = folder_of(daemon, "alice") / "props"
    props.mkdir(mode=0o755)
    chown(props, users.alice)
    hidden = daemon.root / "hidden.ini"
    hidden.write_text(ini(**roots.options))
    hidden.chmod(0o600)
    os.link(hidden, props / "hardlink")
    (props / "bobs").write_text(ini(**foreign.options))
    chown(props / "bobs", users.bob)
    (props / "link").symlink_to(hidden)
    (props / "link-to-bobs").symlink_to(folder_of(daemon, "bob") / "secret")
    os.mkfifo(props / "fifo")
    os.mknod(props / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (props / "hers").write_text(ini(**vassal.options))
    for one in ("fifo", "device", "hers"):
        chown(props / one, users.alice)
    command = [SYSTEM_PYTHON, str(APPS / "swapping.py"), "2", str(vassal.ini), *map(str, sorted(props.iterdir()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **users.alice.popen_arguments()) as swapping:
        while swapping.poll() is None:
            daemon.ctl("reload", "swapped", "--no-wait")
            assert daemon.ctl("status").returncode in (0, 3)
        assert swapping.stdout
        assert int(swapping.stdout.read()) > 1000
    assert not foreign.import_pids()
    assert not roots.import_pids()
    nothing_said(daemon)
    vassal.ini.unlink()
    written_by(users.alice, vassal.ini, ini(**vassal.options))
    assert procfs.uids(vassal.running()["pid"]) == [users.alice.uid] * 4
    vassal.ini.unlink()


def test_an_ini_that_is_given_to_another_user_runs_as_that_user(daemon: Emperor, users: Users) -> None:
    vassal = place(daemon, users, daemon.vassals, "given", env=None)
    before = vassal.running()
    assert procfs.uids(before["pid"]) == [users.alice.uid] * 4
    chown(vassal.ini, users.bob)
    now = vassal.replaced(before)
    assert procfs.uids(now["pid"]) == [users.bob.uid] * 4
    wait_for(lambda: not procfs.alive(before["pid"]), what="hers is gone")
    assert os.stat(vassal.socket).st_uid == users.bob.uid
    assert vassal.get().json["uids"] == [users.bob.uid] * 3
    # Root's now, and it names no user: the web server's, never root.
    os.chown(vassal.ini, 0, 0)
    last = vassal.until(lambda row: row.get("state") == "INVALID" or row.get("pid") not in (None, now["pid"]), "root's")
    assert not last.get("pid") or 0 not in procfs.uids(last["pid"])
    vassal.ini.unlink()


# Whose code runs -------------------------------------------------------------------------------------------------


def test_what_she_plants_for_pythons_and_loaders_runs_as_her_alone(daemon: Emperor, users: Users) -> None:
    vassal = daemon.place("planted", users.alice, uid=None, gid=None)
    home = vassal.folder
    (home / "heard").touch()
    (home / "heard").chmod(0o666)
    lib = home / "lib"
    lib.mkdir(mode=0o755)
    names = ("sitecustomize", "usercustomize", "emperor", "encodings", "json", "socket", "h11", "watchdog", "planted")
    for folder in (home, lib):
        for name in names if folder == home else ("sitecustomize", "usercustomize"):
            shutil.copy(APPS / "planted.py", folder / f"{name}.py")
    (home / "x.pth").write_text("import planted\n")
    user_site = home / ".local/lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    user_site.mkdir(parents=True)
    (user_site / "x.pth").write_text("import planted\n")
    env = [
        f"IMPORTS={vassal.imports}",
        f"PYTHONPATH={lib}",
        f"PYTHONSTARTUP={home}/planted.py",
        "PYTHONINSPECT=",
        f"LD_LIBRARY_PATH={home}",
        f"GCONV_PATH={home}",
        f"LOCPATH={home}",
        f"PYTHONPYCACHEPREFIX={home}",
    ]
    vassal.ini = folder_of(daemon, "alice") / "planted.ini"
    vassal.write(env=env)
    chown(vassal.ini, users.alice)
    vassal.running()
    for words in (["check", "planted"], ["reload", "planted"], ["doctor", "planted"], ["upgrade"], ["status"]):
        program = str(daemon.programs / "emperorctl")
        # Root stands in her folder, and types.
        subprocess.run(
            [program, "--control-socket", str(daemon.control), *words],
            cwd=home,
            env=environ_for(daemon.person),
            capture_output=True,
            timeout=120,
            check=False,
        )
    vassal.running()
    heard = (home / "heard").read_text().splitlines()
    assert {line.split()[0] for line in heard} == {str(users.alice.uid)}, heard
    planted = {"LD_LIBRARY_PATH", "GCONV_PATH", "LOCPATH", "PYTHONPATH"}
    assert planted.isdisjoint(procfs.environ(daemon.pid))
    assert planted <= set(vassal.get().json["os_environ"])
    vassal.ini.unlink()


# What is shown ---------------------------------------------------------------------------------------------------


def test_no_name_of_hers_breaks_a_line_or_reaches_a_terminal(daemon: Emperor, users: Users) -> None:
    names = [
        b"a\n2026-01-01T00:00:00.000+0000 emperor: error: forged.ini",
        b"\x1b[2J\x1b]0;owned\x07.ini",
        b"-rf.ini",
        b"\xff\xfe.ini",
        "\u202egnp.ini".encode(),
        b"x" * 251 + b".ini",
        b"\r.ini",
        b" .ini",
        b"%(x)$(y).ini",
    ]
    folder = os.fsencode(folder_of(daemon, "alice"))
    for name in names:
        path = os.path.join(folder, name)
        Path(os.fsdecode(path)).write_text("[uwsgi]\nmodule = x\n")
        os.chown(path, users.alice.uid, users.alice.gid)
    daemon.wait_for_log("-rf.ini: warning: is not a vassal's name")
    wait_for(lambda: daemon.log_text.count("is not a vassal's name"), lambda seen: seen >= len(names), "each is told")
    told = daemon.log.read_bytes()
    shown = [daemon.ctl(*words).stdout for words in (["status"], ["events"], ["logs", "emperor"], ["metrics"])]
    shown.append(daemon.ctl("check", str(folder_of(daemon, "alice"))).stdout)
    assert all(STAMPED.match(line) for line in told.decode().splitlines())
    assert "emperor: error: forged" not in [line[29:] for line in told.decode().splitlines()]
    for text in (told.decode(), *shown):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    for name in names:
        os.unlink(os.path.join(folder, name))
