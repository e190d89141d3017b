"""What is broken, removed or changed at a bad moment costs nobody else anything, and is mended by the next good one."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.intruder import place, refused
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "useradd")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    """Not started."""
    return emperor()


@pytest.fixture(params=["emperor", "vassal"])
def site(request: pytest.FixtureRequest, daemon: Emperor, users: Users) -> Vassal:
    """It runs; its socket is bound by the emperor, or by itself in its user's folder."""
    named: dict[str, Any] = {} if request.param == "emperor" else {"socket": users.alice.home / f"{os.getpid()}.sock"}
    vassal = daemon.add("site", **named)
    daemon.start()
    vassal.running()
    return vassal


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_socket_file_that_somebody_removed_is_back_after_a_restart(site: Vassal) -> None:
    Path(site.socket).unlink()
    assert site.emperor.ctl("restart", "site").returncode == 0
    assert site.get().status == 200


def test_another_mode_waits_for_an_app_that_serves(site: Vassal) -> None:
    row, before = site.row(), mode(site.socket)
    assert before != 0o600
    site.app("broken_import.py")
    site.write(chmod_socket="600")
    site.until(lambda now: "a_module_that_nobody_has" in (now["error"] or ""), "the new version fails to start")
    assert mode(site.socket) == before
    assert site.get().status == 200
    site.app("facts.py")
    site.write(chmod_socket="640")
    site.replaced(row)
    assert mode(site.socket) == 0o640


def test_the_old_one_killed_while_a_broken_version_starts_brings_the_proven_one_back(
    daemon: Emperor, users: Users
) -> None:
    site = daemon.add("site")
    daemon.start()
    row = site.running()
    going = site.folder / "going"
    bad = f"import os, time\nwhile not os.path.exists({str(going)!r}): time.sleep(0.01)\n1 / 0\n"
    (site.folder / "bad.py").write_text(bad)
    site.write(wsgi_file="bad.py")
    site.state("RELOADING")
    os.kill(row["pid"], signal.SIGKILL)
    site.state("STARTING")
    going.touch()
    now = site.replaced(row)
    assert site.get().status == 200
    assert "ZeroDivisionError" in now["error"]


def test_one_that_cannot_even_be_started_keeps_nobody_of_its_round_from_starting(daemon: Emperor) -> None:
    """A name that Python's resolver raises for, since its first label is too long (RFC 1035, 2.3.4)."""
    sites = [daemon.add(name) for name in ("a", "z")]
    ill = daemon.add("m", socket=f"{'m' * 64}.example:8000")
    daemon.start()
    for one in sites:
        one.running()
        assert one.get().status == 200
    refused(ill)
    assert daemon.ctl("stop", "m").returncode == 0


def test_an_app_that_opens_its_stderr_by_name_may(daemon: Emperor, users: Users) -> None:
    """The pipe was made by root, and opening it anew is judged by who owns it."""
    site = daemon.place("site", users.alice)
    (site.folder / "named.py").write_text(
        "for name in ('stderr', 'stdout'):\n"
        "    with open(f'/dev/{name}', 'w') as file:\n"
        "        print(f'{name} by its name', file=file)\n"
        "from app import application\n"
    )
    site.write(wsgi_file="named.py", pythonpath=site.folder)
    daemon.start()
    site.running()
    for name in ("stderr", "stdout"):
        daemon.wait_for_log(f"site| {name} by its name")


def test_she_sees_what_is_wrong_with_an_ini_that_was_never_valid(daemon: Emperor, users: Users) -> None:
    vassal = place(daemon, users, daemon.vassals, processes="zero")
    his = daemon.add("his", users.bob)
    daemon.start()
    vassal.state("INVALID"), his.running()
    done = daemon.ctl("status", "hers", person=users.alice)
    assert "processes" in done.stdout and "INVALID" in done.stdout
    everything = daemon.ctl("status", person=users.alice).stdout
    assert "hers" in everything and "his" not in everything
    assert "processes" not in daemon.ctl("status", "hers", person=users.bob).stdout
