"""``emperorctl nginx``, ``apache`` and ``lighttpd``: what they print is installed as it is, and serves.

One daemon with four apps, and one web server of each kind before all of them: a site of its own at the root, and three
parts of it, each over another protocol and with another way to be below its prefix.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from benchmarks.front import free_port
from emperor.control import client
from emperor.control.messages import Request
from tests.e2e.harness import people
from tests.e2e.harness.daemon import Emperor, Vassal, chown
from tests.e2e.harness.deployed import DUES, Site
from tests.e2e.harness.fronts import APACHE_STOCK, Apache, Front, Lighttpd
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.requirements import needs

pytestmark = needs("root", "nginx", "apache", "lighttpd", "www-data", "venv", "useradd")

LIMIT = 4_000_000
SOCKET = "main (it's);{},~!@^<>&=+.sock"
"""Every server's quotes must hold."""
SERVERS = ("nginx", "apache", "lighttpd")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PARTS = {"shop": "/shop", "wiki": "/wiki", "api": "/api"}
"""A vassal's name → where it is on the site."""


class World(NamedTuple):
    daemon: Emperor
    folder: Path
    users: Users
    main: Vassal

    def printed(self, server: str, *words: str) -> str:
        done = self.daemon.ctl(server, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def parts(self, server: str, port: int) -> dict[str, str]:
        """Whatever is below a prefix, as a part of the site at ``port``."""
        asked = {name: ("--prefix", prefix, "--listen", str(port)) for name, prefix in PARTS.items()}
        return {name: self.printed(server, name, *words) for name, words in asked.items()}

    def save(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def world(session_folder: Path, emperor_venv: Path, app_venv: Path, users: Users) -> Iterator[World]:
    folder = session_folder / "printed"
    folder.mkdir(mode=0o755)
    daemon = Emperor(emperor_venv / "bin", folder / "e", people.current(), users.alice)
    try:
        daemon.start()
        flask: dict[str, Any] = {"app": "guestbook.py", "virtualenv": app_venv}
        main = daemon.place(
            "main", **flask, fastcgi_socket=daemon.run / SOCKET, processes=2, limit_post=LIMIT, harakiri=100
        )
        fill(main, main.folder)
        main.write(static_map=f"/static={main.folder}/files")
        # The app knows nothing of its prefix; its owner wrote the ini.
        shop = daemon.place("shop", **flask)
        home = users.alice.home / "printed"
        home.mkdir(mode=0o755)
        fill(shop, shop.own(home))
        owned = [f"/files={home}/files", f"/turned={turned(shop, home)}/more", f"/others={main.folder}/files"]
        shop.write(static_map=owned)
        chown(shop.ini, users.alice)
        # Its ini does.
        wiki = daemon.place("wiki", **flask, wsgi_file=None, protocol="fastcgi", manage_script_name="true")
        wiki.write(mount=f"/wiki={wiki.folder}/app.py")
        daemon.add("api", **flask, protocol="http", script_name="/api", proxy_fix=1)
        for name in ("main", *PARTS):
            wait_for(lambda name=name: daemon.row(name).get("state") == "RUNNING", what=name, deadline=40)  # type: ignore[misc]  # mypy infers no defaults
        yield World(daemon, folder, users, main)
    finally:
        daemon.dispose()


def fill(vassal: Vassal, folder: Path) -> None:
    """Files for the web server, something beside them that is not, and a link to it."""
    files = folder / "files"
    files.mkdir(mode=0o755)
    (files / "a b+é.txt").write_text("from the disk")
    secret = folder / "secret"
    secret.write_text("not to be seen")
    (files / "link").symlink_to(secret)
    for path in (files, files / "a b+é.txt", files / "link"):
        vassal.own(path)


def turned(vassal: Vassal, folder: Path) -> Path:
    """A folder of the vassal's owner that has become a link to somebody else's."""
    others = vassal.folder.parent / "others"
    (others / "more").mkdir(mode=0o755, parents=True)
    (others / "more/letter").write_text("not to be seen")
    link = folder / "turned"
    link.symlink_to(others)
    return vassal.own(link)


class Running(Protocol):
    port: int

    def check(self) -> subprocess.CompletedProcess[str]: ...


class NginxFront:
    """nginx whose main configuration includes the printed one."""

    def __init__(self, world: World) -> None:
        self.port = free_port()
        site = world.printed("nginx", "main", "--listen", f"127.0.0.1:{self.port}")
        parts = world.parts("nginx", self.port)
        saved = [world.save(f"nginx-{name}.conf", text) for name, text in parts.items()]
        includes = "".join(f"include {path};\n" for path in saved)
        begin, line, rest = site.partition("server_name _;\n")
        self._nginx = Nginx(
            world.folder / "nginx", {}, f"include {world.save('nginx-site.conf', begin + line + includes + rest)};"
        )
        self._nginx.start()

    def check(self) -> subprocess.CompletedProcess[str]:
        folder = self._nginx.folder
        command = ["nginx", "-t", "-e", f"{folder}/test.log", "-c", f"{folder}/nginx.conf", "-p", str(folder)]
        return subprocess.run(command, capture_output=True, text=True)

    def stop(self) -> None:
        print(self._nginx.error_log)
        self._nginx.stop()


def apache(world: World) -> Front:
    front = Apache(world.folder / "apache")
    site = world.printed("apache", "main", "--listen", str(front.port))
    parts = world.parts("apache", front.port)
    saved = [world.save(f"apache-{name}.inc", text) for name, text in parts.items()]
    begin, line, rest = site.partition("# ServerName www.example.org\n")
    assert line
    front.text = begin + line + "".join(f"Include {path}\n" for path in saved) + rest
    named = " ".join(re.findall("a2enmod ([a-z_ ]+)", site + "".join(parts.values()))).split()
    front.modules = tuple(dict.fromkeys(one for one in named if one not in APACHE_STOCK))
    return front


def lighttpd(world: World) -> Front:
    front = Lighttpd(world.folder / "lighttpd")
    texts = [world.printed("lighttpd", "main"), *world.parts("lighttpd", front.port).values()]
    # As lighttpd includes conf-enabled/*.conf.
    front.text = "".join(sorted(texts, key=lambda text: re.findall("conf-available/(.*).conf", text)))
    return front


@pytest.fixture(scope="module", params=SERVERS)
def front(request: pytest.FixtureRequest, world: World) -> Iterator[Running]:
    if request.param == "nginx":
        one = NginxFront(world)
        yield one
        one.stop()
    else:
        with {"apache": apache, "lighttpd": lighttpd}[request.param](world) as other:
            yield other


def site(front: Running, prefix: str = "") -> Site:
    return Site(front.port, prefix, f"localhost:{front.port}")


def test_the_server_itself_accepts_it_without_a_warning(front: Running) -> None:
    done = front.check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("prefix", ["", *PARTS.values()])
@pytest.mark.parametrize("due", DUES, ids=lambda one: one.__name__)
def test_it_serves_at_the_root_and_below_each_prefix(front: Running, prefix: str, due: Callable[[Site], None]) -> None:
    due(site(front, prefix))


@pytest.mark.parametrize("prefix", ["", *PARTS.values()])
def test_every_letter_of_a_name_arrives(front: Running, prefix: str) -> None:
    page = site(front, prefix).json("/pages/100%25%3F%23;a=%22b%22+c&d")
    assert (page["name"], page["script_name"]) == ('100%?#;a="b"+c&d', prefix)


@pytest.mark.parametrize("prefix", PARTS.values())
def test_a_name_that_only_begins_like_the_prefix_is_anothers(front: Running, prefix: str) -> None:
    assert site(front).ask(f"{prefix}x").text == "no such leaf in the guestbook"
    # The prefix once more is the app's own name.
    assert site(front, prefix).ask(prefix).text == "no such leaf in the guestbook"


def test_over_http_no_visitor_invents_where_the_app_is(front: Running) -> None:
    invented = {"Host": "evil", "Prefix": "/evil", "Port": "1", "Proto": "https", "For": "192.0.2.1"}
    headers = {f"X-Forwarded-{name}": value for name, value in invented.items()}
    answer = site(front, "/api").ask("/entries", headers=headers)
    assert answer.header("Location") == f"http://localhost:{front.port}/api/entries/"


def test_a_body_above_limit_post_is_a_413(front: Running) -> None:
    assert site(front).ask("/upload", "POST", bytes(LIMIT + 2048)).status == 413
    # The parts of the site have no limit; the app finds no form in it.
    assert {site(front, one).ask("/upload", "POST", bytes(LIMIT + 2048)).status for one in PARTS.values()} == {400}


def test_what_a_users_ini_names_outside_of_that_users_home_is_not_served(front: Running) -> None:
    assert site(front).ask("/static/a%20b+%C3%A9.txt").body == b"from the disk"
    assert site(front, "/shop").ask("/others/a%20b+%C3%A9.txt").text == "no such leaf in the guestbook"


@pytest.mark.parametrize("path", ["/static/a%20b+%C3%A9.txt", "/shop/files/a%20b+%C3%A9.txt"])
def test_static_files_are_served_by_the_web_server(front: Running, path: str) -> None:
    assert site(front).ask(path).body == b"from the disk"
    missing = site(front).ask(path + "x")
    # The app has a page of its own for that.
    assert missing.status == 404 and b"guestbook" not in missing.body


@pytest.mark.parametrize(
    "path", ["/static../secret", "/static/../secret", "/static/%2e%2e/secret", "/shop/files../secret"]
)
def test_nothing_beside_the_folder_is_served(front: Running, path: str) -> None:
    answer = site(front).ask(path)
    assert answer.status >= 400 and b"not to be seen" not in answer.body


@pytest.mark.parametrize("path", ["/static/link", "/shop/files/link"])
def test_a_link_of_a_user_s_to_somebody_else_s_file_is_not_followed(front: Running, path: str) -> None:
    answer = site(front).ask(path)
    assert answer.status in (403, 404) and b"not to be seen" not in answer.body


def test_a_folder_of_a_user_s_that_has_become_a_link_is_not_followed(front: Running) -> None:
    answer = site(front).ask("/shop/turned/letter")
    assert answer.status in (403, 404) and b"not to be seen" not in answer.body


def connections(path: str) -> int:
    """Those that are open, on the side of who listens at ``path`` (proc_net_unix: state 3)."""
    rows = (line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return sum(1 for row in rows if row[7:] == [path] and row[5] == "03")


def test_a_connection_stays_open_between_two_requests_where_a_reload_is_none_the_worse(
    front: Running, world: World
) -> None:
    site(front).ask("/entries/")
    if isinstance(front, (Apache, Lighttpd)):
        wait_for(lambda: connections(world.main.socket) == 0, what="it is closed")
    else:
        assert connections(world.main.socket) > 0


def test_no_request_is_lost_over_kept_connections_while_the_app_is_reloaded(front: Running, world: World) -> None:
    over = threading.Event()
    failed: list[object] = []
    served: list[int] = []

    def visit(method: str, path: str) -> None:
        while not over.is_set():
            data = b"name=x" if method == "POST" else None
            try:
                status = site(front).ask(path, method, data, FORM if data else {}).status
            except Exception as error:
                failed.append(error)
            else:
                (served if status in (200, 303) else failed).append(status)

    visitors = [
        threading.Thread(target=visit, args=one) for one in (("GET", "/"), ("POST", "/sign"), ("GET", "/entries/"))
    ]
    for one in visitors:
        one.start()
    try:
        for _ in range(2):
            before = len(served)
            assert world.daemon.ctl("reload", "main").returncode == 0
            wait_for(lambda before=before: failed or len(served) > before + 50, what="visitors")  # type: ignore[misc]  # mypy infers no defaults
    finally:
        over.set()
        for one in visitors:
            one.join()
    assert not failed


@pytest.mark.parametrize("server", SERVERS)
def test_an_ini_is_read_without_a_daemon_and_gives_the_same(world: World, server: str) -> None:
    program = str(world.daemon.programs / "emperorctl")
    done = people.current().run(program, "--control-socket", "/nowhere", server, str(world.main.ini), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == world.printed(server, "main")


def test_owners_see_their_own_and_strangers_nothing(world: World) -> None:
    assert world.daemon.ctl("nginx", "shop", person=world.users.alice).returncode == 0
    refused = world.daemon.ctl("nginx", "shop", person=world.users.bob)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert world.daemon.ctl("nginx", "nobodys").returncode == 6


def test_what_the_daemon_tells_is_without_the_environment(world: World) -> None:
    (reply,) = client.call(str(world.daemon.control), Request("spec", ("main",)), 10)
    assert reply["ok"] and reply["data"]["env"] == []
    assert "env = IMPORTS=" in world.main.ini.read_text()


def test_an_ini_that_is_invalid_has_no_configuration(world: World) -> None:
    broken = world.daemon.place("broken").write(uid="nobody-of-that-name")
    broken.state("INVALID")
    done = world.daemon.ctl("nginx", "broken")
    assert (done.returncode, done.stdout) == (6, "") and "invalid" in done.stderr
    assert world.daemon.ctl("nginx", str(broken.ini)).returncode == 6
    broken.ini.unlink()


def test_a_socket_that_shuts_the_web_server_out_is_said(world: World) -> None:
    shut = world.daemon.add("shut", chmod_socket="600")
    shut.running()
    done = world.daemon.ctl("nginx", "shut")
    assert done.returncode == 0
    assert "www-data may not connect" in done.stderr and "# NOTE: the socket's mode is 600" in done.stdout
    shut.ini.unlink()
