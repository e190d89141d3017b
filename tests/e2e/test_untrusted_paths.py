"""Who binds, who opens? Each row of the table, with somebody who aims at the folders of root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, chown
from tests.e2e.harness.intruder import SECRET, canary, place, refused
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "useradd")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    """Not started."""
    return emperor()


@pytest.fixture
def hers(daemon: Emperor, users: Users) -> Path:
    """A vassals folder of alice's own."""
    folder = daemon.root / "alices.d"
    folder.mkdir(mode=0o755)
    return chown(folder, users.alice)


@pytest.fixture
def roots(daemon: Emperor) -> Path:
    """A folder that only root can write, and nobody else read."""
    folder = daemon.root / "roots"
    folder.mkdir(mode=0o700)
    return folder


def test_her_socket_cannot_be_bound_in_roots_folder(daemon: Emperor, users: Users, hers: Path, roots: Path) -> None:
    roots.chmod(0o755)
    vassal = place(daemon, users, hers, socket=roots / "evil.sock")
    daemon.start(folders=[daemon.vassals, hers])
    refused(vassal)
    assert list(roots.iterdir()) == []


def test_her_socket_cannot_replace_a_file(daemon: Emperor, users: Users, hers: Path, roots: Path) -> None:
    precious = roots / "precious"
    precious.write_text(SECRET)
    link = hers / "a.sock"
    users.alice.run("ln", "-s", str(precious), str(link))
    vassal = place(daemon, users, hers, socket=link)
    daemon.start(folders=[daemon.vassals, hers])
    vassal.state("RUNNING", "INVALID", "BACKOFF", "FATAL")
    assert precious.read_text() == SECRET
    assert daemon.stop() == 0
    assert precious.read_text() == SECRET


def test_a_regular_file_at_the_sockets_path_is_not_deleted(daemon: Emperor) -> None:
    path = daemon.run / "precious"
    path.write_text(SECRET)
    vassal = daemon.add("site", socket=path)
    daemon.start()
    refused(vassal)
    assert path.read_text() == SECRET


def test_no_folder_is_made_for_her_socket(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = place(daemon, users, hers, socket=daemon.root / "new/a.sock")
    daemon.start(folders=[hers])
    refused(vassal)
    assert not (daemon.root / "new").exists()


def test_her_socket_in_her_folder_is_bound_by_her(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = place(daemon, users, hers, socket=hers / "a.sock")
    daemon.start(folders=[hers])
    vassal.running()
    assert vassal.get().status == 200
    assert os.stat(hers / "a.sock").st_uid == users.alice.uid


def test_roots_ini_with_a_socket_in_her_folder_is_bound_by_her(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = daemon.add("site", users.alice, socket=hers / "a.sock")
    daemon.start()
    vassal.running()
    assert os.stat(hers / "a.sock").st_uid == users.alice.uid


def test_her_low_port_is_refused(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = place(daemon, users, hers, socket="127.0.0.1:81")
    daemon.start(folders=[hers])
    refused(vassal)


def test_her_log_cannot_be_opened_in_roots_folder(daemon: Emperor, users: Users, hers: Path, roots: Path) -> None:
    roots.chmod(0o755)
    vassal = place(daemon, users, hers, logto=roots / "evil.log")
    daemon.start(folders=[daemon.vassals, hers])
    vassal.state("RUNNING", "INVALID", "BACKOFF", "FATAL")
    canary(daemon)
    assert list(roots.iterdir()) == []


def test_her_log_cannot_be_a_link_to_a_file_of_roots(daemon: Emperor, users: Users, hers: Path, roots: Path) -> None:
    precious = roots / "precious"
    precious.write_text(SECRET)
    users.alice.run("ln", "-s", str(precious), str(hers / "a.log"))
    vassal = daemon.add("site", users.alice, logto=hers / "a.log")
    daemon.start()
    vassal.state("RUNNING", "INVALID", "BACKOFF", "FATAL")
    canary(daemon)
    assert precious.read_text() == SECRET


def test_a_log_in_her_folder_is_written_as_her(daemon: Emperor, users: Users, hers: Path) -> None:
    vassal = daemon.add("site", users.alice, logto=hers / "a.log")
    daemon.start()
    vassal.running()
    vassal.get("/say?a-line-for-the-log")
    log = hers / "a.log"
    wait_for(lambda: log.exists() and log.read_text(), lambda text: "errors: a-line-for-the-log" in str(text))
    assert os.stat(log).st_uid == users.alice.uid


def test_a_log_in_roots_folder_is_opened_by_root_for_roots_ini(daemon: Emperor, users: Users, roots: Path) -> None:
    vassal = daemon.add("site", users.alice, logto=roots / "a.log")
    daemon.start()
    vassal.running()
    vassal.get("/say?a-line-for-the-log")
    log = roots / "a.log"
    wait_for(lambda: log.exists() and log.read_text(), lambda text: "errors: a-line-for-the-log" in str(text))
    assert os.stat(log).st_uid == 0
