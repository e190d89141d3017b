"""FastCGI and uwsgi behind Apache, as people have it: our daemon behind mod_proxy, or mod_fcgid that starts the app."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.front import free_port
from tests.e2e.harness import procfs, visits
from tests.e2e.harness.daemon import Emperor, Vassal, ini
from tests.e2e.harness.deployed import Site
from tests.e2e.harness.fronts import Apache, ask
from tests.e2e.harness.visits import VISITS
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv", "useradd", "apache", "apache-proxy")

HOST = """
<VirtualHost *>
    ServerName {name}.test
    DocumentRoot {www}
    AllowEncodedSlashes On
    <Location "/">
        CGIPassAuth On
    </Location>
    {directives}
</VirtualHost>
"""
PROXY = """
    ProxyPass "/shop" "{target}"
    ProxyPass "/" "{target}/"
"""
# Both are one worker of Apache's, and the first line's words are its words.
STREAMED = """
    ProxyPass "/shop" "{target}" flushpackets=on enablereuse=on
    ProxyPass "/" "{target}/" flushpackets=on enablereuse=on
"""
PROXIED = {
    "fcgi-unix": PROXY.format(target="unix:{fastcgi}|fcgi://localhost"),
    "fcgi-tcp": PROXY.format(target="fcgi://127.0.0.1:{fastcgi_port}"),
    "fcgi-kept": STREAMED.format(target="unix:{fastcgi}|fcgi://kept"),
    "fcgi-generic": PROXY.format(target="unix:{fastcgi}|fcgi://generic") + "ProxyFCGIBackendType GENERIC",
    # Apache takes the path's first part for the script then; script-name puts it right.
    "fcgi-handler": """
    <Location "/">
        SetHandler "proxy:unix:{rooted}|fcgi://localhost/"
    </Location>
    <Location "/shop">
        SetHandler "proxy:unix:{shop}|fcgi://localhost/"
    </Location>
""",
    "uwsgi-unix": PROXY.format(target="unix:{uwsgi}|uwsgi://localhost"),
    "uwsgi-tcp": PROXY.format(target="uwsgi://127.0.0.1:{uwsgi_port}"),
}
STARTED = {
    "fcgid-script": """
    ScriptAlias /shop {www}/shop.fcgi
    ScriptAlias / {www}/app.fcgi/
    <Directory {www}>
        SetHandler fcgid-script
    </Directory>
""",
    "fcgid-wrapper": """
    <Location "/">
        SetHandler fcgid-script
        Options +ExecCGI
        FcgidWrapper "{emperor} run {inis}/root.ini" virtual
    </Location>
    <Location "/shop">
        FcgidWrapper "{emperor} run {inis}/shop.ini" virtual
    </Location>
""",
}
SITES = {**PROXIED, **STARTED}
CHUNKS_REFUSED = ("uwsgi-unix", "uwsgi-tcp")

MAIN = """
FcgidMaxRequestLen 1073741824
FcgidOutputBufferSize 0
# Each child has kept connections of its own.
ServerLimit 1
StartServers 1
ThreadsPerChild 32
MaxRequestWorkers 32
"""
SCRIPT = """\
#!/bin/sh
exec {emperor} run --wsgi-file {app} --callable app
"""


class World:
    """The daemon with its vassals, Apache before it, and inis of apps that Apache starts."""

    def __init__(self, emperor: Path, daemon: Emperor, folder: Path) -> None:
        self.emperor = emperor
        self.daemon = daemon
        self.folder = folder
        self.ports = {"fastcgi_port": free_port(), "uwsgi_port": free_port()}
        self.vassals = {
            "fastcgi": self._vassal("fastcgi", protocol="fastcgi", processes=5),
            "rooted": self._vassal("rooted", protocol="fastcgi", script_name="/"),
            "shop": self._vassal("shop", protocol="fastcgi", script_name="/shop"),
            "uwsgi": self._vassal("uwsgi"),
            "fastcgi-tcp": self._vassal("fastcgi-tcp", fastcgi_socket=f"127.0.0.1:{self.ports['fastcgi_port']}"),
            "uwsgi-tcp": self._vassal("uwsgi-tcp", socket=f"127.0.0.1:{self.ports['uwsgi_port']}"),
        }
        self.front = Apache(folder / "web", modules=["proxy", "proxy_fcgi", "proxy_uwsgi", "fcgid", "rewrite"])

    def _vassal(self, name: str, **options: object) -> Vassal:
        venv = self.emperor.parent.parent
        vassal = self.daemon.place(name, virtualenv=venv, callable="app")
        visits.place(vassal.folder)
        return vassal.write(**options)

    def start(self) -> World:
        self._inis_and_scripts()
        given = {
            "www": self.front.www,
            "inis": self.folder,
            "emperor": self.emperor,
            **{name: vassal.socket for name, vassal in self.vassals.items()},
            **self.ports,
        }
        hosts = [
            HOST.format(name=name, www=self.front.www, directives=directives.format(**given))
            for name, directives in SITES.items()
        ]
        self.front.text = MAIN + "".join(hosts)
        checked = self.front.check()
        assert (checked.returncode, "Syntax OK" in checked.stderr) == (0, True), checked.stderr
        for vassal in self.vassals.values():
            vassal.running()
        self.front.start()
        return self

    def _inis_and_scripts(self) -> None:
        app = visits.place(self.folder)
        named = {"wsgi_file": app, "callable": "app"}
        (self.folder / "root.ini").write_text(ini(script_name="/", **named))
        (self.folder / "shop.ini").write_text(ini(script_name="/shop", **named))
        for name in ("app", "shop"):
            script = self.front.www / f"{name}.fcgi"
            script.write_text(SCRIPT.format(emperor=self.emperor, app=app))
            script.chmod(0o755)

    def reload(self, vassal: str) -> None:
        done = self.daemon.ctl("reload", self.vassals[vassal].name)
        assert done.returncode == 0, done.stderr

    def site(self, name: str, prefix: str = "") -> Site:
        return Site(self.front.port, prefix, f"{name}.test")


@pytest.fixture(scope="module")
def world(shared_folder: Path, shared_emperor: Emperor, emperor_venv: Path) -> Iterator[World]:
    one = World(emperor_venv / "bin/emperor", shared_emperor, shared_folder)
    try:
        yield one.start()
    finally:
        one.front.__exit__()


@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("visit", VISITS, ids=lambda one: one.__name__)
def test_a_visitor_is_served(world: World, visit: Callable[[Site], None], name: str, prefix: str) -> None:
    visit(world.site(name, prefix))


@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize("name", SITES)
def test_an_encoded_slash_in_a_name(world: World, name: str, prefix: str) -> None:
    visits.an_encoded_slash(world.site(name, prefix))


@pytest.mark.parametrize("name", [name for name in SITES if name not in CHUNKS_REFUSED])
def test_a_body_without_a_length(world: World, name: str) -> None:
    visits.a_chunked_body(world.site(name))


@pytest.mark.parametrize("name", CHUNKS_REFUSED)
def test_a_body_without_a_length_is_refused_by_mod_proxy_uwsgi_itself(world: World, name: str) -> None:
    """It is the reason to take fcgi:// where clients send such."""
    site = world.site(name)
    assert ask(site.port, "/seen/x", "POST", iter([b"abc"]), {"Host": site.host}).status == 411


@pytest.mark.parametrize("name", ["fcgi-kept", "uwsgi-unix", "fcgid-wrapper"])
def test_a_stream(world: World, open_folder: Path, name: str) -> None:
    visits.a_stream_comes_piece_by_piece(world.site(name), open_folder / "gate")


@pytest.mark.parametrize("name, several", [("fcgi-unix", 5), ("fcgid-wrapper", 3)])
def test_several_processes_serve_at_the_same_time(world: World, open_folder: Path, name: str, several: int) -> None:
    with ThreadPoolExecutor(several) as pool:
        asked = [pool.submit(world.site(name).ask, f"/hold?{open_folder}") for _ in range(several)]
        try:
            wait_for(lambda: len(list(open_folder.iterdir())), lambda held: held == several, "all of them hold one")
        finally:
            (open_folder / "go").touch()
    assert len({one.result().json["pid"] for one in asked}) == several


@pytest.mark.parametrize("name, vassal", [("fcgi-unix", "fastcgi"), ("uwsgi-unix", "uwsgi")])
def test_a_reload_loses_no_visitor(world: World, name: str, vassal: str) -> None:
    over = threading.Event()

    def visit() -> set[int]:
        seen = set()
        while not over.is_set():
            seen.add(world.site(name).json("/seen/x")["pid"])
        return seen

    with ThreadPoolExecutor(3) as pool:
        crowd = [pool.submit(visit) for _ in range(3)]
        try:
            for _ in range(2):
                world.reload(vassal)
        finally:
            over.set()
    assert len(set().union(*(one.result() for one in crowd))) >= 3


def test_a_connection_that_apache_keeps_has_its_last_request_behind_a_reload(world: World) -> None:
    """Whoever takes it up again in the very moment in which it is closed is lost: Apache never asks twice."""
    site, socket = world.site("fcgi-kept"), world.vassals["fastcgi"].socket
    before = site.json("/seen/x")["pid"]
    wait_for(lambda: procfs.connections(socket), lambda number: number == 1, "those of others are closed")
    assert site.json("/seen/x")["pid"] == before
    world.reload("fastcgi")
    assert procfs.connections(socket) == 1
    assert site.json("/seen/x")["pid"] == before
    wait_for(lambda: procfs.connections(socket), lambda number: number == 0, "it is closed")
    assert site.json("/seen/x")["pid"] != before
