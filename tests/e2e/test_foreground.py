"""``emperor run``: one app in the foreground, by an ini or by uWSGI's command line."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import APPS, ini
from tests.e2e.harness.launching import Launch
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import Visitor, request
from tests.requirements import needs


@pytest.fixture
def run(launch: Launch) -> Launch:
    """Starts ``emperor run …``."""
    return partial(launch, "run")


def serves(process: subprocess.Popen[bytes], address: object) -> dict[str, Any]:
    """The facts, once it answers."""

    def look() -> dict[str, Any]:
        assert process.poll() is None, "it is gone"
        try:
            facts: dict[str, Any] = request(str(address)).json
        except OSError:
            return {}
        return facts

    return wait_for(look, what="an answer")


def test_an_ini_is_served_until_term(run: Launch, home: Path, someone: Person) -> None:
    address = home / "a.sock"
    (home / "site.ini").write_text(ini(socket=address, wsgi_file="wsgi.py", chdir=home, processes=2, env="NAME=%n"))
    process = run(home / "site.ini")
    facts = serves(process, address)
    assert facts["uids"] == [someone.uid] * 3
    assert facts["os_environ"]["NAME"] == "site"
    below = procfs.descendants(process.pid)
    assert len(below) >= 2
    process.terminate()
    assert process.wait(20) == 0
    assert not address.exists()
    assert not [pid for pid in below if procfs.alive(pid)]


@pytest.mark.parametrize("app", ["wsgi.py", "missing.py"])
def test_a_unit_of_type_notify_hears_when_the_app_serves(run: Launch, home: Path, app: str) -> None:
    (home / "site.ini").write_text(ini(socket=home / "a.sock", wsgi_file=app, chdir=home))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(home / "notify"))
        (home / "notify").chmod(0o666)
        manager.settimeout(20)
        process = run(home / "site.ini", NOTIFY_SOCKET=str(home / "notify"))
        said: list[bytes] = []
        while not {b"READY=1", b"STOPPING=1"} & set(said):
            said += manager.recv(4096).split(b"\n")
        assert (b"READY=1" in said) is (app == "wsgi.py")
        if app == "wsgi.py":
            assert request(str(home / "a.sock")).status == 200
            process.terminate()
        assert process.wait(20) == (0 if app == "wsgi.py" else 1)


def test_term_lets_a_request_in_flight_finish(run: Launch, home: Path, someone: Person) -> None:
    address = home / "a.sock"
    process = run("--socket", address, "--wsgi-file", "wsgi.py")
    serves(process, address)
    visitor = Visitor(str(address), f"/hold?{home}")
    wait_for((home / "started").exists, what="a request in flight")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: visitor.waits)
    (home / "go").touch()
    assert visitor.answer().status == 200
    assert process.wait(20) == 0


def test_uwsgis_command_line(run: Launch, home: Path) -> None:
    address = home / "a.sock"
    process = run(
        "--enable-threads",
        "--plugin=python3",
        "-s",
        address,
        "--manage-script-name",
        "--mount",
        "/=wsgi:application",
    )
    assert serves(process, address)["cwd"] == str(home)


def test_module_and_chmod_on_the_command_line(run: Launch, home: Path) -> None:
    address = home / "a.sock"
    process = run("-s", address, "--module", "wsgi", "--chmod-socket=666", "--processes", "2", "--master")
    facts = serves(process, address)
    assert os.stat(address).st_mode & 0o777 == 0o666
    assert facts["environ"]["wsgi.multiprocess"] is True


@needs("root")
def test_as_root_it_drops_to_the_named_user_and_group(
    run: Launch, folder: Path, users: Users, emperor_venv: Path
) -> None:
    place = folder / "run"
    place.mkdir(mode=0o755)
    os.chown(folder, 0, 0)
    address = place / "simple.sock"
    process = run(
        *(
            "--enable-threads",
            "--plugin=python3",
            "-s",
            address,
            "--manage-script-name",
            "--mount",
            "/=wsgi:application",
        ),
        *("--uid", users.bob.name, "--gid", "www-data", "--chmod-socket=020"),
        person=people.current(),
    )
    facts = serves(process, address)
    assert facts["uids"] == [users.bob.uid] * 3
    assert facts["gids"] == [33] * 3
    about = os.stat(address)
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (users.bob.uid, 33, 0o020)
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("words", [["--no-such-option"], [], ["gone.ini"]])
def test_what_cannot_be_run_exits_at_once(run: Launch, words: list[str]) -> None:
    assert run(*words).wait(20) in (1, 2)


def test_an_app_that_cannot_be_imported_shows_its_traceback(run: Launch, home: Path) -> None:
    shutil.copy(APPS / "broken_import.py", home / "broken.py")
    run("-s", home / "a.sock", "--wsgi-file", "broken.py")
    log = home / "log"
    wait_for(log.read_text, lambda text: "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in text)
    assert "Traceback (most recent call last)" in log.read_text()


@needs("root")
@pytest.mark.parametrize("more, uid", [((), 33), (("--allow-root",), 0)])
def test_roots_app_without_a_user_is_the_web_users_unless_root_is_allowed(
    run: Launch, folder: Path, more: tuple[str, ...], uid: int
) -> None:
    os.chown(folder, 0, 0)
    place = folder / "run"
    place.mkdir(mode=0o755)
    address = place / "a.sock"
    process = run("-s", address, "--wsgi-file", "wsgi.py", *more, person=people.current())
    assert serves(process, address)["uids"] == [uid] * 3
