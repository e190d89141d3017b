"""A daemon that is killed and started again finds its listeners, and whoever waited is served."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import people
from tests.e2e.harness.daemon import Emperor, chown
from tests.e2e.harness.fdstore import FdStore
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "useradd")


@pytest.fixture
def store(folder: Path, emperor_venv: Path) -> Iterator[FdStore]:
    store = FdStore(folder / "systemd", emperor_venv / "bin")
    yield store
    store.close()


@pytest.fixture
def daemon(store: FdStore, folder: Path, users: Users) -> Iterator[Emperor]:
    daemon = Emperor(store.programs, folder / "e", people.current(), users.alice)
    yield daemon
    daemon.dispose()


def start(daemon: Emperor, store: FdStore) -> None:
    daemon.start(**store.environ)


@pytest.mark.parametrize("who", ["emperor", "vassal"])
def test_a_killed_emperor_refuses_nobody(daemon: Emperor, store: FdStore, users: Users, who: str) -> None:
    start(daemon, store)
    room = daemon.root / "room"
    room.mkdir(mode=0o755)
    if who == "vassal":
        chown(room, users.alice)
    site = daemon.add("site", socket=room / "site.sock")
    row = site.running()
    stored, inode = store.names, os.stat(site.socket).st_ino
    assert len(stored) == 1 and stored[0].startswith(f"emperor.1/site/{who}/")
    with site.crowd() as crowd:
        wait_for(lambda: crowd.answered > 5, what="answers")
        for _ in range(3):
            daemon.kill()
            start(daemon, store)
            row = site.replaced(row)
            more = range(crowd.answered + 5)
            wait_for(lambda more=more: crowd.answered not in more, what="answers again")
    assert crowd.refused == crowd.lost == []
    assert store.names == stored and os.stat(site.socket).st_ino == inode
    assert site.row()["sockets"][0]["mode"] == "0660"
    assert daemon.stop() == 0
    assert store.names == [] and os.listdir(room) == []


def test_what_nobody_wants_any_more_is_let_go(daemon: Emperor, store: FdStore) -> None:
    start(daemon, store)
    site = daemon.add("site")
    site.running()
    assert len(store.names) == 1
    daemon.kill()
    site.ini.unlink()
    start(daemon, store)
    wait_for(lambda: store.names, lambda names: not names, "nothing is kept")
    assert not os.path.exists(site.socket)


def test_a_socket_of_systemds_is_served_and_left_as_it_is(daemon: Emperor, store: FdStore) -> None:
    path = daemon.root / "unit.sock"
    with socket.socket(socket.AF_UNIX) as unit:
        unit.bind(str(path))
        unit.listen()
        store.add("site.socket", unit)
    path.chmod(0o606)
    start(daemon, store)
    site = daemon.add("site", socket=path)
    site.running()
    assert site.get().status == 200
    site.ini.unlink()
    daemon.wait_for(lambda rows: not rows, "it is gone")
    early = site.visitor()
    site.write().running()
    assert early.answer().status == 200
    assert daemon.stop() == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o606
    assert store.names == ["site.socket"]
