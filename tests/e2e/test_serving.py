"""A real nginx, as www-data, gets the page through the socket: both protocols, every place of a socket."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.web import FASTCGI_KEPT, PASS, Nginx
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data")
PROTOCOLS = ("uwsgi", "fastcgi")
WWW_DATA = 33


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def deploy(daemon: Emperor, app_venv: Path, protocol: str, **options: object) -> Vassal:
    """Flask in its own virtualenv, named as people name things."""
    vassal = daemon.place("site", app="flask_site.py", wsgi_file=None, virtualenv=app_venv)
    address = options.pop("socket", None)
    key = "socket" if protocol == "uwsgi" else "fastcgi_socket"
    named = {key: address} if address else {"protocol": protocol}
    return vassal.write(module="app", callable="app", pythonpath=vassal.folder, **named, **options)


def front(nginx: StartNginx, vassal: Vassal, protocol: str) -> Nginx:
    return nginx({"/": PASS[protocol].format(vassal.socket)})


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def mode_within_acl(path: str) -> str:
    return subprocess.run(["getfacl", "-cnE", path], capture_output=True, text=True, check=True).stdout


def may_connect(person: Person, path: str) -> bool:
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    return person.run("/usr/bin/python3", "-c", code, path, check=False).returncode == 0


def test_default_socket_in_roots_folder(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str
) -> None:
    daemon = emperor().start()
    site = deploy(daemon, app_venv, protocol)
    site.running()
    page = front(nginx, site, protocol).get("/who")
    assert page.json["uid"] == users.alice.uid
    about = os.stat(site.socket)
    assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o660, users.alice.uid, WWW_DATA)
    assert not may_connect(users.bob, site.socket)


def test_default_mode_in_a_users_folder_lets_the_web_server_in_by_acl(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str
) -> None:
    path = users.alice.home / f"{protocol}.sock"
    site = deploy(emperor().start(), app_venv, protocol, socket=path)
    site.running()
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid
    assert os.stat(path).st_uid == users.alice.uid
    assert f"group:{WWW_DATA}:rw-" in mode_within_acl(site.socket)
    assert not may_connect(users.bob, site.socket)


def test_default_mode_without_root(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str
) -> None:
    daemon = emperor(person=users.alice).start()
    site = deploy(daemon, app_venv, protocol)
    site.running()
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid
    assert f"group:{WWW_DATA}:rw-" in mode_within_acl(site.socket)
    assert not may_connect(users.bob, site.socket)


@pytest.mark.parametrize("whose", ["root", "alice"])
def test_explicit_chmod(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str, whose: str
) -> None:
    daemon = emperor().start()
    folder = users.alice.home if whose == "alice" else daemon.run
    site = deploy(daemon, app_venv, protocol, socket=folder / f"c-{protocol}.sock", chmod_socket="666")
    site.running()
    assert mode_of(site.socket) == 0o666
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid
    assert may_connect(users.bob, site.socket)


def test_explicit_chown(emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str) -> None:
    daemon = emperor().start()
    owner = f"{users.bob.name}:www-data"
    path = daemon.run / "chown.sock"
    site = deploy(daemon, app_venv, protocol, socket=path, chmod_socket="020", chown_socket=owner)
    site.running()
    about = os.stat(path)
    assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o020, users.bob.uid, WWW_DATA)
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid


@pytest.mark.parametrize("whose", ["root", "alice"])
def test_explicit_umask(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str, whose: str
) -> None:
    daemon = emperor().start()
    folder = users.alice.home if whose == "alice" else daemon.run
    site = deploy(daemon, app_venv, protocol, socket=folder / f"u-{protocol}.sock", socket_umask="000")
    site.running()
    assert mode_of(site.socket) == 0o777
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid


@needs("setfacl")
def test_a_folders_default_acl_goes_on_working(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, users: Users, protocol: str
) -> None:
    daemon = emperor(person=users.alice).start()
    folder = users.alice.home / f"acl-{protocol}"
    users.alice.run("mkdir", "-m", "0750", str(folder))
    users.alice.run("setfacl", "-m", "d:u:www-data:rwx,u:www-data:rwx", str(folder))
    site = deploy(daemon, app_venv, protocol, socket=folder / "a.sock", chmod_socket="020")
    site.running()
    assert front(nginx, site, protocol).get("/who").json["uid"] == users.alice.uid


def test_a_wrong_mode_gives_permission_denied_in_the_web_servers_log(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, protocol: str
) -> None:
    site = deploy(emperor().start(), app_venv, protocol, chmod_socket="600")
    site.running()
    server = front(nginx, site, protocol)
    assert server.get("/who").status == 502
    assert "13: Permission denied" in server.error_log


def test_bodies_go_both_ways_whole(emperor: StartEmperor, nginx: StartNginx, app_venv: Path, protocol: str) -> None:
    site = deploy(emperor().start(), app_venv, protocol)
    site.running()
    data = os.urandom(3_000_017)
    answer = front(nginx, site, protocol).get("/upload", data, {"Content-Type": "application/octet-stream"})
    assert answer.json == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_redirects_and_links_come_out_under_the_prefix(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path
) -> None:
    daemon = emperor().start()
    site = daemon.place("site", app="flask_site.py", wsgi_file=None, virtualenv=app_venv)
    site.write(mount=f"/shop={site.folder}/app.py", callable="app", manage_script_name="true").running()
    server = nginx({"/shop": PASS["uwsgi"].format(site.socket)})
    assert server.get("/shop/who").json["here"] == "/shop/who"
    assert server.get("/shop/old").json["path"] == "/who"
    assert server.get("/shop/").text == "index at /shop/"


def test_fastcgi_with_connections_kept_open(emperor: StartEmperor, nginx: StartNginx, app_venv: Path) -> None:
    site = deploy(emperor().start(), app_venv, "fastcgi", processes=2)
    site.running()
    server = nginx({"/": FASTCGI_KEPT.format(f"unix:{site.socket}")})
    assert all(server.get("/who").status == 200 for _ in range(50))


def test_fastcgi_under_a_split_path(emperor: StartEmperor, nginx: StartNginx, app_venv: Path) -> None:
    site = deploy(emperor().start(), app_venv, "fastcgi")
    site.running()
    split = (
        "fastcgi_split_path_info ^(/app)(.*)$; include /etc/nginx/fastcgi_params;"
        " fastcgi_param PATH_INFO $fastcgi_path_info; fastcgi_param SCRIPT_NAME $fastcgi_script_name;"
        f" fastcgi_pass unix:{site.socket};"
    )
    assert nginx({"/app": split}).get("/app/who").json["here"] == "/app/who"


def test_flups_engine_serves_behind_nginx(emperor: StartEmperor, nginx: StartNginx, app_venv: Path) -> None:
    site = deploy(emperor().start(), app_venv, "fastcgi", fastcgi_engine="flup")
    site.running()
    assert front(nginx, site, "fastcgi").get("/who").status == 200


@needs("pypy3")
def test_a_virtualenv_of_pypy(emperor: StartEmperor, nginx: StartNginx, folder: Path) -> None:
    venv = folder / "pypyvenv"
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", str(venv)], check=True, capture_output=True)
    site = emperor().start().add("site", virtualenv=venv)
    site.running(deadline=40)
    assert front(nginx, site, "uwsgi").get("/facts").json["implementation"] == "pypy"


@needs("cgi-fcgi")
def test_a_foreign_fastcgi_client(emperor: StartEmperor, app_venv: Path) -> None:
    site = deploy(emperor().start(), app_venv, "fastcgi")
    site.running()
    done = subprocess.run(
        ["cgi-fcgi", "-bind", "-connect", site.socket],
        capture_output=True,
        env={
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/who",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
        },
    )
    assert done.stdout.startswith(b"Status: 200 OK\r\n"), done.stdout + done.stderr
    assert b'"path":"/who"' in done.stdout.replace(b" ", b"")
