"""Several Flask apps under sub-paths of one nginx, in Debian's layout: inis in apps-available, links in apps-enabled.

nginx says ``include uwsgi_params; uwsgi_pass`` and nothing more: the prefix is the ini's affair (``mount`` with
``manage-script-name``), and the app knows nothing of it.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, Emperor, Row
from tests.e2e.harness.deployed import DUES, Site
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import UWSGI, Nginx
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data", "venv")

WWW_DATA = 33

INI = """\
[uwsgi]
plugin = http,python3
socket = {socket}
callable = app
virtualenv = {venv}
{mounts}
manage-script-name = true
pythonpath = {folder}
chmod-socket = 664
uid = www-data
gid = www-data
"""
RUN = """\
from guestbook import app

app.run(host='127.0.0.1', port=5000, debug=True)
"""
APPLICATIONS = {"myapp": "/app", "shop": "/shop/de", "front": "/"}
"""An ini's name → where its app is mounted."""
MANY = ("/one", "/one/two")


class Server(NamedTuple):
    daemon: Emperor
    nginx: Nginx
    available: Path
    enabled: Path
    venv: Path

    def place(self, name: str, *mounts: str) -> Path:
        """The app in a folder of root's, and its ini in apps-available."""
        folder = self.available.with_name("www") / name
        folder.mkdir(parents=True)
        shutil.copy(APPS / "guestbook.py", folder)
        (folder / "run.py").write_text(RUN)
        address = self.socket(name)
        # The distribution's unit makes it, for the app's user.
        address.parent.mkdir(parents=True)
        shutil.chown(address.parent, "www-data", "www-data")
        path = self.available / f"{name}.ini"
        lines = "\n".join(f"mount = {mount}={folder}/run.py" for mount in mounts)
        path.write_text(INI.format(socket=address, venv=self.venv, mounts=lines, folder=folder))
        return path

    def enable(self, name: str) -> None:
        (self.enabled / f"{name}.ini").symlink_to(f"../apps-available/{name}.ini")

    def disable(self, name: str) -> None:
        (self.enabled / f"{name}.ini").unlink()

    def socket(self, name: str) -> Path:
        return self.daemon.run / "app" / name / "socket"

    def running(self, name: str) -> Row:
        return wait_for(lambda: self.daemon.row(name), lambda row: row.get("state") == "RUNNING", f"{name} runs")

    def site(self, mount: str) -> Site:
        return Site(self.nginx.port, mount.rstrip("/"), "apps.example")


@pytest.fixture(scope="module")
def server(session_folder: Path, numbers: Iterator[int], emperor_venv: Path, app_venv: Path) -> Iterator[Server]:
    room = session_folder / str(next(numbers))
    available, enabled = room / "apps-available", room / "apps-enabled"
    for folder in (room, available, enabled):
        folder.mkdir(mode=0o755)
    daemon = Emperor(emperor_venv / "bin", room / "e", people.current(), people.account("www-data"))
    with ExitStack() as ends:
        ends.callback(daemon.dispose)
        locations = {mount: UWSGI.format(daemon.run / "app" / name / "socket") for name, mount in APPLICATIONS.items()}
        many = {"many.example": {"/": UWSGI.format(daemon.run / "app/many/socket")}}
        nginx = Nginx(room / "n", locations, sites=many)
        ends.callback(nginx.stop)
        made = Server(daemon, nginx.start(), available, enabled, app_venv)
        for name, mounts in {**{name: (mount,) for name, mount in APPLICATIONS.items()}, "many": MANY}.items():
            made.place(name, *mounts)
            made.enable(name)
        daemon.start(folders=[enabled])
        for name in (*APPLICATIONS, "many"):
            made.running(name)
        yield made


@pytest.mark.parametrize("mount", APPLICATIONS.values())
@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
def test_each_app_is_served_under_its_mount(server: Server, mount: str, due: Callable[[Site], None]) -> None:
    due(server.site(mount))


@pytest.mark.parametrize("mount", ["/app", "/shop/de"])
def test_the_mount_itself_without_a_slash_leads_to_the_apps_index(server: Server, mount: str) -> None:
    answer = server.site(mount).ask("")
    assert (answer.status, answer.header("Location")) == (308, f"http://apps.example{mount}/")


def test_a_path_that_only_begins_like_the_mount_is_not_the_apps(server: Server) -> None:
    answer = server.site("/").ask("/apple/pages/x")
    assert answer.status == 404
    assert "guestbook" not in answer.text


def test_a_prefix_that_a_visitor_names_in_a_header_changes_nothing(server: Server) -> None:
    lies = {"Script-Name": "/evil", "X-Script-Name": "/evil", "X-Forwarded-Prefix": "/evil"}
    assert server.site("/app").ask("/pages/x", headers=lies).json["here"] == "/app/pages/x"


def test_one_ini_may_mount_several_apps_and_the_longest_prefix_wins(server: Server) -> None:
    mounts = [Site(server.nginx.port, mount, "many.example") for mount in MANY]
    assert [site.json("/pages/x")["here"] for site in mounts] == ["/one/pages/x", "/one/two/pages/x"]
    elsewhere = Site(server.nginx.port, "", "many.example").ask("/pages/x")
    assert elsewhere.status == 404
    assert "guestbook" not in elsewhere.text


def test_processes_and_socket_are_as_the_ini_says(server: Server) -> None:
    row = server.running("myapp")
    assert server.site("/app").json("/")["uid"] == WWW_DATA
    assert procfs.uids(row["pid"]) == procfs.gids(row["pid"]) == [WWW_DATA] * 4
    about = os.stat(server.socket("myapp"))
    assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o664, WWW_DATA, WWW_DATA)


def test_importing_the_module_starts_no_development_server(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert tcp_listeners(os.getpid())
    row = server.running("myapp")
    workers = [worker["pid"] for worker in row["workers"]]
    assert procfs.children(row["pid"]) == workers
    assert [tcp_listeners(pid) for pid in (row["pid"], *workers)] == [set()] * (1 + len(workers))


def tcp_listeners(pid: int) -> set[str]:
    """The inodes of the TCP sockets on which a process listens (proc(5): state 0A, inode in the tenth column)."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    return listening & {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}


def test_an_app_is_taken_down_and_put_back_by_its_link(server: Server) -> None:
    server.disable("shop")
    wait_for(server.daemon.names, lambda names: "shop" not in names, "the vassal is gone")
    assert server.site("/shop/de").ask("/").status == 502
    assert "2: No such file or directory" in server.nginx.error_log
    assert server.site("/app").json("/")["here"] == "/app/"
    server.enable("shop")
    server.running("shop")
    assert server.site("/shop/de").json("/")["here"] == "/shop/de/"


def test_an_edit_in_apps_available_is_seen_through_the_link(server: Server) -> None:
    before = server.running("front")
    path = server.available / "front.ini"
    path.write_text(path.read_text() + "threads = 2\n")
    wait_for(
        lambda: server.daemon.row("front"),
        lambda row: row.get("state") == "RUNNING" and row["pid"] != before["pid"],
        "another generation",
    )
    assert server.site("/").json("/")["here"] == "/"
