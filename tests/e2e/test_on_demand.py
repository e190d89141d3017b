"""Apps that sleep: nobody runs until somebody connects, who is answered; after a while without requests nobody runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchmarks.front import free_port
from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import FASTCGI_KEPT, get
from tests.e2e.harness.wire import connect, request
from tests.requirements import needs

SOON = 0.5
"""The shortest ``idle`` of these tests."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def asleep(vassal: Vassal) -> None:
    row = vassal.state("IDLE")
    assert (row["pid"], row["workers"], row["error"]) == (None, [], None)


def dozing(daemon: Emperor, name: str = "site", **options: object) -> Vassal:
    vassal = daemon.add(name, **{"on_demand": "true", **options})
    asleep(vassal)
    return vassal


def quiet(daemon: Emperor) -> None:
    """No process of any vassal's is left."""
    wait_for(lambda: procfs.descendants(daemon.pid), lambda below: not below, "no process below the emperor")


def test_nobody_runs_until_somebody_connects_who_is_answered(daemon: Emperor) -> None:
    site = dozing(daemon)
    quiet(daemon)
    assert not site.import_pids()
    assert daemon.ctl("status").returncode == 0
    assert "asleep" in daemon.ctl("status").stdout
    first = site.get()
    assert first.status == 200
    row = site.running()
    assert row["restarts"] == 0 and first.json["pid"] in {one["pid"] for one in row["workers"]}
    assert site.get().status == 200
    assert len(site.import_pids()) == 1


def test_many_who_connect_at_once_are_all_answered_by_one_start(daemon: Emperor) -> None:
    site = dozing(daemon, processes=2)
    visitors = [site.visitor() for _ in range(20)]
    assert [visitor.answer().status for visitor in visitors] == [200] * 20
    assert len(site.import_pids()) == 1


def test_idle_ends_it_and_the_next_request_starts_it_again(daemon: Emperor) -> None:
    site = dozing(daemon, idle=SOON)
    pids = set()
    for _ in range(3):
        pids.add(site.get().json["pid"])
        asleep(site)
        quiet(daemon)
    assert len(pids) == len(site.import_pids()) == 3
    assert site.row()["restarts"] == 0 and daemon.ctl("status").returncode == 0


def test_idle_alone_starts_with_the_emperor(daemon: Emperor) -> None:
    site = daemon.add("site", idle=SOON)
    site.running()
    asleep(site)
    assert site.get().status == 200


def test_requests_keep_it_awake_and_one_in_flight_is_no_idleness(daemon: Emperor) -> None:
    site = dozing(daemon, idle=SOON)
    visitor, go = site.hold()
    row = site.running()
    reports = wait_for(site.row, lambda now: now["uptime"] and now["uptime"] > 4 * SOON, "longer than idle")
    assert (reports["state"], reports["pid"]) == ("RUNNING", row["pid"])
    go.touch()
    assert visitor.answer().status == 200
    asleep(site)


def test_nobody_is_lost_on_the_border_of_sleep(daemon: Emperor) -> None:
    """Requests that come just when it falls asleep, again and again."""
    site = dozing(daemon, idle=SOON)
    for _ in range(4):
        # Its generation is about to go, and may still accept.
        wait_for(site.row, lambda row: row["state"] == "IDLE", "asleep")
        for _ in range(3):
            assert site.get().status == 200


@needs("root", "nginx", "www-data")
def test_what_nginx_keeps_open_over_fastcgi_is_answered_also_afterwards(daemon: Emperor, nginx: StartNginx) -> None:
    site = dozing(daemon, idle=SOON, fastcgi_socket=f"{daemon.run}/site.sock")
    front = nginx({"/": FASTCGI_KEPT.format(f"unix:{site.socket}")})
    for _ in range(3):
        assert get(f"http://127.0.0.1:{front.port}/facts").status == 200
        site.state("IDLE")
        assert get(f"http://127.0.0.1:{front.port}/facts", data=b"x").status == 200


def sockets(daemon: Emperor, kind: str) -> dict[str, object]:
    """The options that name a socket of this kind."""
    return {
        "default": {},
        "tcp": {"socket": f"127.0.0.1:{free_port()}"},
        "abstract": {"socket": f"@emperor-test-{os.getpid()}"},
        "the user's": {"socket": f"{daemon.root}/apps/site/site.sock"},
        "two": {"socket": [f"{daemon.root}/apps/site/site.sock", f"127.0.0.1:{free_port()}"]},
    }[kind]  # type: ignore[return-value]  # mypy joins the values to object


KINDS = ["default", "tcp", "abstract", "the user's", "two"]


def ask(vassal: Vassal) -> int:
    """The pid that answers on each of its sockets."""
    named = vassal.options.get("socket")
    found = 0
    for one in named if isinstance(named, list) else [vassal.socket]:
        address = f"\0{one[1:]}" if str(one).startswith("@") else str(one)
        found = int(request(address, "/facts").json["pid"])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_socket_wakes_it(daemon: Emperor, kind: str) -> None:
    site = dozing(daemon, idle=SOON, **sockets(daemon, kind))
    quiet(daemon)
    for _ in range(2):
        assert ask(site)
        asleep(site)
    assert site.row()["restarts"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_after_an_upgrade_it_still_sleeps_and_wakes(daemon: Emperor, kind: str) -> None:
    site = dozing(daemon, **sockets(daemon, kind))
    told = daemon.ctl("upgrade")
    assert told.returncode == 0, told.stderr
    asleep(site)
    assert not site.import_pids()
    assert ask(site)
    site.running()
    assert len(site.import_pids()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_restart_of_the_emperor_it_sleeps_and_wakes(daemon: Emperor, kind: str) -> None:
    site = dozing(daemon, idle=SOON, **sockets(daemon, kind))
    assert ask(site)
    assert daemon.stop() == 0
    daemon.start()
    asleep(site)
    assert ask(site)


def test_who_waits_while_the_emperor_is_upgraded_is_answered(daemon: Emperor) -> None:
    site = dozing(daemon)
    with daemon.ctl_started("upgrade") as upgrade:
        visitors = [site.visitor() for _ in range(5)]
        assert [visitor.answer().status for visitor in visitors] == [200] * 5
        assert upgrade.wait(30) == 0
    site.running()


def test_an_app_that_fails_is_tried_again_and_then_answers_who_has_waited(daemon: Emperor) -> None:
    site = daemon.add("site", app="broken_import.py", on_demand="true")
    asleep(site)
    visitor = site.visitor()
    row = site.state("BACKOFF")
    assert row["error"] and daemon.ctl("status").returncode == 3
    site.app("facts.py")
    assert visitor.answer().status == 200


def test_a_changed_ini_is_heeded_in_its_sleep(daemon: Emperor) -> None:
    site = dozing(daemon)
    old, new = site.socket, f"{daemon.run}/other.sock"
    site.write(socket=new)
    wait_for(lambda: os.path.exists(new) and not os.path.exists(old), what="the new socket instead of the old one")
    asleep(site)
    assert site.get().status == 200


def test_a_wrong_ini_is_shown_and_the_old_one_wakes(daemon: Emperor) -> None:
    site = dozing(daemon)
    site.write(processes="many")
    row = site.until(lambda now: now["error"], "an error")
    assert row["state"] == "IDLE" and daemon.ctl("status").returncode == 3
    assert site.get().status == 200


def test_without_on_demand_it_starts_at_once(daemon: Emperor) -> None:
    site = dozing(daemon)
    site.write(on_demand=None)
    site.running()


@pytest.mark.parametrize("kind", ["default", "the user's"])
def test_a_socket_file_that_is_removed_in_its_sleep_comes_back(daemon: Emperor, kind: str) -> None:
    site = dozing(daemon, **sockets(daemon, kind))
    os.remove(site.socket)
    if kind == "the user's":
        # The emperor does not look into users' folders: a reload does.
        assert daemon.ctl("reload", "site").returncode == 0
    wait_for(lambda: os.path.exists(site.socket), what="the file")
    asleep(site)
    assert site.get().status == 200


def test_orders_to_one_that_sleeps(daemon: Emperor) -> None:
    site = dozing(daemon)
    for verb in ("start", "reload"):
        told = daemon.ctl(verb, "site")
        assert told.returncode == 0 and "asleep" in told.stdout, told
    assert not site.import_pids()
    assert daemon.ctl("stop", "site").returncode == 0
    assert not os.path.exists(site.socket)
    assert "asleep" in daemon.ctl("start", "site").stdout
    told = daemon.ctl("restart", "site")
    assert told.returncode == 0 and site.running()["pid"]


def test_one_that_sleeps_goes_with_its_ini(daemon: Emperor) -> None:
    site = dozing(daemon)
    os.remove(site.ini)
    wait_for(lambda: daemon.names(), lambda names: not names, "no vassal")
    assert not os.path.exists(site.socket)


def test_a_kept_silent_connection_does_not_hold_it_awake_nor_is_it_cut(daemon: Emperor) -> None:
    """Whoever has connected and says nothing is heard out by the old generation for as long as headers may take."""
    site = dozing(daemon, idle=SOON)
    with connect(site.socket):
        site.running()
        site.state("IDLE")
        assert site.get().status == 200


def test_the_emperors_end_by_kill_leaves_nothing_that_the_next_one_trips_over(daemon: Emperor) -> None:
    site = dozing(daemon)
    daemon.kill()
    daemon.start()
    asleep(site)
    assert site.get().status == 200


def test_a_killed_worker_of_one_that_was_woken_is_replaced_as_ever(daemon: Emperor) -> None:
    site = dozing(daemon)
    pid = site.get().json["pid"]
    os.kill(pid, signal.SIGKILL)
    assert site.get().json["pid"] != pid
    assert site.row()["state"] == "RUNNING"


def test_its_interpreter_is_not_even_looked_for_in_its_sleep(daemon: Emperor, tmp_path: Path) -> None:
    site = daemon.add("site", on_demand="true", python=str(tmp_path / "none" / "python"))
    asleep(site)
    visitor = site.visitor()
    row = site.state("BACKOFF")
    assert "python" in row["error"]
    site.write(python=None)
    assert visitor.answer().status == 200


@needs("root", "useradd")
def test_another_user_in_its_sleep_gets_a_fresh_listener(daemon: Emperor, users: Users) -> None:
    """The old user's processes were handed the old one, and would accept its successor's clients."""
    shared = daemon.root / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    own = f"{daemon.run}/site.sock"
    site = daemon.add("site", on_demand="true", env=None, socket=[own, f"{shared}/more.sock"])
    asleep(site)
    before = os.stat(own).st_ino
    os.unlink(f"{shared}/more.sock")
    site.write(uid=users.bob.name, gid=users.bob.gid)
    wait_for(lambda: os.stat(own).st_ino, lambda now: now != before, "a fresh listener")
    asleep(site)
    assert request(own, "/facts").json["uids"][0] == users.bob.uid
