"""What happens to an ini happens to its vassal, within moments of the file being quiet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, ini, replace_file
from tests.e2e.harness.waiting import wait_for, within

SOON = 4.0
"""A second for the file to be quiet, and the start of an interpreter on a busy machine."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def test_an_added_ini_is_served(daemon: Emperor) -> None:
    site = daemon.place("site")
    with within(SOON):
        site.write().running()
    assert site.get().status == 200


def test_inis_that_are_there_at_the_start_are_served(emperor: StartEmperor) -> None:
    daemon = emperor()
    sites = [daemon.add(f"site{number}") for number in range(3)]
    daemon.start()
    for site in sites:
        site.running()
    assert daemon.names() == ["site0", "site1", "site2"]


def test_a_changed_ini_is_read_again(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with within(SOON):
        site.write(env="CHANGED=yes")
        fresh = site.replaced(row)
    assert site.get().json["os_environ"]["CHANGED"] == "yes"
    assert fresh["generation"] > row["generation"]


def test_an_ini_rewritten_in_place_is_read_again(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    site.ini.write_text(ini(**{**site.options, "env": "CHANGED=yes"}))
    site.replaced(row)
    assert site.get().json["os_environ"]["CHANGED"] == "yes"


def test_a_touch_reloads(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with within(SOON):
        os.utime(site.ini)
        site.replaced(row)


def test_many_changes_at_once_are_one_reload(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    for number in range(20):
        site.write(env=f"NUMBER={number}")
    site.until(lambda now: now["state"] == "RUNNING" and now["pid"] != row["pid"], "the last change")
    wait_for(lambda: site.get().json["os_environ"].get("NUMBER"), lambda seen: seen == "19", "the last change")
    assert site.row()["generation"] <= row["generation"] + 3


def test_a_renamed_ini_is_a_vassal_of_the_new_name(daemon: Emperor) -> None:
    site = daemon.add("site", socket=None)
    row = site.running()
    site.ini.rename(daemon.vassals / "other.ini")
    daemon.wait_for(lambda rows: [(one["name"], one["state"]) for one in rows] == [("other", "RUNNING")], "other alone")
    wait_for(lambda: procfs.alive(row["pid"]), lambda alive: not alive, "the old one is gone")
    assert not Path(site.socket).exists()
    assert (daemon.run / "other.sock").exists()


def test_an_ini_moved_in_from_elsewhere_is_served(daemon: Emperor) -> None:
    site = daemon.place("site")
    outside = daemon.root / "site.ini"
    outside.write_text(ini(**site.options))
    outside.rename(site.ini)
    site.running()


def test_a_linked_ini_is_served_and_follows_edits_of_its_target(daemon: Emperor) -> None:
    site = daemon.place("site")
    available = daemon.root / "available"
    available.mkdir(mode=0o755)
    target = available / "site.conf.ini"
    target.write_text(ini(**site.options))
    os.symlink(target, site.ini)
    row = site.running()
    target.write_text(ini(**{**site.options, "env": "CHANGED=in-place"}))
    row = site.replaced(row)
    assert site.get().json["os_environ"]["CHANGED"] == "in-place"
    replace_file(target, ini(**{**site.options, "env": "CHANGED=replaced"}))
    site.replaced(row)
    assert site.get().json["os_environ"]["CHANGED"] == "replaced"
    site.ini.unlink()
    daemon.wait_for(lambda rows: rows == [], "nothing left")
    assert target.exists()


def test_a_link_turned_to_another_target_is_read_again(daemon: Emperor) -> None:
    site = daemon.place("site")
    for which in ("one", "two"):
        (daemon.root / which).write_text(ini(**{**site.options, "env": f"WHICH={which}"}))
    os.symlink(daemon.root / "one", site.ini)
    row = site.running()
    fresh = daemon.vassals / ".fresh"
    os.symlink(daemon.root / "two", fresh)
    fresh.rename(site.ini)
    site.replaced(row)
    assert site.get().json["os_environ"]["WHICH"] == "two"


def test_a_removed_ini_stops_its_vassal_and_unlinks_its_socket(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with within(SOON):
        site.ini.unlink()
        daemon.wait_for(lambda rows: rows == [], "nothing left")
    assert not procfs.alive(row["pid"])
    assert not Path(site.socket).exists()


def test_a_removed_ini_that_comes_back_is_served_again(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    site.ini.unlink()
    daemon.wait_for(lambda rows: rows == [], "nothing left")
    site.write()
    assert site.running()["pid"] != row["pid"]
    assert site.get().status == 200


def test_a_request_in_flight_is_answered_though_its_ini_is_removed(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    folder = site.folder / "held"
    folder.mkdir()
    site.own(folder)
    visitor = site.visitor(f"/hold?{folder}")
    wait_for((folder / "started").exists, what="a request in flight")
    site.ini.unlink()
    daemon.wait_for(lambda rows: not rows or rows[0]["state"] == "STOPPING", "STOPPING")
    (folder / "go").touch()
    assert visitor.answer().status == 200


def test_the_folder_may_be_removed_and_made_again(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    shutil.rmtree(daemon.vassals)
    # A folder that is not there says nothing about its vassals: they stay until it is back and does not name them.
    wait_for(lambda: daemon.log_text, lambda text: "its vassals stay as they are" in text, "the loss is told")
    assert procfs.alive(row["pid"])
    assert site.get().status == 200
    daemon.vassals.mkdir(mode=0o755)
    daemon.wait_for(lambda rows: rows == [], "nothing left")
    assert not procfs.alive(row["pid"])
    site.write().running()
    assert site.get().status == 200


def test_a_folder_that_comes_back_as_it_was_disturbs_nobody(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    away = daemon.root / "away.d"
    daemon.vassals.rename(away)
    wait_for(lambda: daemon.log_text, lambda text: "its vassals stay as they are" in text, "the loss is told")
    away.rename(daemon.vassals)
    daemon.add("other").running()
    assert site.row()["pid"] == row["pid"]
    site.write(env="CHANGED=yes")
    site.replaced(row)


def test_the_folder_may_be_replaced_by_another(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    fresh = daemon.root / "fresh.d"
    fresh.mkdir(mode=0o755)
    other = daemon.place("other")
    (fresh / "other.ini").write_text(ini(**other.options))
    daemon.vassals.rename(daemon.root / "old.d")
    fresh.rename(daemon.vassals)
    daemon.wait_for(lambda rows: [(one["name"], one["state"]) for one in rows] == [("other", "RUNNING")], "other alone")
    other.write(env="CHANGED=yes")
    wait_for(
        lambda: other.get().json["os_environ"].get("CHANGED"),
        lambda seen: seen == "yes",
        "the new folder is watched",
    )


def test_a_folder_that_is_not_there_yet_may_come_later(emperor: StartEmperor) -> None:
    daemon = emperor()
    daemon.vassals.rmdir()
    daemon.start()
    daemon.vassals.mkdir(mode=0o755)
    daemon.add("site").running()
