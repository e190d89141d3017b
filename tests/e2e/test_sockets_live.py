"""What an ini says of its sockets holds from the next reload on, and a socket file that is gone comes back."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from emperor.protocol import uwsgi
from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal, chown
from tests.e2e.harness.hostile import answers_soon, hostile
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import connect, params
from tests.requirements import needs

pytestmark = needs("root", "useradd")

EVERY = 5.0
"""Seconds between two looks of the emperor at socket files."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def rooms(daemon: Emperor, users: Users) -> dict[str, Path]:
    """Who binds there: the emperor in a folder of root's, the vassal in one of alice's."""
    found = {"emperor": daemon.root / "sockets", "vassal": daemon.root / "hers"}
    for folder in found.values():
        folder.mkdir(mode=0o755)
    chown(found["vassal"], users.alice)
    return found


def site_in(daemon: Emperor, folder: Path, **options: object) -> tuple[Vassal, dict[str, Any]]:
    site = daemon.add("site", env=None, socket=folder / "site.sock", **options)
    return site, site.running()


def busy(site: Vassal, name: str = "held") -> tuple[Any, Path]:
    """Its only thread has a request in hand until the file is there."""
    folder = site.folder / name
    folder.mkdir()
    folder.chmod(0o777)
    visitor = site.visitor(f"/hold?{folder}")
    wait_for((folder / "started").exists, what="a request in flight")
    return visitor, folder / "go"


def answered(early: socket.socket) -> dict[str, Any]:
    """Of a client that had connected before something happened, and asks now."""
    with early:
        early.sendall(uwsgi.encode_request(params("/facts")))
        raw = b"".join(iter(lambda: early.recv(65536), b""))
    told: dict[str, Any] = json.loads(raw.partition(b"\r\n\r\n")[2])
    return told


# Another user, group or protocol ----------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", ["uid", "gid", "both"])
def test_another_user_or_group_is_applied_and_refuses_nobody(
    daemon: Emperor, users: Users, rooms: dict[str, Path], changed: str
) -> None:
    site, row = site_in(daemon, rooms["emperor"], chmod_socket="600", processes=2)
    uid = users.alice.uid if changed == "gid" else users.bob.uid
    gid = users.alice.gid if changed == "uid" else users.bob.gid
    with site.crowd() as crowd:
        wait_for(lambda: crowd.answered > 5, what="answers")
        site.write(uid=uid, gid=gid)
        fresh = site.replaced(row)
        seen = crowd.answered
        wait_for(lambda: crowd.answered > seen + 5, what="answers of the new generation")
    assert crowd.refused == crowd.lost == []
    told = site.get().json
    assert (told["uids"][0], told["gids"][0]) == (uid, gid) == (fresh["uid"], fresh["gid"])
    there = os.stat(site.socket)
    assert (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (uid, gid, 0o600)
    assert os.listdir(rooms["emperor"]) == ["site.sock"]


def test_the_old_users_processes_get_no_new_clients_and_their_waiting_ones_are_served(
    daemon: Emperor, users: Users, rooms: dict[str, Path]
) -> None:
    site, row = site_in(daemon, rooms["emperor"])
    first, go = busy(site)
    early = connect(site.socket)
    site.write(uid=users.bob.uid, gid=users.bob.gid)
    assert answered(early)["uids"][0] == users.bob.uid
    site.until(lambda now: now["pid"] != row["pid"], "the new generation")
    assert first.waits
    assert {site.get().json["uids"][0] for _ in range(30)} == {users.bob.uid}
    go.touch()
    assert first.answer().json["held"] in {worker["pid"] for worker in row["workers"]}


def test_another_protocol_on_the_same_path_is_applied_and_who_waits_is_answered_in_the_old_one(
    daemon: Emperor, rooms: dict[str, Path]
) -> None:
    site, row = site_in(daemon, rooms["emperor"])
    first, go = busy(site)
    early = connect(site.socket)
    site.write(protocol="fastcgi")
    assert answered(early)
    fresh = site.until(lambda now: now["pid"] != row["pid"], "the new generation")
    assert [one["protocol"] for one in fresh["sockets"]] == ["fastcgi"]
    assert first.waits
    site.protocol = "fastcgi"
    assert [site.get().status for _ in range(20)] == [200] * 20
    go.touch()
    assert first.answer().status == 200


def test_a_new_user_whose_generation_fails_changes_nothing(
    daemon: Emperor, users: Users, rooms: dict[str, Path]
) -> None:
    site, row = site_in(daemon, rooms["emperor"])
    inode = os.stat(site.socket).st_ino
    with site.crowd() as crowd:
        (site.folder / "app.py").write_text("raise RuntimeError('broken')")
        site.write(uid=users.bob.uid, gid=users.bob.gid)
        site.until(lambda now: "broken" in (now["error"] or ""), "the error")
        seen = crowd.answered
        wait_for(lambda: crowd.answered > seen + 5, what="answers of the old generation")
    assert crowd.refused == crowd.lost == []
    assert site.row()["pid"] == row["pid"]
    assert os.stat(site.socket).st_ino == inode
    assert os.listdir(rooms["emperor"]) == ["site.sock"]


# Another address, mode or owner -----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["emperor", "vassal"])
def test_another_address_is_bound_and_the_old_one_removed(daemon: Emperor, rooms: dict[str, Path], who: str) -> None:
    site, row = site_in(daemon, rooms[who])
    old = site.socket
    site.write(socket=rooms[who] / "other.sock")
    assert site.replaced(row)["sockets"][0]["address"] == site.socket
    assert site.get().status == 200
    wait_for(lambda: os.path.exists(old), lambda there: not there, "the old file is gone")


MODES = {
    "mode": ({"chmod_socket": "666"}, 0o666),
    "umask": ({"socket_umask": "027"}, 0o750),
    "the process's umask": ({"chown_socket": "{alice}", "umask": "007"}, 0o770),
}


@pytest.mark.parametrize("who", ["emperor", "vassal"])
@pytest.mark.parametrize("change", MODES)
def test_another_mode_is_applied_and_shown(
    daemon: Emperor, users: Users, rooms: dict[str, Path], who: str, change: str
) -> None:
    options, mode = MODES[change]
    site, row = site_in(daemon, rooms[who], chmod_socket="600")
    named = {key: str(value).format(alice=users.alice.name) if value else None for key, value in options.items()}
    with site.crowd() as crowd:
        site.write(**{"chmod_socket": None, **named})
        site.replaced(row)
    assert crowd.refused == crowd.lost == []
    assert stat.S_IMODE(os.stat(site.socket).st_mode) == mode
    site.until(lambda now: now["sockets"][0]["mode"] == f"{mode:04o}", "the mode that it shows")


def test_another_owner_is_applied_and_shown(daemon: Emperor, users: Users, rooms: dict[str, Path]) -> None:
    site, row = site_in(daemon, rooms["emperor"])
    site.write(chown_socket=f"{users.bob.name}:{users.bob.name}")
    [shown] = site.replaced(row)["sockets"]
    there = os.stat(site.socket)
    assert (there.st_uid, there.st_gid) == (users.bob.uid, users.bob.gid) == (shown["owner"], shown["group"])


@pytest.mark.parametrize("who", ["emperor", "vassal"])
def test_another_log_is_written_from_the_reload_on(daemon: Emperor, rooms: dict[str, Path], who: str) -> None:
    logs = [rooms[who] / "one.log", rooms[who] / "two.log"]
    site, row = site_in(daemon, rooms["emperor"], logto=logs[0])
    source = site.folder / "app.py"
    source.write_text(source.read_text().replace("def facts(environ):", "def facts(environ):\n    print('a new line')"))
    site.write(logto=logs[1])
    site.replaced(row)
    site.get()
    wait_for(lambda: logs[1].read_text(), lambda text: "a new line" in text, "lines in the new log")
    assert "a new line" not in logs[0].read_text()


# A file that is gone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["emperor", "vassal"])
def test_a_removed_file_is_noticed_without_a_word_and_bound_again(
    daemon: Emperor, rooms: dict[str, Path], who: str
) -> None:
    site, row = site_in(daemon, rooms[who])
    first, go = busy(site)
    early = connect(site.socket)
    os.unlink(site.socket)
    daemon.wait_for_log(f"{site.socket}: its file was removed -- bound again")
    assert answered(early), "it came before the file was removed"
    site.until(lambda now: now["pid"] != row["pid"], "a new generation")
    assert site.get().status == 200
    go.touch()
    assert first.answer().status == 200
    fresh = site.replaced(row)
    os.unlink(site.socket)
    site.replaced(fresh)
    assert site.get().status == 200


def test_what_has_taken_its_place_is_left_alone_until_it_is_gone(daemon: Emperor, rooms: dict[str, Path]) -> None:
    site, row = site_in(daemon, rooms["emperor"])
    path = Path(site.socket)
    path.unlink()
    path.write_text("precious")
    site.until(lambda now: "a regular file is there" in (now["error"] or ""), "the error")
    assert site.row()["pid"] == row["pid"]
    assert path.read_text() == "precious"
    path.unlink()
    site.replaced(row)
    assert site.get().status == 200


def test_one_that_says_for_ever_that_its_file_is_gone_is_reloaded_now_and_then(
    daemon: Emperor, users: Users, rooms: dict[str, Path]
) -> None:
    """It may cost no more than its owner's touching the ini."""
    other, row = site_in(daemon, rooms["emperor"])
    vassal = hostile(daemon, users, "loses", socket=rooms["vassal"] / "hers.sock")
    first = vassal.running()
    began = time.monotonic()
    vassal.until(lambda now: now["generation"] >= first["generation"] + 3, "three reloads")
    assert time.monotonic() - began > 2 * EVERY - 1
    answers_soon(daemon)
    assert other.row()["pid"] == row["pid"] and other.get().status == 200
    assert len(daemon.log_text.splitlines()) < 40
