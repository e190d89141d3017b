"""``.fcgi`` scripts as published: their name kept out of URLs, flup at the bottom, and when they do not import."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import people, visits
from tests.e2e.harness.daemon import APPS, Emperor, Vassal, ini
from tests.e2e.harness.deployed import DUES, Site
from tests.e2e.harness.fronts import Apache, Front, Lighttpd
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv", "useradd", "apache", "apache-proxy", "lighttpd", "nginx")

APACHE = """
FcgidMaxRequestLen 1073741824
<VirtualHost *>
    ServerName started.test
    DocumentRoot {www}
    <Directory {www}>
        Options +ExecCGI
        AddHandler fcgid-script .fcgi
        RewriteEngine On
        RewriteCond %{{REQUEST_FILENAME}} !-f
        RewriteRule ^(.*)$ /app.fcgi/$1 [QSA,L]
    </Directory>
</VirtualHost>
<VirtualHost *>
    ServerName proxied.test
    DocumentRoot {www}
    ProxyPass "/app.fcgi" "unix:{socket}|fcgi://localhost"
    RewriteEngine On
    RewriteCond %{{DOCUMENT_ROOT}}%{{REQUEST_FILENAME}} !-f
    RewriteCond %{{REQUEST_URI}} !^/app.fcgi
    RewriteRule ^/(.*)$ /app.fcgi/$1 [PT]
</VirtualHost>
<VirtualHost *>
    ServerName broken.test
    <Location "/">
        SetHandler fcgid-script
        Options +ExecCGI
        FcgidWrapper "{emperor} run {inis}/broken.ini" virtual
    </Location>
</VirtualHost>
"""
SCRIPT = "#!/bin/sh\nexec {emperor} run {inis}/app.ini\n"

SHARED = """
server.modules += ( "mod_fastcgi", "mod_rewrite" )
alias.url = ( "/static/" => "{www}/static/" )
$HTTP["host"] =~ "^(started|proxied)\\.test$" {{
    url.rewrite-once = (
        "^(/static($|/.*))$" => "$1",
        "^(/app\\.fcgi($|/.*))$" => "$1",
        "^(/.*)$" => "/app.fcgi$1"
    )
}}
"""
SPAWNED = """
$HTTP["host"] == "{name}.test" {{
    fastcgi.server = ( "{url}" => ((
        "socket" => "{web}/ipc/{name}.sock",
        "bin-path" => "{emperor} run {what}",
        "check-local" => "disable",
        "max-procs" => 1
    )))
}}
"""
PROXIED = """
$HTTP["host"] == "proxied.test" {{
    fastcgi.server = ( "/app.fcgi" => (( "socket" => "{socket}", "check-local" => "disable" )))
}}
"""
NGINX = {
    "/": "rewrite ^(.*)$ /app.fcgi$1 last;",
    "/static/": "alias {www}/static/;",
    "/app.fcgi": (
        "include /etc/nginx/fastcgi_params; fastcgi_split_path_info ^(/app\\.fcgi)(.*)$;"
        " fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param PATH_INFO $fastcgi_path_info;"
        " fastcgi_pass unix:{socket};"
    ),
}

GUARDED = """\
#!/usr/bin/python3
from flup.server.fcgi import WSGIServer
from guestbook import app

if __name__ == '__main__':
    WSGIServer(app).run()
"""
UNGUARDED = """\
#!/usr/bin/python3
import sys
sys.path.insert(0, '{folder}')
from flup.server.fcgi import WSGIServer
from guestbook import app

class ScriptNameStripper(object):
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ['SCRIPT_NAME'] = ''
        return self.app(environ, start_response)

app = ScriptNameStripper(app)

WSGIServer(app).run()
"""
FLUP = {"guarded": GUARDED, "unguarded": UNGUARDED}

STYLE = "body { color: teal }\n"


class World(NamedTuple):
    """One daemon, and the three web servers by their names."""

    folder: Path
    emperor: Path
    daemon: Emperor
    socket: str
    fronts: Mapping[str, Front | Nginx]

    def site(self, server: str, name: str) -> Site:
        return Site(self.fronts[server].port, "", f"{name}.test")

    def log(self, server: str) -> str:
        front = self.fronts[server]
        assert isinstance(front, Front)
        return front.error_log()


@pytest.fixture(scope="module")
def world(shared_folder: Path, shared_emperor: Emperor, emperor_venv: Path) -> Iterator[World]:
    folder, daemon = shared_folder, shared_emperor
    with ExitStack() as ends:
        vassal = _vassal(daemon, emperor_venv)
        program = emperor_venv / "bin/emperor"
        _write(folder)
        fronts = _fronts(folder, program, vassal.socket)
        vassal.running()
        for one in fronts.values():
            ends.callback(one.__exit__ if isinstance(one, Front) else one.stop)
            one.start()
        yield World(folder, program, daemon, vassal.socket, fronts)


def _vassal(daemon: Emperor, venv: Path) -> Vassal:
    vassal = daemon.place("app", virtualenv=venv, callable="app", protocol="fastcgi", script_name="/")
    visits.place(vassal.folder)
    return vassal.write()


def _write(folder: Path) -> None:
    """Inis and scripts that web servers start."""
    visits.place(folder)
    shutil.copy(APPS / "broken_import.py", folder)
    (folder / "app.ini").write_text(ini(wsgi_file=folder / "app.py", callable="app", script_name="/"))
    (folder / "broken.ini").write_text(ini(wsgi_file=folder / "broken_import.py", uid="www-data"))
    for name, text in FLUP.items():
        (folder / f"{name}.fcgi").write_text(text.format(folder=folder))


def _fronts(folder: Path, emperor: Path, socket: str) -> dict[str, Front | Nginx]:
    apache = Apache(folder / "apache", modules=["proxy", "proxy_fcgi", "fcgid", "rewrite"])
    lighttpd = Lighttpd(folder / "lighttpd")
    given = {"emperor": emperor, "inis": folder, "socket": socket}
    apache.text = APACHE.format(www=apache.www, **given)
    script = apache.www / "app.fcgi"
    script.write_text(SCRIPT.format(**given))
    script.chmod(0o755)
    lighttpd.text = SHARED.format(www=lighttpd.www) + PROXIED.format(**given)
    started = {name: ("/", f"--wsgi-file {folder}/{name}.fcgi --script-name /") for name in FLUP}
    started |= {"started": ("/app.fcgi", f"{folder}/app.ini"), "broken": ("/", f"{folder}/broken.ini")}
    for name, (url, what) in started.items():
        lighttpd.text += SPAWNED.format(web=lighttpd.folder, name=name, url=url, what=what, emperor=emperor)
    for front in (apache, lighttpd):
        (front.www / "static").mkdir()
        (front.www / "static/style.css").write_text(STYLE)
    blocks = {
        path: block.replace("{socket}", socket).replace("{www}", str(apache.www)) for path, block in NGINX.items()
    }
    return {"apache": apache, "lighttpd": lighttpd, "nginx": Nginx(folder / "nginx", blocks)}


NAMELESS = [("apache", "started"), ("apache", "proxied"), ("lighttpd", "started"), ("lighttpd", "proxied")]
NAMELESS += [("nginx", "proxied")]


@pytest.mark.parametrize("server, name", NAMELESS)
def test_the_scripts_own_name_is_in_no_url(world: World, server: str, name: str) -> None:
    for due in DUES:
        due(world.site(server, name))
    visits.names_of_all_kinds(world.site(server, name))


@pytest.mark.parametrize("server, name", NAMELESS)
def test_nor_for_who_asks_for_the_script(world: World, server: str, name: str) -> None:
    seen = world.site(server, name).json("/app.fcgi/seen/x?a=1")
    assert (seen["link"], seen["environ"]["PATH_INFO"], seen["arguments"]) == ("/seen/x", "/seen/x", {"a": "1"})


@pytest.mark.parametrize("server, name", NAMELESS)
def test_static_files_are_the_web_servers(world: World, server: str, name: str) -> None:
    assert world.site(server, name).ask("/static/style.css").text == STYLE


@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("name", FLUP)
def test_a_script_with_flup_in_it_is_served_as_it_is(world: World, name: str, due: Callable[[Site], None]) -> None:
    due(world.site("lighttpd", name))


@pytest.mark.parametrize("server", ["apache", "lighttpd"])
def test_what_the_web_server_cannot_tell_stands_in_its_log_and_can_be_seen_by_hand(world: World, server: str) -> None:
    assert world.site(server, "broken").ask("/").status in (500, 502, 503)
    command = r"to see it by hand: (emperorctl check --import (\S+))"
    log = wait_for(lambda: world.log(server), lambda text: re.search(command, text), "the command")
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in log
    typed = re.search(command, log)
    assert typed
    done = _as_www_data(world.emperor.with_name("emperorctl"), *typed[1].split()[1:])
    assert (done.returncode, "import a_module_that_nobody_has" in done.stdout + done.stderr) == (1, True)


def _as_www_data(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return people.account("www-data").run(str(program), *words, check=False)


def test_under_the_daemon_it_stands_in_status_and_root_sees_it_as_the_apps_user(world: World, users: Users) -> None:
    vassal = world.daemon.place("broken", app="broken_import.py")
    # Who can read this is the app's user.
    secret = vassal.own(vassal.folder / "app.py")
    secret.chmod(0o400)
    vassal.write().until(lambda row: row.get("error"), "an error")
    shown = world.daemon.ctl("status", "broken").stdout
    assert "a_module_that_nobody_has" in shown
    assert "Traceback (most recent call last)" in shown
    done = world.daemon.ctl("check", "--import", str(vassal.ini))
    assert (done.returncode, "import a_module_that_nobody_has" in done.stdout + done.stderr) == (1, True)
    assert os.stat(secret).st_uid == users.alice.uid
