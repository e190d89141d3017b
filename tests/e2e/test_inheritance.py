"""Debian's folders with a default ini for all apps, and what uWSGI's Emperor gives to every vassal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import APPS, Emperor, Row, chown, ini, replace_file
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import request
from tests.requirements import needs

DEFAULTS = """\
[uwsgi]
declare-option = deb-confnamespace=$1
declare-option = deb-confname=$1
autoload = true
master = true
workers = 2
no-orphans = true
pidfile = {run}/%(deb-confnamespace)/%(deb-confname)/pid
socket = {run}/%(deb-confnamespace)/%(deb-confname)/socket
chown-socket = www-data
chmod-socket = 660
log-date = true
uid = www-data
gid = www-data
"""


@pytest.fixture
def run(folder: Path) -> Iterator[Path]:
    """Below /run, where the emperor makes the folders of sockets."""
    path = Path(f"/run/emp-test-{os.getpid()}-{folder.name}")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def etc(folder: Path) -> Path:
    """The folders of /etc/uwsgi, and an app beside them that everybody can read."""
    for name in ("apps-available", "apps-enabled", "srv"):
        (folder / name).mkdir(mode=0o755)
    shutil.copy(APPS / "facts.py", folder / "srv" / "wsgi.py")
    return folder


def available(etc: Path, name: str, **options: object) -> Path:
    path = etc / "apps-available" / f"{name}.ini"
    return replace_file(path, ini(plugin="http,python3", chdir=etc / "srv", module="wsgi", **options))


def enabled(etc: Path, name: str) -> Path:
    link = etc / "apps-enabled" / f"{name}.ini"
    link.symlink_to(f"../apps-available/{name}.ini")
    return link


def runs(daemon: Emperor, name: str, but: int = 0) -> Row:
    def look() -> Row:
        return daemon.row(name)

    return wait_for(look, lambda row: row.get("state") == "RUNNING" and row["pid"] != but, f"{name} runs")


@needs("root", "www-data")
def test_debians_folders_and_default_ini(emperor: StartEmperor, etc: Path, run: Path, users: Users) -> None:
    default = etc / "default.ini"
    default.write_text(DEFAULTS.format(run=run))
    available(etc, "blog")
    available(
        etc, "shop", processes=1, uid=users.alice.name, gid="www-data", chmod_socket=664, env="N=%n %(deb-confname)"
    )
    blog, shop = enabled(etc, "blog"), enabled(etc, "shop")
    daemon = emperor().start("--vassals-defaults", str(default), folders=[etc / "apps-enabled"])

    # What the default says, and what an app's own ini says instead.
    first, second = runs(daemon, "blog"), runs(daemon, "shop")
    assert (len(first["workers"]), len(second["workers"])) == (2, 1)
    where = {name: run / "app" / name / "socket" for name in ("blog", "shop")}
    assert request(str(where["blog"])).json["uids"] == [33] * 3
    facts = request(str(where["shop"])).json
    assert facts["uids"] == [users.alice.uid] * 3 and facts["gids"] == [33] * 3
    assert facts["os_environ"]["N"] == "shop shop"
    modes = {name: (path.stat().st_mode & 0o777, path.stat().st_uid) for name, path in where.items()}
    assert modes == {"blog": (0o660, 33), "shop": (0o664, 33)}

    # What a link leads to is changed: that vassal reloads, and no other.
    available(etc, "blog", env="WHAT=changed")
    changed = runs(daemon, "blog", but=first["pid"])
    assert request(str(where["blog"])).json["os_environ"]["WHAT"] == "changed"

    # The link is pointed at another file.
    (etc / "next.ini").write_text((etc / "apps-available" / "blog.ini").read_text() + "env = WHAT=another\n")
    fresh = etc / "apps-enabled" / ".new"
    fresh.symlink_to(etc / "next.ini")
    fresh.replace(blog)
    runs(daemon, "blog", but=changed["pid"])
    assert request(str(where["blog"])).json["os_environ"]["WHAT"] == "another"

    # What it leads to is gone: it goes on with what it has, and says so. Then the link goes, and the vassal with it.
    (etc / "next.ini").unlink()
    row = wait_for(lambda: daemon.row("blog"), lambda row: row.get("error"), "an error of blog")
    assert row["state"] == "RUNNING" and request(str(where["blog"])).status == 200
    blog.unlink()
    wait_for(daemon.names, lambda names: names == ["shop"], "blog is gone")
    assert not where["blog"].exists()
    assert runs(daemon, "shop")["pid"] == second["pid"] and shop.exists()


@needs("root")
def test_what_every_vassal_gets_comes_in_uwsgis_order(emperor: StartEmperor, etc: Path, users: Users) -> None:
    """An included file's lines stand where it is named, an inherited one's behind all others, as with uWSGI."""
    order = ("include-before", "vassal", "include", "inherit-before", "inherit")
    own = {name: [f"{which}={name}" for which in order[: place + 1]] for place, name in enumerate(order)}
    for name in order:
        processes = {"include-before": 3}.get(name)
        (etc / f"{name}.ini").write_text(ini(env=own[name], processes=processes))
    daemon = emperor()
    options = [word for name in order if name != "vassal" for word in (f"--vassals-{name}", f"{etc}/{name}.ini")]
    daemon.start(
        *reversed([f"{option}={path}" for option, path in zip(options[::2], options[1::2], strict=True)]),
        "--vassal-set",
        "env=SET=%(who)",
        "--vassals-set",
        "env=vassal=set",
        "--vassal-set",
        "who=set",
    )
    # The ini is a user's, who may have nothing read; the emperor's own files are not the user's word.
    site = daemon.place("site", users.alice, processes=1)
    site.write(env=[*own["vassal"], f"IMPORTS={site.imports}"])
    chown(site.ini, users.alice)
    site.running()
    seen = site.get().json["os_environ"]
    assert {name: seen[name] for name in order} == dict.fromkeys(order, "inherit") and seen["SET"] == "set"
    assert len(site.row()["workers"]) == 1

    # One of them is changed: the vassal's next generation heeds it.
    replace_file(etc / "inherit.ini", ini(env="inherit=changed"))
    assert daemon.ctl("reload", "site").returncode == 0
    seen = site.get().json["os_environ"]
    assert seen["inherit"] == "changed" and seen["include"] == seen["vassal"] == "inherit-before"


@needs("root")
def test_an_included_file_wins_over_the_vassal_and_a_default_does_not(
    emperor: StartEmperor, etc: Path, users: Users
) -> None:
    (etc / "default.ini").write_text(ini(env=["A=default", "B=default"], processes=2, threads=2))
    (etc / "included.ini").write_text(ini(env="A=included", processes=3))
    daemon = emperor().start(
        *("--vassals-defaults", f"{etc}/default.ini", "--vassals-include", f"{etc}/included.ini"),
    )
    site = daemon.place("site", users.alice)
    site.write(env=["A=vassal", f"IMPORTS={site.imports}"], processes=1, threads=1)
    assert len(site.running()["workers"]) == 3
    facts = site.get().json
    assert (facts["os_environ"]["A"], facts["os_environ"]["B"]) == ("included", "default")
    assert facts["environ"]["wsgi.multithread"] is False

    # What somebody else can write is not read for anybody, and the vassal says why.
    chown(etc / "included.ini", users.bob)
    site.write(threads=2)
    row = site.until(lambda row: row.get("error"), "an error")
    assert row["state"] == "RUNNING" and "included.ini: somebody else can write it -- not read" in row["error"]
