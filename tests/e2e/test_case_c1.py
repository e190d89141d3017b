"""Scripts that were written for flup, FastCGI behind nginx, the app's user another than the web server's.

What people have followed for years: ``WSGIServer(app, bindAddress='/path/fcgi.sock', umask=0).run()``. The script is
taken as ``wsgi-file`` as it is; its bindAddress and umask are ``socket`` and ``socket-umask`` in the ini.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, Emperor, Row, chown, ini, replace_file
from tests.e2e.harness.deployed import DUES, Site, make_venv
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.requirements import needs

pytestmark = needs("root", "useradd", "nginx", "www-data", "venv")

WWW_DATA = 33

GUARDED = """\
#!/usr/bin/env python3
from flup.server.fcgi import WSGIServer
from guestbook import app

if __name__ == '__main__':
    WSGIServer(app, bindAddress='{socket}', umask=0).run()
"""
UNGUARDED = """\
#!/usr/bin/env python3
import sys
sys.path.insert(0, '{folder}')
from flup.server.fcgi import WSGIServer
from guestbook import app as application

WSGIServer(application, bindAddress='{socket}', umask=0).run()
"""

STRIPPED = """\
#!/usr/bin/env python3
from flup.server.fcgi import WSGIServer
from guestbook import app

class ScriptNameStripper:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ['SCRIPT_NAME'] = ''
        return self.app(environ, start_response)

WSGIServer(ScriptNameStripper(app), bindAddress='{socket}', umask=0).run()
"""
SCRIPTS = {"guarded": GUARDED, "unguarded": UNGUARDED, "stripped": STRIPPED}

ROOT = {
    "/": "try_files $uri @app;",
    "@app": (
        "include /etc/nginx/fastcgi_params; fastcgi_param PATH_INFO $fastcgi_script_name;"
        ' fastcgi_param SCRIPT_NAME ""; fastcgi_pass unix:{socket};'
    ),
}
BARE = {"/": "include /etc/nginx/fastcgi_params; fastcgi_pass unix:{socket};"}
PREFIX = {
    "= /guests": "rewrite ^ /guests/ last;",
    "/guests": "try_files $uri @app;",
    "@app": (
        "include /etc/nginx/fastcgi_params; fastcgi_split_path_info ^(/guests)(.*)$;"
        " fastcgi_param PATH_INFO $fastcgi_path_info; fastcgi_param SCRIPT_NAME $fastcgi_script_name;"
        " fastcgi_pass unix:{socket};"
    ),
}
RECIPES = {"root": ROOT, "bare": BARE, "prefix": PREFIX}


class House(NamedTuple):
    """One emperor, one nginx, and a folder of alice's with her scripts; ``flup`` is a virtualenv that has it."""

    daemon: Emperor
    nginx: Nginx
    users: Users
    folder: Path
    flup: Path
    plain: Path

    def script(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.fcgi"
        path.write_text(text.format(socket=self.socket(name), folder=self.folder))
        path.chmod(0o755)
        return chown(path, self.users.alice)

    def socket(self, name: str) -> Path:
        return self.folder / f"{name}.sock"

    def add(self, name: str, text: str, **options: object) -> None:
        chosen = {
            "uid": self.users.alice.name,
            "wsgi_file": self.script(name, text),
            "virtualenv": self.flup,
            "protocol": "fastcgi",
            "socket": self.socket(name),
            "socket_umask": "000",
            **options,
        }
        replace_file(self.daemon.vassals / f"{name}.ini", ini(**chosen))

    def state(self, name: str, *states: str) -> Row:
        return wait_for(lambda: self.daemon.row(name), lambda row: row.get("state") in states, f"{name}: {states}")

    def site(self, name: str, recipe: str = "root") -> Site:
        prefix = "/guests" if recipe == "prefix" else ""
        return Site(self.nginx.port, prefix, f"{name}-{recipe}.example")


def locations(socket: Path, recipe: str) -> dict[str, str]:
    return {where: body.format(socket=socket) for where, body in RECIPES[recipe].items()}


@pytest.fixture(scope="module")
def house(
    session_folder: Path, numbers: Iterator[int], emperor_venv: Path, app_venv: Path, users: Users
) -> Iterator[House]:
    room = session_folder / str(next(numbers))
    room.mkdir(mode=0o755)
    folder = room / "guests"
    folder.mkdir(mode=0o755)
    chown(folder, users.alice)
    shutil.copy(APPS / "guestbook.py", folder)
    flup = make_venv(room / "venv", emperor_venv, "flup==1.0.3")
    daemon = Emperor(emperor_venv / "bin", room / "e", people.current(), users.alice)
    names = (*SCRIPTS, *(f"lean-{name}" for name in SCRIPTS), "engine", "strict")
    sites = {
        f"{name}-{recipe}.example": locations(folder / f"{name}.sock", recipe) for name in names for recipe in RECIPES
    }
    with ExitStack() as ends:
        ends.callback(daemon.dispose)
        nginx = Nginx(room / "n", {"/": "return 404;"}, sites=sites)
        ends.callback(nginx.stop)
        yield House(daemon.start(), nginx.start(), users, folder, flup, app_venv)


@pytest.fixture(scope="module")
def guarded(house: House) -> Row:
    house.add("guarded", GUARDED)
    return house.state("guarded", "RUNNING")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
@pytest.mark.usefixtures("guarded")
def test_a_guarded_script_is_served_unchanged(house: House, recipe: str, due: Callable[[Site], None]) -> None:
    due(house.site("guarded", recipe))


def test_the_app_is_its_own_user_and_the_web_server_another(house: House, guarded: Row) -> None:
    told = house.site("guarded").json("/")
    assert told["uid"] == house.users.alice.uid != WWW_DATA
    assert procfs.uids(guarded["pid"]) == [house.users.alice.uid] * 4


def test_the_socket_is_made_under_its_umask_and_no_process_keeps_it(house: House, guarded: Row) -> None:
    about = os.stat(house.socket("guarded"))
    assert (stat.S_IMODE(about.st_mode), about.st_uid) == (0o777, house.users.alice.uid)
    pids = [house.daemon.pid, guarded["pid"], *(worker["pid"] for worker in guarded["workers"])]
    assert [procfs.status(pid)["Umask"] for pid in pids] == ["0022"] * 3


def test_a_reload_keeps_the_socket_as_it_is(house: House, guarded: Row) -> None:
    before = os.stat(house.socket("guarded"))
    assert house.daemon.ctl("reload", "guarded").returncode == 0
    after = os.stat(house.socket("guarded"))
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert house.site("guarded").json("/")["uid"] == house.users.alice.uid


def test_a_traceback_of_the_app_is_in_its_log(house: House, guarded: Row) -> None:
    house.site("guarded").ask("/broken")
    wait_for(
        lambda: house.daemon.ctl("logs", "guarded").stdout,
        lambda text: "RuntimeError: the ink has run out" in text,
        "the traceback in emperorctl logs",
    )


def test_a_script_without_a_guard_is_served_and_starts_no_server(house: House) -> None:
    house.add("unguarded", UNGUARDED, start_timeout=5)
    house.state("unguarded", "RUNNING")
    assert house.site("unguarded", "prefix").json("/pages/x")["here"] == "/guests/pages/x"


def test_what_a_script_hands_to_flup_is_what_is_served(house: House) -> None:
    house.add("stripped", STRIPPED, start_timeout=5)
    house.state("stripped", "RUNNING")
    told = house.site("stripped", "prefix").json("/pages/x")
    assert (told["path_info"], told["here"]) == ("/pages/x", "/pages/x")


@pytest.mark.parametrize("script", ["guarded", "unguarded"])
def test_a_script_is_served_from_a_virtualenv_that_has_no_flup(house: House, script: str) -> None:
    name = f"lean-{script}"
    house.add(name, SCRIPTS[script], virtualenv=house.plain, start_timeout=5)
    row = house.state(name, "RUNNING", "BACKOFF")
    assert (row["state"], row["error"]) == ("RUNNING", None)
    assert house.site(name).json("/pages/x")["script_name"] == ""


def test_flup_itself_may_serve_what_its_script_names(house: House) -> None:
    house.add("engine", UNGUARDED, virtualenv=house.plain, fastcgi_engine="flup", start_timeout=5)
    house.state("engine", "RUNNING")
    assert house.site("engine", "prefix").json("/pages/x")["here"] == "/guests/pages/x"


def test_without_the_umask_the_web_server_is_kept_out_and_status_shows_the_mode(house: House) -> None:
    house.add("strict", GUARDED, socket_umask="022")
    row = house.state("strict", "RUNNING")
    assert house.site("strict").ask("/").status == 502
    assert "13: Permission denied" in house.nginx.error_log
    (socket,) = row["sockets"]
    assert (int(socket["mode"], 8), socket["owner"]) == (0o755, house.users.alice.uid)
    assert str(house.socket("strict")) in house.daemon.ctl("status", "strict").stdout
