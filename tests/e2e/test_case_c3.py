"""The three recipes by which people let nginx into an app's socket, and the failures that are known of them.

As root: the socket belongs to the app's user and the web server's group, and the group may write. Without root: the
whole world may, or a default POSIX ACL of the folder names the web server.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, Emperor, Row, chown
from tests.e2e.harness.deployed import DUES, Site
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import UWSGI, Nginx
from tests.requirements import needs

pytestmark = needs("root", "useradd", "nginx", "www-data", "venv", "setfacl")

WWW_DATA = 33

INI = """\
[uwsgi]
plugin = python3
enable-threads = true
socket = {socket}
chdir = {folder}
manage-script-name = true
mount = /=wsgi:application
mount = /app=wsgi:application
{more}
"""
ACL = "d:u:www-data:rwx,u:www-data:rwx"
RECIPES = ("chowned", "open", "acl")


class Town(NamedTuple):
    """An emperor of root's and one of alice's, one nginx, and alice's folder with the app."""

    roots: Emperor
    hers: Emperor
    nginx: Nginx
    users: Users
    folder: Path

    def add(self, daemon: Emperor, name: str, socket: Path, **options: object) -> Row:
        more = "\n".join(f"{key.replace('_', '-')} = {value}" for key, value in options.items())
        path = daemon.vassals / f"{name}.ini"
        path.write_text(INI.format(socket=socket, folder=self.folder, more=more))
        chown(path, daemon.person)
        return wait_for(lambda: daemon.row(name), lambda row: row.get("state") == "RUNNING", f"{name} runs")

    def socket(self, name: str) -> Path:
        return sockets(self.roots, self.folder)[name]

    def site(self, name: str, prefix: str = "") -> Site:
        return Site(self.nginx.port, prefix, f"{name}.example")


def sockets(roots: Emperor, folder: Path) -> dict[str, Path]:
    """Where nginx looks for them."""
    return {
        "chowned": roots.run / "simple.sock",
        "open": folder / "open.sock",
        "acl": folder / "acl" / "simple.sock",
        "moved": folder / "moved" / "old.sock",
        "readable": folder / "readable.sock",
        "masked": folder / "acl" / "masked.sock",
        "closed": folder / "closed" / "simple.sock",
    }


def room_of(person: Person, path: Path, mode: int = 0o755) -> Path:
    path.mkdir(mode=mode)
    return chown(path, person)


@pytest.fixture(scope="module")
def town(session_folder: Path, numbers: Iterator[int], emperor_venv: Path, users: Users) -> Iterator[Town]:
    room = session_folder / str(next(numbers))
    room.mkdir(mode=0o755)
    folder = room_of(users.alice, room / "simple")
    shutil.copy(APPS / "guestbook.py", folder)
    (folder / "wsgi.py").write_text("from guestbook import app as application\n")
    roots = Emperor(emperor_venv / "bin", room / "r", people.current(), users.alice)
    hers = Emperor(emperor_venv / "bin", room / "a", users.alice, users.alice)
    with ExitStack() as ends:
        ends.callback(roots.dispose)
        ends.callback(hers.dispose)
        sites = {f"{name}.example": {"/": UWSGI.format(path)} for name, path in sockets(roots, folder).items()}
        nginx = Nginx(room / "n", {"/": "return 404;"}, sites=sites)
        ends.callback(nginx.stop)
        town = Town(roots.start(), hers.start(), nginx.start(), users, folder)
        town.add(roots, "chowned", town.socket("chowned"), uid=users.alice.name, gid="www-data", chmod_socket="020")
        town.add(hers, "open", town.socket("open"), chmod_socket="666")
        room_of(users.alice, folder / "acl", 0o750)
        users.alice.run("setfacl", "-Rm", ACL, str(folder / "acl"))
        town.add(hers, "acl", town.socket("acl"), chmod_socket="020")
        yield town


@pytest.mark.parametrize("prefix", ["", "/app"], ids=["root", "prefix"])
@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_lets_the_web_server_in(town: Town, recipe: str, due: Callable[[Site], None], prefix: str) -> None:
    due(town.site(recipe, prefix))


def test_roots_socket_is_the_apps_users_and_the_web_servers_groups(town: Town) -> None:
    about = os.stat(town.socket("chowned"))
    assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o020, town.users.alice.uid, WWW_DATA)
    told = town.site("chowned").json("/")
    assert (told["uid"], told["gid"]) == (town.users.alice.uid, WWW_DATA)


def test_without_root_everything_is_the_users_own(town: Town) -> None:
    for name in ("open", "acl"):
        assert town.site(name).json("/")["uid"] == town.users.alice.uid
        assert os.stat(town.socket(name)).st_uid == town.users.alice.uid
    assert procfs.uids(town.hers.pid) == [town.users.alice.uid] * 4
    assert stat.S_IMODE(os.stat(town.socket("open")).st_mode) == 0o666


def test_the_folders_acl_is_the_sockets_with_the_group_bits_as_its_mask(town: Town) -> None:
    acl = access(town.socket("acl"))
    assert "user:www-data:rwx\t#effective:-w-" in acl
    assert "mask::-w-" in acl
    assert "other::---" in acl


def test_the_acl_still_works_after_a_reload_and_after_a_change_of_mode(town: Town) -> None:
    assert town.hers.ctl("reload", "acl").returncode == 0
    assert town.site("acl").json("/")["uid"] == town.users.alice.uid
    before = town.hers.row("acl")
    path = town.hers.vassals / "acl.ini"
    path.write_text(path.read_text().replace("020", "060"))
    wait_for(
        lambda: town.hers.row("acl"),
        lambda row: row.get("state") == "RUNNING" and row["pid"] != before["pid"],
        "another generation",
    )
    assert "mask::rw-" in access(town.socket("acl"))
    assert town.site("acl").json("/")["uid"] == town.users.alice.uid


def access(path: Path) -> str:
    return subprocess.run(["getfacl", "-cp", str(path)], capture_output=True, text=True, check=True).stdout


# Known failures ---------------------------------------------------------------------------------------------------


def refused(town: Town, name: str, number: str) -> None:
    """nginx says which error it got, and of which path."""
    assert town.site(name).ask("/").status == 502
    (line,) = [one for one in town.nginx.error_log.splitlines() if f"{town.socket(name)} failed" in one]
    assert f"({number})" in line


def test_nginx_looks_elsewhere_and_status_says_where_the_socket_is(town: Town) -> None:
    elsewhere = town.folder / "elsewhere.sock"
    row = town.add(town.hers, "moved", elsewhere, chmod_socket="666")
    refused(town, "moved", "2: No such file or directory")
    assert [one["address"] for one in row["sockets"]] == [str(elsewhere)]
    assert str(elsewhere) in town.hers.ctl("status", "moved").stdout
    assert f"moved: STARTING -> RUNNING (generation 1): serves on {elsewhere}" in town.hers.log_text


@pytest.mark.parametrize(("name", "mode"), [("readable", "755"), ("masked", "600")])
def test_a_mode_keeps_the_web_server_out_and_status_says_which(town: Town, name: str, mode: str) -> None:
    row = town.add(town.hers, name, town.socket(name), chmod_socket=mode)
    refused(town, name, "13: Permission denied")
    assert [int(one["mode"], 8) for one in row["sockets"]] == [int(mode, 8)]
    assert f"unix:{town.socket(name)}  uwsgi  0{mode}  " in town.hers.ctl("status", name).stdout


def test_a_folder_keeps_the_web_server_out(town: Town) -> None:
    room_of(town.users.alice, town.folder / "closed", 0o700)
    town.add(town.hers, "closed", town.socket("closed"), chmod_socket="666")
    refused(town, "closed", "13: Permission denied")
    assert str(town.socket("closed")) in town.hers.ctl("status", "closed").stdout
