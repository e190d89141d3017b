"""A home on a filesystem that hangs, inis, apps and sockets with it: its owner waits, and nobody else."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emperor.control.messages import NO_VASSAL
from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import APPS, Emperor, Vassal, chown
from tests.e2e.harness.hostile import answers_soon
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for, within
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "useradd")

SILENCE = "there is no answer from the filesystem that it leads to"

SOME_TIME = 20.0
"""Seconds: an upper bound for what takes less than one. What hangs would take for ever."""


@dataclass
class Home:
    """alice's, on a filesystem of hers. ``behind``: the folder that it shows."""

    path: Path
    behind: Path
    server: subprocess.Popen[str]

    def told(self, word: str) -> None:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(f"{word}\n")
        self.server.stdin.flush()
        assert self.server.stdout.readline() == "done\n"

    def moved_in(self, vassal: Vassal, name: str) -> Vassal:
        """Its ini lies in this home from now on, its app did so before."""
        vassal.ini = self.behind / name
        vassal.ini.parent.mkdir(exist_ok=True)
        chown(vassal.write(uid=None, gid=None).ini, vassal.owner)
        return vassal


@contextmanager
def home_of(person: Person, path: Path, behind: Path) -> Iterator[Home]:
    for folder in (path, behind):
        folder.mkdir(parents=True)
        chown(folder, person)
    command = [SYSTEM_PYTHON, str(APPS / "fuse_home.py"), str(path), str(behind), str(person.uid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            told = server.stdout.readline()
            if told != "mounted\n":
                pytest.skip(f"FUSE: {told or 'no /dev/fuse'}")
            yield Home(path, behind, server)
        finally:
            server.stdin.close()


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor()


@pytest.fixture
def home(daemon: Emperor, users: Users) -> Iterator[Home]:
    with home_of(users.alice, daemon.root / "homes" / "alice", daemon.root / "behind") as made:
        yield made


def places(daemon: Emperor) -> list[object]:
    return [daemon.vassals, daemon.root / "homes" / "*" / "vassals" / "*.ini"]


def app_in(daemon: Emperor, home: Home, owner: Person, name: str, **options: Any) -> Vassal:
    vassal = daemon.place(name, owner, **options)
    app = home.behind / f"{name}.py"
    chown(Path(shutil.copy(APPS / "facts.py", app)), owner)
    vassal.options |= {"chdir": home.path, "wsgi_file": app.name}
    return vassal


def others_go_on(daemon: Emperor, users: Users, number: int) -> None:
    """Whoever lives elsewhere serves, is reloaded, stopped and started, and comes up."""
    for _ in range(3):
        answers_soon(daemon)
    with within(SOME_TIME):
        site = Vassal(daemon, "site", users.bob, daemon.root / "apps" / "site", {})
        assert site.get().status == 200
        for verb in ("reload", "stop", "start"):
            assert daemon.ctl(verb, "site").returncode == 0, verb
        assert daemon.ctl("config", "site").returncode == 0
        daemon.add(f"new{number}", users.bob).running()
        own = daemon.place(f"bobs{number}", users.bob, uid=None, gid=None)
        own.ini = daemon.root / "homes" / "bob" / "vassals" / f"bobs{number}.ini"
        own.ini.parent.mkdir(parents=True, exist_ok=True)
        chown(own.ini.parent, users.bob), chown(own.ini.parent.parent, users.bob)
        chown(own.write().ini, users.bob)
        own.running()


def test_nobody_waits_for_a_home_that_hangs(daemon: Emperor, home: Home, users: Users) -> None:
    daemon.start(folders=places(daemon))
    daemon.add("site", users.bob).running()
    linked = home.moved_in(app_in(daemon, home, users.alice, "linked"), "linked.ini")
    (daemon.vassals / "linked.ini").symlink_to(home.path / "linked.ini")
    own = home.moved_in(app_in(daemon, home, users.alice, "own"), "vassals/own.ini")
    everything = app_in(daemon, home, users.alice, "everything", **everything_in(home.path))
    for vassal in (linked, own, everything.write()):
        vassal.running()

    home.told("hang")
    others_go_on(daemon, users, 1)
    daemon.wait_for_log(SILENCE)
    for verb in ("status", "config", "logs"):
        with within(SOME_TIME):
            assert daemon.ctl(verb, "linked").returncode == 0, verb
    for name in ("linked", "own", "everything"):
        with within(SOME_TIME):
            assert daemon.ctl("reload", name, "--no-wait").returncode == 0
    others_go_on(daemon, users, 2)
    assert {row["state"] for row in daemon.status() if row["name"].startswith(("site", "new", "bobs"))} == {"RUNNING"}

    with within(SOME_TIME):
        done = daemon.ctl("upgrade")
    assert done.returncode == 0, done
    others_go_on(daemon, users, 3)

    home.told("go")
    for vassal in (linked, own, everything):
        vassal.running()
        assert vassal.get().status == 200
    before = own.row()
    own.write(env="CHANGED=yes")
    chown(own.ini, users.alice)
    own.replaced(before)


def everything_in(home: Path) -> dict[str, Any]:
    """What an ini of root's can name in a home."""
    return {
        "socket": home / "app.sock",
        "logto": home / "app.log",
        "stats": home / "stats.sock",
        "touch_reload": home / "touched",
    }


def test_an_emperor_ends_and_begins_while_a_home_hangs(daemon: Emperor, home: Home, users: Users) -> None:
    linked = home.moved_in(app_in(daemon, home, users.alice, "linked"), "linked.ini")
    (daemon.vassals / "linked.ini").symlink_to(home.path / "linked.ini")
    own = home.moved_in(app_in(daemon, home, users.alice, "own"), "vassals/own.ini")
    site, everything = daemon.add("site", users.bob), app_in(daemon, home, users.alice, "everything")
    everything.write(**everything_in(home.path), reload_mercy=2)
    daemon.start(folders=places(daemon))
    for vassal in (site, linked, own, everything):
        vassal.running()

    home.told("hang")
    others_go_on(daemon, users, 1)
    with within(SOME_TIME):
        assert daemon.stop() == 0

    daemon.start(folders=places(daemon))
    site.running()
    others_go_on(daemon, users, 2)
    assert not own.row() and everything.row()["state"] == "STARTING"

    home.told("go")
    for vassal in (linked, own, everything):
        vassal.running()


def test_a_filesystem_of_hers_makes_nothing_roots(daemon: Emperor, users: Users) -> None:
    """A program that answers for a filesystem may say of each file that it is root's."""
    daemon.start(folders=[daemon.vassals, daemon.root / "homes" / "*" / "*.ini"])
    with home_of(users.alice, daemon.root / "homes" / "alice", daemon.root / "behind") as home:
        os.chown(home.behind, 0, 0)
        vassal = daemon.place("hers", users.alice, uid="root", gid="root", allow_root="true")
        vassal.ini = home.behind / "hers.ini"
        os.chown(vassal.write().ini, 0, 0)
        row = wait_for(vassal.row, bool, "it is seen")
        assert row["state"] == "INVALID", row
        assert "uid" in row["error"]


@contextmanager
def flipping(person: Person, noise: Path, *pairs: tuple[Path, Path]) -> Iterator[None]:
    """Both of a pair are each now and the other then; ``noise``: a file in a folder that is watched."""
    command = [SYSTEM_PYTHON, str(APPS / "flips.py"), str(noise), *(str(path) for pair in pairs for path in pair)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, **person.popen_arguments()) as flips:
        assert flips.stdin
        yield
        assert flips.poll() is None
        flips.stdin.close()


def test_whoever_leads_root_astray_between_two_looks_keeps_nobody_waiting(
    daemon: Emperor, home: Home, users: Users
) -> None:
    """What was near when it was judged is not what its path leads to a moment later."""
    homes = daemon.root / "homes"
    hers = homes / "hers"
    for folder in (hers, *(hers / name for name in ("v", "w", "t", "quiet", "watched"))):
        folder.mkdir()
    for folder in (home.behind / "w", home.behind / "t"):
        folder.mkdir()
    for one in (hers / "w", hers / "t", hers / "watched", home.behind / "w", home.behind / "t"):
        for name in ("one.ini", "two.ini"):
            (one / name).write_text("[uwsgi]\n")
    near, far = hers / "v" / "link.ini", hers / "far.ini"
    near.symlink_to("../t/one.ini")
    far.symlink_to(home.path / "t" / "two.ini")
    (hers / "away").symlink_to(home.path / "w")
    (hers / "gone").symlink_to(home.path / "t")
    (hers / "quiet" / "three.ini").symlink_to("../watched/one.ini")
    subprocess.run(["chown", "-hR", f"{users.alice.uid}:{users.alice.gid}", hers, home.behind], check=True)
    (daemon.vassals / "roots.ini").symlink_to(hers / "t" / "two.ini")
    daemon.start(folders=[daemon.vassals, *(homes / "*" / one / "*.ini" for one in ("v", "w", "quiet", "vassals"))])
    site = daemon.add("site", users.bob)
    site.running()

    home.told("hang")
    pairs = (near, far), (hers / "w", hers / "away"), (hers / "t", hers / "gone")
    with flipping(users.alice, hers / "watched" / "noise", *pairs), within(3 * SOME_TIME):
        for _ in range(20):
            assert daemon.ctl("status").returncode in (0, 3)
        assert daemon.ctl("reload", "site").returncode == 0
    site.running()
    others_go_on(daemon, users, 1)


# Whoever knows the users ---------------------------------------------------------------------------------------------

NAMESPACE = """#!/bin/sh
[ "$1" = inside ] || exec unshare --mount "$0" inside "$@"
shift
for file in nsswitch.conf resolv.conf; do
    mount -n --bind {etc}/$file $(readlink -f /etc/$file) || exit 77
done
HESIOD_CONFIG={etc}/hesiod.conf exec {programs}/emperor "$@"
"""


@dataclass
class Directory:
    """A directory service (Hesiod: users and groups by DNS) that knows nobody, and says so, or says nothing."""

    sock: socket.socket
    silent: threading.Event
    asked: threading.Event

    def serve(self) -> None:
        waiting = []
        while True:
            try:
                query, who = self.sock.recvfrom(4096)
            except TimeoutError:
                query = b""
            except OSError:
                return
            if query:
                waiting.append((query, who))
            if self.silent.is_set():
                self.asked.set() if query else None
                continue
            for one, asker in waiting:
                self.sock.sendto(one[:2] + b"\x81\x83" + one[4:], asker)
            waiting.clear()


@pytest.fixture
def directory(daemon: Emperor) -> Iterator[Directory]:
    etc, programs = daemon.root / "etc", daemon.root / "programs"
    for folder in (etc, programs):
        folder.mkdir()
    (etc / "nsswitch.conf").write_text("passwd: files hesiod\ngroup: files hesiod\nhosts: files\n")
    (etc / "hesiod.conf").write_text("lhs=.ns\nrhs=.nowhere.invalid\nclasses=HS\n")
    wrapper = programs / "emperor"
    wrapper.write_text(NAMESPACE.format(etc=etc, programs=daemon.programs))
    wrapper.chmod(0o755)
    (programs / "emperorctl").symlink_to(daemon.programs / "emperorctl")
    daemon.programs = programs
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.111.0.1", 53))
        sock.settimeout(0.1)
        (etc / "resolv.conf").write_text("nameserver 127.111.0.1\noptions timeout:30 attempts:5\n")
        made = Directory(sock, threading.Event(), threading.Event())
        thread = threading.Thread(target=made.serve)
        thread.start()
        yield made
        made.silent.clear()
    thread.join()


@pytest.mark.skipif(not glob.glob("/usr/lib/*/libnss_hesiod.so.2"), reason="no libnss_hesiod of glibc's")
def test_nobody_waits_for_a_directory_service(daemon: Emperor, directory: Directory, users: Users) -> None:
    site = daemon.add("site", users.bob)
    daemon.start()
    site.running()

    directory.silent.set()
    site.write(env="CHANGED=yes")
    wait_for(directory.asked.is_set, what="the directory service is asked")
    new = daemon.add("new", users.alice)
    for _ in range(3):
        answers_soon(daemon)
    daemon.wait_for_log("there is no answer yet")
    with within(SOME_TIME):
        for verb in ("reload", "stop", "start", "config"):
            assert daemon.ctl(verb, "site").returncode == 0, verb
        assert site.get().status == 200
        assert daemon.ctl("upgrade").returncode == 0
    with within(SOME_TIME):
        assert daemon.stop() == 0
    daemon.start()
    assert not site.row() and not new.row()

    directory.silent.clear()
    for vassal in (site, new):
        vassal.running()


@pytest.mark.skipif(not glob.glob("/usr/lib/*/libnss_hesiod.so.2"), reason="no libnss_hesiod of glibc's")
def test_with_a_directory_service_orders_and_upgrades_mean_what_they_mean_without(
    daemon: Emperor, directory: Directory, users: Users
) -> None:
    """Every ini is read by a scout then, and nobody may tell by anything but the time that it takes."""
    site, other = daemon.add("site", users.bob), daemon.add("other", users.alice)
    daemon.start()
    daemon.wait_for_log("ready, 2 vassals")
    before = [site.running(), other.running()]

    for _ in range(2):
        assert daemon.ctl("upgrade").returncode == 0
    site.write(processes="many")
    told = daemon.ctl("reload", "site")
    assert told.returncode == NO_VASSAL and "processes: must be" in told.stderr, told
    assert [vassal.row()["generation"] for vassal in (site, other)] == [row["generation"] for row in before]
    assert daemon.ctl("upgrade").returncode == 0
    assert "processes: must be" in site.row()["error"], "what is wrong is known to the new program, too"

    site.write(processes=2)
    assert daemon.ctl("reload", "site").returncode == 0
    assert site.row()["generation"] > before[0]["generation"]

    directory.silent.set()
    site.write(env="CHANGED=yes")
    told = daemon.ctl("reload", "site")
    assert told.returncode == 0 and "what it said last counts" in told.stdout, told
    row = site.row()
    assert daemon.ctl("upgrade").returncode == 0
    directory.silent.clear()
    site.replaced(row)
    assert other.row()["generation"] == before[1]["generation"]
