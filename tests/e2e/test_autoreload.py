"""New code is served because somebody saved it, touched a file or switched a release; bad code never is."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness.daemon import Emperor, Vassal, replace_file
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import PASS

FACTS = (Path(__file__).resolve().parents[1] / "apps" / "facts.py").read_text()


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def source(generation: str) -> str:
    return FACTS.replace('GENERATION = "one"', f'GENERATION = "{generation}"')


def save(site: Vassal, generation: str, name: str = "app.py") -> None:
    """In place, as many editors do: the owner stays."""
    (site.folder / name).write_text(source(generation))


def serves(site: Vassal, generation: str) -> None:
    wait_for(lambda: site.get().json["generation"], lambda seen: seen == generation, f"generation {generation}")


def put(site: Vassal, path: Path, text: str) -> Path:
    return site.own(replace_file(path, text))


def switch(site: Vassal, number: str) -> None:
    fresh = site.folder / "current.new"
    fresh.symlink_to(f"releases/{number}")
    fresh.rename(site.folder / "current")


def words(daemon: Emperor) -> int:
    return daemon.log_text.count("app.py has changed")


def told_again(daemon: Emperor, before: int) -> None:
    wait_for(lambda: words(daemon), lambda count: count > before, "a word")


def noticed(site: Vassal, generation: str, before: int) -> None:
    """Told of, or read by one that was starting just then."""
    wait_for(
        lambda: words(site.emperor) > before or site.get().json["generation"] == generation,
        what=f"{generation} noticed",
    )


def own_folder(site: Vassal, path: Path) -> Path:
    path.mkdir(parents=True)
    return site.own(path)


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_a_saved_module_is_served(daemon: Emperor, lazy: str) -> None:
    site = daemon.add("site", py_autoreload=1, lazy_apps=lazy, processes=2)
    row = site.running()
    save(site, "two")
    serves(site, "two")
    now = site.replaced(row)
    assert now["uid"] == row["uid"]
    daemon.wait_for_log(f"py-autoreload: {site.folder}/app.py has changed")
    save(site, "three")
    serves(site, "three")


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_a_module_that_a_request_imported_is_watched(daemon: Emperor, lazy: str) -> None:
    site = daemon.place("site", py_autoreload=1, lazy_apps=lazy)
    put(site, site.folder / "late.py", "WORD = 1\n")
    site.write()
    row = site.running()
    assert site.get("/import?late").json["file"] == f"{site.folder}/late.py"
    put(site, site.folder / "late.py", "WORD = 2\n")
    site.replaced(row)


def test_a_touched_file_reloads_the_app(daemon: Emperor) -> None:
    site = daemon.place("site")
    flag = site.folder / "reload.me"
    site.write(touch_reload=flag)
    row = site.running()
    save(site, "two")
    assert site.get().json["generation"] == "one"
    site.own(put(site, flag, ""))
    row = site.replaced(row)
    serves(site, "two")
    save(site, "three")
    os.utime(flag)
    site.replaced(row)
    serves(site, "three")


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_a_syntax_error_keeps_the_old_app_until_it_is_mended(daemon: Emperor, lazy: str) -> None:
    site = daemon.add("site", py_autoreload=1, lazy_apps=lazy)
    row = site.running()
    with site.crowd() as crowd:
        (site.folder / "app.py").write_text(source("two") + "\nthis is no Python\n")
        now = site.until(lambda now: now["error"] and now["state"] == "RUNNING", "the error")
        assert "SyntaxError" in now["error"]
        assert now["pid"] == row["pid"]
        assert site.get().json["generation"] == "one"
        before = words(daemon)
        (site.folder / "app.py").write_text(source("still") + "\nthis is no Python either\n")
        told_again(daemon, before)
        assert site.get().json["generation"] == "one"
        save(site, "three")
        serves(site, "three")
        site.until(lambda now: not now["error"] and now["state"] == "RUNNING", "no error")
    assert crowd.refused == crowd.lost == []


def test_an_error_in_a_file_that_the_old_app_never_read_is_mended_there(daemon: Emperor) -> None:
    site = daemon.add("site", py_autoreload=1)
    row = site.running()
    fresh = put(site, site.folder / "fresh.py", "this is no Python\n")
    put(site, site.folder / "app.py", source("two") + "\nimport fresh\n")
    site.until(lambda now: "SyntaxError" in (now["error"] or "") and now["state"] == "RUNNING", "the error")
    assert site.row()["pid"] == row["pid"]
    fresh.write_text("X = 1\n")
    serves(site, "two")


def test_a_module_that_was_missing_is_made(daemon: Emperor) -> None:
    site = daemon.add("site", py_autoreload=1)
    site.running()
    put(site, site.folder / "app.py", source("two") + "\nimport missing\n")
    site.until(lambda now: "missing" in (now["error"] or "") and now["state"] == "RUNNING", "the error")
    put(site, site.folder / "missing.py", "X = 1\n")
    serves(site, "two")


@pytest.mark.parametrize("how", ["py-autoreload", "touch-reload"])
def test_a_switched_release_is_served(daemon: Emperor, how: str) -> None:
    site = daemon.place("site")
    current = site.folder / "current"
    for number in ("41", "42"):
        put(site, own_folder(site, site.folder / "releases" / number) / "app.py", source(number))
        os.utime(site.folder / "releases" / number / "app.py", (1_700_000_000, 1_700_000_000))
    current.symlink_to("releases/41")
    site.own(current)
    option = {"py_autoreload": 1} if how == "py-autoreload" else {"touch_reload": current}
    site.write(chdir=current, **option)
    row = site.running()
    serves(site, "41")
    with site.crowd() as crowd:
        switch(site, "42")
        site.replaced(row)
        serves(site, "42")
    assert crowd.refused == crowd.lost == []
    assert site.get().json["cwd"] == str(site.folder / "releases" / "42")


def test_a_release_that_does_not_run_leaves_the_old_one_serving(daemon: Emperor) -> None:
    site = daemon.place("site")
    current = site.folder / "current"
    for number, rest in (("41", ""), ("42", "\nthis is no Python\n"), ("43", "")):
        put(site, own_folder(site, site.folder / "releases" / number) / "app.py", source(number) + rest)
    current.symlink_to("releases/41")
    site.own(current)
    site.write(chdir=current, touch_reload=current)
    row = site.running()
    switch(site, "42")
    now = site.until(lambda now: "SyntaxError" in (now["error"] or "") and now["state"] == "RUNNING", "the error")
    assert (now["pid"], site.get().json["generation"]) == (row["pid"], "41")
    switch(site, "43")
    site.replaced(row)
    serves(site, "43")
    site.until(lambda now: not now["error"], "no error")


@pytest.mark.parametrize("processes", [1, 3])
def test_a_rolling_reload_follows_a_save_too(daemon: Emperor, processes: int) -> None:
    site = daemon.add("site", py_autoreload=1, processes=processes, reload_mode="rolling")
    row = site.running()
    with site.crowd() as crowd:
        save(site, "two")
        site.replaced(row)
        serves(site, "two")
    assert crowd.refused == crowd.lost == []


def test_saves_in_a_row_lose_no_request(daemon: Emperor, nginx: StartNginx) -> None:
    """Some of them half written, some of them wrong; the last one is what is served."""
    site = daemon.add("site", py_autoreload=1, processes=2)
    site.running()
    web = nginx({"/": PASS["uwsgi"].format(site.socket)})
    with ExitStack() as clients:
        crowds = [clients.enter_context(site.crowd()) for _ in range(3)]
        for number in range(6):
            before = words(daemon)
            text = source(f"number {number}")
            with (site.folder / "app.py").open("w") as file:
                file.write(text[: len(text) // 2])
                file.flush()
                file.write(text[len(text) // 2 :] + ("" if number % 3 != 1 else "\nthis is no Python\n"))
            noticed(site, f"number {number}", before)
        serves(site, "number 5")
        assert web.get("/facts").json["generation"] == "number 5"
    assert [crowd.refused + crowd.lost for crowd in crowds] == [[], [], []]
    assert sum(crowd.answered for crowd in crowds) > 30


def test_nothing_is_watched_that_nobody_asked_for(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    save(site, "two")
    other = daemon.add("other", py_autoreload=1)
    before = other.running()
    save(other, "two")
    other.replaced(before)
    assert site.row()["pid"] == row["pid"]
    assert "site/app.py has changed" not in daemon.log_text
