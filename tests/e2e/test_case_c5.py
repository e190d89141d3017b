"""The Emperor as a service that becomes the web server's user, with an ini that is built of its own placeholders.

Vassals are symbolic links in one folder to inis beside their apps; each names its socket and its log by ``%n``.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, Emperor, Row
from tests.e2e.harness.deployed import DUES, Site, make_venv
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.e2e.harness.wire import request
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data", "venv")

WWW_DATA = 33

INI = """\
[uwsgi]
# the app's folder
base = {base}

# the app's module
app = {app}
module = %(app)

home = {home}
pythonpath = %(base)

socket = {base}/%n.sock
chmod-socket = {mode}

callable = app

logto = {logs}/%n.log
"""
DEPLOYED = {
    "demoapp": ("hello", "%(base)/venv", "666"),
    "installed": ("guests_installed", "%(base)/../demoapp/venv", "644"),
    "editable": ("guests_editable", "%(base)/../demoapp/venv", "644"),
}
"""Each app's module, its virtualenv and its socket's mode; with 644 the web server is let in as the same user."""

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"

[tool.hatch.build.targets.wheel]
packages = ["src/{name}"]
"""
PACKAGE = "from {name}.guestbook import app\n"

PREFIX = "include /etc/nginx/uwsgi_params; uwsgi_param SCRIPT_NAME /guests; uwsgi_modifier1 30; uwsgi_pass unix:{};"
"""As people wrote it for uWSGI before there was manage-script-name."""


class Service(NamedTuple):
    daemon: Emperor
    nginx: Nginx
    room: Path

    @property
    def logs(self) -> Path:
        return self.room / "log"

    def link(self, name: str, target: Path) -> None:
        (self.daemon.vassals / f"{name}.ini").symlink_to(target)

    def running(self, name: str) -> Row:
        return wait_for(lambda: self.daemon.row(name), lambda row: row.get("state") == "RUNNING", f"{name} runs")

    def site(self, name: str, prefix: str = "") -> Site:
        return Site(self.nginx.port, prefix, f"{name}.example")


def folders(room: Path) -> dict[str, Path]:
    """An app's name → where it lies, and where its socket will be."""
    return {name: room / name for name in DEPLOYED}


def locations(room: Path, socket: Path) -> Mapping[str, str]:
    passed = f"include /etc/nginx/uwsgi_params; uwsgi_pass unix:{socket};"
    return {
        "/": f"root {room}/public; try_files $uri @app;",
        "@app": passed,
        "= /guests": "rewrite ^ /guests/;",
        "/guests": "try_files $uri @guests;",
        "@guests": PREFIX.format(socket),
    }


def project(folder: Path, name: str) -> None:
    """A package with its pyproject.toml, in the src layout."""
    package = folder / "src" / name
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name))
    (package / "__init__.py").write_text(PACKAGE.format(name=name))
    shutil.copy(APPS / "guestbook.py", package)


@pytest.fixture(scope="module")
def service(session_folder: Path, numbers: Iterator[int], emperor_venv: Path) -> Iterator[Service]:
    room = session_folder / str(next(numbers))
    where = folders(room)
    for folder in (room, room / "log", room / "public", *where.values()):
        folder.mkdir(mode=0o755)
    (room / "public/robots.txt").write_text("nothing for robots\n")
    shutil.copy(APPS / "guestbook.py", where["demoapp"] / "hello.py")
    project(where["installed"], "guests_installed")
    project(where["editable"], "guests_editable")
    packages = str(where["installed"]), "--editable", str(where["editable"])
    make_venv(where["demoapp"] / "venv", emperor_venv, *packages)
    for name, (app, home, mode) in DEPLOYED.items():
        text = INI.format(base=where[name], app=app, home=home, mode=mode, logs=room / "log")
        (where[name] / f"{name}_uwsgi.ini").write_text(text)
    daemon = Emperor(emperor_venv / "bin", room / "e", people.current(), people.account("www-data"))
    for folder in (*where.values(), room / "log", daemon.run):
        give(folder)
    with ExitStack() as ends:
        ends.callback(daemon.dispose)
        sites = {f"{name}.example": locations(room, path / f"{name}_uwsgi.sock") for name, path in where.items()}
        sites["twin.example"] = locations(room, where["demoapp"] / "twin.sock")
        nginx = Nginx(room / "n", {"/": "return 404;"}, sites=sites)
        ends.callback(nginx.stop)
        daemon.start("--master", "--die-on-term", "--uid", "www-data", "--gid", "www-data")
        yield Service(daemon, nginx.start(), room)


def give(folder: Path) -> None:
    """``chown -R www-data:www-data``, as the articles have it."""
    for path in (folder, *folder.rglob("*")):
        os.lchown(path, WWW_DATA, WWW_DATA)


@pytest.fixture(scope="module")
def apps(service: Service) -> list[str]:
    """The visitor gets a 502 until the app server runs."""
    assert service.site("demoapp").ask("/").status == 502
    assert "2: No such file or directory" in service.nginx.error_log
    names = list(folders(service.room))
    for name in names:
        service.link(f"{name}_uwsgi", service.room / name / f"{name}_uwsgi.ini")
    for name in names:
        service.running(f"{name}_uwsgi")
    return names


@pytest.mark.parametrize("prefix", ["", "/guests"], ids=["root", "prefix"])
@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
@pytest.mark.usefixtures("apps")
def test_the_app_is_served_as_soon_as_its_link_is_there(
    service: Service, due: Callable[[Site], None], prefix: str
) -> None:
    due(service.site("demoapp", prefix))


@pytest.mark.usefixtures("apps")
@pytest.mark.parametrize("name", ["installed", "editable"])
def test_an_app_may_be_a_package_of_the_virtualenv(service: Service, name: str) -> None:
    told = service.site(name).json("/")
    base = service.room / "demoapp/venv/lib" if name == "installed" else service.room / "editable/src"
    assert told["module"] == f"guests_{name}.guestbook"
    assert told["file"].startswith(f"{base}/")


@pytest.mark.usefixtures("apps")
def test_files_are_the_web_servers_and_the_rest_is_the_apps(service: Service) -> None:
    assert service.site("demoapp").ask("/robots.txt").text == "nothing for robots\n"
    assert service.site("demoapp").ask("/robots").text == "no such leaf in the guestbook"


@pytest.mark.usefixtures("apps")
def test_everything_runs_as_the_web_servers_user(service: Service) -> None:
    row = service.running("demoapp_uwsgi")
    for pid in (service.daemon.pid, row["pid"], *(worker["pid"] for worker in row["workers"])):
        assert procfs.uids(pid) == procfs.gids(pid) == [WWW_DATA] * 4
    for name, path in folders(service.room).items():
        about = os.stat(path / f"{name}_uwsgi.sock")
        assert (f"{stat.S_IMODE(about.st_mode):o}", about.st_uid) == (DEPLOYED[name][2], WWW_DATA)


@pytest.mark.usefixtures("apps")
def test_an_apps_traceback_is_in_its_own_log_and_in_emperorctl_logs(service: Service) -> None:
    service.site("installed").ask("/broken")
    log = service.logs / "installed_uwsgi.log"
    wait_for(log.read_text, lambda text: "RuntimeError: the ink has run out" in text, "the traceback in its log")
    assert log.stat().st_uid == WWW_DATA
    assert "RuntimeError: the ink has run out" in service.daemon.ctl("logs", "installed_uwsgi").stdout
    assert {one.name for one in service.logs.iterdir()} >= {f"{name}_uwsgi.log" for name in DEPLOYED}


@pytest.mark.usefixtures("apps")
def test_another_link_is_another_app_with_a_socket_and_a_log_of_its_own_name(service: Service) -> None:
    before = service.running("demoapp_uwsgi")
    service.link("twin", service.room / "demoapp/demoapp_uwsgi.ini")
    row = service.running("twin")
    assert [one["address"] for one in row["sockets"]] == [str(service.room / "demoapp/twin.sock")]
    assert service.site("twin").json("/")["here"] == "/"
    assert (service.logs / "twin.log").exists()
    (service.daemon.vassals / "twin.ini").unlink()
    wait_for(service.daemon.names, lambda names: "twin" not in names, "the vassal is gone")
    assert service.site("twin").ask("/").status == 502
    assert service.running("demoapp_uwsgi")["pid"] == before["pid"]


@pytest.mark.usefixtures("apps")
def test_an_emperor_that_stays_root_runs_the_same_ini_as_its_owner(service: Service, emperor: StartEmperor) -> None:
    daemon = emperor()
    (daemon.vassals / "byroot.ini").symlink_to(service.room / "demoapp/demoapp_uwsgi.ini")
    daemon.start()
    row = wait_for(lambda: daemon.row("byroot"), lambda row: row.get("state") == "RUNNING", "it runs")
    assert procfs.uids(daemon.pid) == [0] * 4
    assert procfs.uids(row["pid"]) == [WWW_DATA] * 4
    assert request(str(service.room / "demoapp/byroot.sock"), "/").json["uid"] == WWW_DATA
    assert (service.logs / "byroot.log").stat().st_uid == WWW_DATA


@pytest.mark.usefixtures("apps")
def test_a_link_that_turns_to_another_ini_brings_the_other_app(service: Service) -> None:
    service.link("turning", service.room / "installed/installed_uwsgi.ini")
    before = service.running("turning")
    fresh = service.daemon.vassals / ".turning"
    fresh.symlink_to(service.room / "editable/editable_uwsgi.ini")
    fresh.replace(service.daemon.vassals / "turning.ini")
    row = wait_for(
        lambda: service.daemon.row("turning"),
        lambda row: row.get("state") == "RUNNING" and row["pid"] != before["pid"],
        "the other app",
    )
    assert [one["address"] for one in row["sockets"]] == [str(service.room / "editable/turning.sock")]
