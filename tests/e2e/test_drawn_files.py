"""Files that inis draw in, under a daemon that root runs: what is read for whom, and that a change of one reloads."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, chown, replace_file
from tests.e2e.harness.intruder import SECRET, nothing_said, place
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "useradd")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    """Not started."""
    return emperor()


def test_a_changed_include_reloads_who_draws_it_in_and_nobody_else(daemon: Emperor, users: Users) -> None:
    base = daemon.root / "base.ini"
    replace_file(base, "[uwsgi]\nenv = WHICH=one\n")
    vassal = daemon.add("drawing", include=str(base))
    other = daemon.add("alone")
    daemon.start()
    before, aside = vassal.running(), other.running()
    assert vassal.get().json["os_environ"]["WHICH"] == "one"
    replace_file(base, "[uwsgi]\nenv = WHICH=two\n")
    vassal.replaced(before)
    assert vassal.get().json["os_environ"]["WHICH"] == "two"
    assert other.row()["pid"] == aside["pid"]


def test_an_include_that_breaks_or_goes_leaves_who_runs_alone(daemon: Emperor, users: Users) -> None:
    base = daemon.root / "base.ini"
    replace_file(base, "[uwsgi]\nthreads = 2\n")
    vassal = daemon.add("drawing", include=str(base))
    daemon.start()
    before = vassal.running()
    replace_file(base, "[uwsgi]\nthreads = many\n")
    row = vassal.until(lambda row: row["error"], "what is wrong is told")
    assert f"{base}:2: threads: " in row["error"] and row["pid"] == before["pid"]
    base.unlink()
    row = vassal.until(lambda row: "No such file" in row["error"], "that it is gone is told")
    assert row["pid"] == before["pid"] and vassal.get().status == 200
    replace_file(base, "[uwsgi]\nthreads = 3\n")
    vassal.replaced(before)


def test_what_root_reads_is_not_read_for_her(daemon: Emperor, users: Users) -> None:
    secret = daemon.root / "secret"
    secret.write_text(f"[uwsgi]\nenv = TOKEN={SECRET}\n")
    secret.chmod(0o600)
    folder = daemon.root / "alices.d"
    folder.mkdir(mode=0o755)
    hers = chown(folder, users.alice)
    asked = {"include": str(secret), "inherit": str(secret), "env": f"A=@({secret})", "if_exists": "/root"}
    vassal = place(daemon, users, hers, **asked)
    daemon.start(folders=[daemon.vassals, hers])
    vassal.state("INVALID")
    for option in ("include", "inherit", "env", "if-exists"):
        assert f": {option}: only an ini that root alone can write" in daemon.log_text
    nothing_said(daemon)
