"""``emperor run`` started by mod_fcgid, lighttpd's bin-path and spawn-fcgi: on their socket, in one process."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import procfs, starters
from tests.e2e.harness.daemon import APPS, ini
from tests.e2e.harness.starters import SpawnFcgi, Starter, apache, lighttpd
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv")

Kind = Callable[[Path], Starter]

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"

KINDS = [
    pytest.param(lambda folder: apache(folder, starters.SCRIPT), id="apache-script", marks=needs("apache")),
    pytest.param(lambda folder: apache(folder, starters.WRAPPER), id="apache-wrapper", marks=needs("apache")),
    pytest.param(lambda folder: apache(folder, starters.VIRTUAL), id="apache-virtual", marks=needs("apache")),
    pytest.param(lambda folder: lighttpd(folder, 1), id="lighttpd-1", marks=needs("lighttpd")),
    pytest.param(lambda folder: lighttpd(folder, 2), id="lighttpd-2", marks=needs("lighttpd")),
    pytest.param(
        lambda folder: SpawnFcgi(folder, ["-u", "www-data"]), id="spawn-fcgi", marks=needs("spawn-fcgi", "nginx")
    ),
    pytest.param(lambda folder: SpawnFcgi(folder, []), id="spawn-fcgi-root", marks=needs("spawn-fcgi", "nginx")),
]


class Site:
    """An app at the root and below a prefix, not yet started."""

    def __init__(self, folder: Path, emperor: Path, starter: Starter) -> None:
        self.folder = folder
        self.starter = starter
        self._emperor = emperor
        shutil.copy(APPS / "facts.py", folder / "wsgi.py")
        self.signs = folder / "signs"
        self.signs.mkdir()
        shutil.chown(self.signs, "www-data")

    def command(self, name: str, **options: object) -> str:
        path = self.folder / f"{name}.ini"
        path.write_text(ini(**{"wsgi_file": "wsgi.py", "uid": "www-data", **options}))
        return f"{self._emperor} run {path}"

    def start(self, **options: object) -> Site:
        """``options``: for both."""
        self.starter.start(
            {
                "/": self.command("root", script_name="/", **options),
                starters.PREFIX: self.command("shop", script_name=starters.PREFIX, **options),
            }
        )
        return self

    def facts(self, path: str = "/facts") -> Any:
        return self.starter.get(path).json


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, folder: Path, emperor_venv: Path) -> Iterator[Site]:
    with ExitStack() as ends:
        starter = request.param(folder / "web")
        ends.callback(lambda: print(starter.error_log()))
        ends.callback(starter.sweep)
        yield Site(folder, emperor_venv / "bin/emperor", starter)


def test_the_app_is_served_at_the_root_and_below_a_prefix(site: Site) -> None:
    site.start()
    for prefix in ("", starters.PREFIX):
        environ = site.facts(f"{prefix}/facts?a=1")["environ"]
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (prefix, "/facts")
        assert environ["QUERY_STRING"] == "a=1"
        assert environ["wsgi.multiprocess"] is True


def test_a_body_arrives_whole(site: Site) -> None:
    site.start()
    body = os.urandom(300_000)
    answer = site.starter.get("/echo", body).json
    assert answer == {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}


def test_it_is_one_process_of_the_web_servers_user_without_children(site: Site) -> None:
    site.start(socket=site.folder / "never.sock", processes=3)
    facts = site.facts()
    pid, web = facts["pid"], pwd.getpwnam("www-data")
    assert procfs.children(pid) == []
    python, launcher, name, paper = procfs.command(pid)
    assert python.endswith("/bin/python") or python.endswith("/bin/python3"), python
    assert (Path(launcher).name, name) == ("launch_lone.py", "root")
    assert paper.isdigit()
    assert procfs.uids(pid) == [web.pw_uid] * 4
    assert procfs.gids(pid) == [web.pw_gid] * 4
    assert not any(procfs.capabilities(pid).values())
    assert procfs.status(pid)["NoNewPrivs"] == "1"
    assert facts["os_environ"]["HOME"] == web.pw_dir
    assert not (site.folder / "never.sock").exists()
    log = site.starter.error_log()
    assert "socket: not bound: the web server handed its own over as descriptor 0" in log
    assert "processes: ignored: the web server decides how many" in log


def test_descriptors_of_the_web_servers_are_kept_from_the_app(site: Site) -> None:
    site.start()
    found = procfs.descriptors(site.facts()["pid"])
    assert found[0] == "/dev/null"
    assert len([one for one in found.values() if one.startswith("socket:")]) <= 2, "its listener, a connection"
    # Both ends of a pipe that is ours are here.
    pipes = [target for fd, target in found.items() if fd > 2 and target.startswith("pipe:")]
    assert [one for one in pipes if pipes.count(one) != 2] == []


def test_an_exception_is_a_500_and_its_traceback_stands_in_the_error_log(site: Site) -> None:
    site.start()
    assert site.starter.get("/fail").status == 500
    wait_for(site.starter.error_log, lambda text: "RuntimeError: asked to fail" in text, "the traceback")
    assert "Traceback (most recent call last)" in site.starter.error_log()
    assert site.starter.get("/facts").status == 200


def test_what_the_app_prints_stands_in_the_error_log(site: Site) -> None:
    site.start()
    site.starter.get("/say?hear-me")
    wait_for(site.starter.error_log, lambda text: "stdout: hear-me" in text and "errors: hear-me" in text)


def test_term_lets_a_request_in_flight_finish(site: Site) -> None:
    site.start()
    with ThreadPoolExecutor(1) as pool:
        visit = pool.submit(site.starter.get, f"/hold?{site.signs}")
        pid = int(wait_for(lambda: _text(site.signs / "started"), what="a request in flight"))
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: _has_heard(pid), what="TERM has arrived")
        assert procfs.alive(pid)
        (site.signs / "go").touch()
        assert visit.result().json == {"held": pid}
    wait_for(lambda: not procfs.alive(pid), what="it has ended")


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _has_heard(pid: int) -> bool:
    """TERM is not pending any more."""
    status = procfs.status(pid)
    pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return not pending & 1 << signal.SIGTERM - 1


def test_the_web_servers_end_ends_it(site: Site) -> None:
    site.start()
    site.facts()
    pids = site.starter.servers()
    assert pids
    site.starter.stop()
    wait_for(lambda: [pid for pid in pids if procfs.alive(pid)], lambda left: not left, "all have ended")


def test_an_app_that_cannot_be_imported_shows_its_traceback_in_the_error_log(site: Site) -> None:
    shutil.copy(APPS / "broken_import.py", site.folder / "wsgi.py")
    site.start()
    assert site.starter.get("/").status in (500, 502, 503)
    log = wait_for(site.starter.error_log, lambda text: "emperorctl check --import" in text, "the traceback")
    assert "emperor run: root: the app cannot be imported: ModuleNotFoundError" in log
    assert "import a_module_that_nobody_has" in log


@needs("lighttpd")
@pytest.mark.parametrize("procs", [1, 3])
def test_lighttpds_max_procs_is_how_many_there_are(folder: Path, emperor_venv: Path, procs: int) -> None:
    starter = lighttpd(folder / "web", procs)
    site = Site(folder, emperor_venv / "bin/emperor", starter)
    try:
        starter.start({"/": site.command("root", script_name="/")})
        wait_for(starter.servers, lambda pids: len(pids) == procs, "as many as wanted")
        site.facts()
        assert len(starter.servers()) == procs
    finally:
        starter.sweep()


@needs("lighttpd")
def test_a_user_that_it_cannot_become_is_a_warning(folder: Path, emperor_venv: Path) -> None:
    starter = lighttpd(folder / "web", 1)
    site = Site(folder, emperor_venv / "bin/emperor", starter)
    try:
        starter.start({"/": site.command("root", uid="nobody")})
        assert site.facts()["uids"] == [pwd.getpwnam("www-data").pw_uid] * 3
        assert "root: uid: ignored: the web server runs this process as www-data" in starter.error_log()
    finally:
        starter.sweep()


def _contributed(name: str, folder: Path, emperor_venv: Path) -> str:
    """An example of ours with its paths changed, and nothing else."""
    shutil.copy(APPS / "facts.py", folder / "app.py")
    (folder / "blog.ini").write_text(ini(chdir=folder, wsgi_file="app.py", script_name="/"))
    text = (CONTRIB / name).read_text()
    paths = {
        "/usr/local/bin/emperor": f"{emperor_venv}/bin/emperor",
        "/etc/emperor/blog.ini": f"{folder}/blog.ini",
        "/run/lighttpd/blog.sock": f"{folder}/web/ipc/blog.sock",
        "/srv/blog/venv": str(emperor_venv),
        "/srv/blog": str(folder),
    }
    for old, new in paths.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "kind, name",
    [
        pytest.param(lambda folder: apache(folder, "{command}"), "apache/mod_fcgid.conf", marks=needs("apache")),
        pytest.param(lambda folder: lighttpd(folder, 1), "lighttpd/bin-path.conf", marks=needs("lighttpd")),
    ],
)
def test_the_contributed_configurations_serve(kind: Kind, name: str, folder: Path, emperor_venv: Path) -> None:
    starter = kind(folder / "web")
    extra = folder / "extra.conf"
    extra.write_text(_contributed(name, folder, emperor_venv))
    try:
        starter.start({}, include=extra)
        environ = starter.get("/facts", headers={"Authorization": "Basic YTpi"}).json["environ"]
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/facts")
        assert environ["HTTP_AUTHORIZATION"] == "Basic YTpi"
        body = os.urandom(300_000)
        assert starter.get("/echo", body).json["sha256"] == hashlib.sha256(body).hexdigest()
    finally:
        starter.sweep()


@needs("apache")
def test_the_contributed_script_serves(folder: Path, emperor_venv: Path) -> None:
    starter = apache(folder / "web", starters.SCRIPT)
    try:
        starter.start({"/blog": "true"})
        (folder / "web/www/blog.fcgi").write_text(_contributed("apache/app.fcgi", folder, emperor_venv))
        environ = starter.get("/blog/facts").json["environ"]
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/blog", "/facts")
    finally:
        starter.sweep()


@needs("apache")
def test_a_python_file_whose_first_line_names_us_is_an_app(folder: Path, emperor_venv: Path) -> None:
    starter = apache(folder / "web", starters.SCRIPT)
    try:
        starter.start({"/": "true"})
        first = f"#!/usr/bin/env -S {emperor_venv}/bin/emperor run --wsgi-file\n"
        script = folder / "web/www/root.fcgi"
        script.write_text(first + (APPS / "facts.py").read_text())
        assert starter.get("/facts").json["environ"]["PATH_INFO"] == "/facts"
    finally:
        starter.sweep()
