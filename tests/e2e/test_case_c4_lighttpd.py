"""FastCGI and uwsgi behind lighttpd, as people have it: on a socket of our daemon's, or started by lighttpd itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.front import free_port
from tests.e2e.harness import visits
from tests.e2e.harness.daemon import Emperor, Vassal, ini
from tests.e2e.harness.deployed import Site
from tests.e2e.harness.fronts import Lighttpd
from tests.e2e.harness.visits import VISITS
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv", "useradd", "lighttpd")

HOST = """
$HTTP["host"] == "{name}.test" {{
    {directives}
}}
"""
# lighttpd takes the first prefix that fits, in the order in which they stand.
FASTCGI = """
    fastcgi.server = (
        "/shop" => (( {where}, "check-local" => "disable" )),
        "/" => (( {where}, "check-local" => "disable", "fix-root-scriptname" => "enable" ))
    )
"""
SITES = {
    "socket": FASTCGI.format(where='"socket" => "{fastcgi}"'),
    "tcp": FASTCGI.format(where='"host" => "127.0.0.1", "port" => {port}'),
    # What lighttpd says of a root without its fix is put right by ours: script-name = /
    "unfixed": """
    fastcgi.server = (
        "/shop" => (( "socket" => "{fastcgi}", "check-local" => "disable" )),
        "/" => (( "socket" => "{rooted}", "check-local" => "disable" ))
    )
""",
    "bin-path": """
    fastcgi.server = (
        "/shop" => ((
            "socket" => "{web}/ipc/shop.sock",
            "bin-path" => "{emperor} run {inis}/shop.ini",
            "check-local" => "disable",
            "max-procs" => 1
        )),
        "/" => ((
            "socket" => "{web}/ipc/root.sock",
            "bin-path" => "{emperor} run {inis}/root.ini",
            "check-local" => "disable",
            "max-procs" => 1
        ))
    )
""",
    "uwsgi": """
    scgi.protocol = "uwsgi"
    scgi.server = (
        "/shop" => (( "socket" => "{uwsgi}", "check-local" => "disable" )),
        "/" => (( "socket" => "{uwsgi}", "check-local" => "disable", "fix-root-scriptname" => "enable" ))
    )
""",
}
MAIN = """
server.modules += ( "mod_fastcgi", "mod_scgi" )
# Pieces are handed on as they come.
server.stream-response-body = 1
"""


class World:
    """The daemon with its vassals, lighttpd before it, and inis of apps that lighttpd starts."""

    def __init__(self, emperor: Path, daemon: Emperor, folder: Path) -> None:
        self.emperor = emperor
        self.daemon = daemon
        self.folder = folder
        self.port = free_port()
        self.vassals = {
            "fastcgi": self._vassal("fastcgi", protocol="fastcgi", processes=5),
            "rooted": self._vassal("rooted", protocol="fastcgi", script_name="/"),
            "uwsgi": self._vassal("uwsgi"),
            "tcp": self._vassal("tcp", fastcgi_socket=f"127.0.0.1:{self.port}"),
        }
        self.front = Lighttpd(folder / "web")

    def _vassal(self, name: str, **options: object) -> Vassal:
        venv = self.emperor.parent.parent
        vassal = self.daemon.place(name, virtualenv=venv, callable="app")
        visits.place(vassal.folder)
        return vassal.write(**options)

    def start(self) -> World:
        named = {"wsgi_file": visits.place(self.folder), "callable": "app"}
        (self.folder / "root.ini").write_text(ini(script_name="/", **named))
        (self.folder / "shop.ini").write_text(ini(script_name="/shop", **named))
        given = {
            "web": self.front.folder,
            "inis": self.folder,
            "emperor": self.emperor,
            "port": self.port,
            **{name: self.vassals[name].socket for name in ("fastcgi", "rooted", "uwsgi")},
        }
        hosts = [HOST.format(name=name, directives=text.format(**given)) for name, text in SITES.items()]
        self.front.text = MAIN + "".join(hosts)
        checked = self.front.check()
        assert checked.returncode == 0, checked.stderr
        for vassal in self.vassals.values():
            vassal.running()
        self.front.start()
        return self

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


@pytest.mark.parametrize("name", SITES)
def test_a_body_without_a_length(world: World, name: str) -> None:
    visits.a_chunked_body(world.site(name))


@pytest.mark.parametrize("name", SITES)
def test_a_stream(world: World, open_folder: Path, name: str) -> None:
    visits.a_stream_comes_piece_by_piece(world.site(name), open_folder / "gate")


def test_several_processes_serve_at_the_same_time(world: World, open_folder: Path) -> None:
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(world.site("socket").ask, f"/hold?{open_folder}") for _ in range(5)]
        try:
            wait_for(lambda: len(list(open_folder.iterdir())), lambda held: held == 5, "all of them hold one")
        finally:
            (open_folder / "go").touch()
    assert len({one.result().json["pid"] for one in asked}) == 5
