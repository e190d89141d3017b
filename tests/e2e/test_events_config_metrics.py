"""``emperorctl events``, ``config`` and ``metrics``: what programs and people learn from the running daemon."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.harness import people
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root")

DEFAULTS = "[uwsgi]\nthreads = 2\nenv = SHARED=sharedsecret\n"
Event = dict[str, Any]


@pytest.fixture(scope="module")
def options(shared_folder: Path) -> list[str]:
    defaults = shared_folder / "defaults.ini"
    defaults.write_text(DEFAULTS)
    return ["--vassals-defaults", str(defaults), "--vassal-set", "reload-mercy=7", "--control-public", "config"]


@pytest.fixture(scope="module")
def daemon(shared_folder: Path, emperor_venv: Path, users: Users, options: list[str]) -> Iterator[Emperor]:
    one = Emperor(emperor_venv / "bin", shared_folder / "e", people.current(), users.alice)
    try:
        yield one.start(*options)
    finally:
        one.dispose()


@pytest.fixture(scope="module")
def hers(daemon: Emperor) -> Vassal:
    vassal = daemon.add("hers", processes=2)
    vassal.running()
    return vassal


@pytest.fixture(scope="module")
def his(daemon: Emperor, users: Users) -> Vassal:
    vassal = daemon.add("his", users.bob)
    vassal.running()
    return vassal


def events(daemon: Emperor, *words: str, person: Person | None = None) -> list[Event]:
    done = daemon.ctl("events", *words, person=person)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def until(daemon: Emperor, name: str, kind: str, after: int) -> Event:
    """The first event of this kind that is younger."""

    def look() -> list[Event]:
        return [one for one in events(daemon, name) if one["number"] > after and one["event"] == kind]

    return wait_for(look, what=f"event {kind} of {name}")[0]


def newest(daemon: Emperor) -> int:
    return int(events(daemon, "-n", "1")[0]["number"])


def test_events_tell_what_has_become_of_a_vassal_and_why(daemon: Emperor, hers: Vassal) -> None:
    start = newest(daemon)
    assert daemon.ctl("reload", "hers").returncode == 0
    row = hers.row()
    done = until(daemon, "hers", "reload-done", start)
    assert (done["generation"], done["pid"]) == (row["generation"], row["pid"])
    hers.write(processes="many")
    assert f"{hers.ini}:" in until(daemon, "hers", "invalid", start)["reason"]
    hers.write(processes=2)
    until(daemon, "hers", "mended", start)
    assert daemon.ctl("scale", "hers", "3").returncode == 0
    assert until(daemon, "hers", "scaled", start)["workers"] == 3
    os.kill(hers.row()["workers"][0]["pid"], signal.SIGKILL)
    assert "SIGKILL" in until(daemon, "hers", "worker-died", start)["reason"]
    row = hers.running()
    os.kill(row["pid"], signal.SIGSEGV)
    crash = until(daemon, "hers", "crash", start)
    assert (crash["pid"], crash["generation"], crash["signal"]) == (row["pid"], row["generation"], signal.SIGSEGV)
    assert crash["from"] == "RUNNING" and "SIGSEGV" in crash["reason"] and crash["restarts"] == 1
    hers.running()
    numbers = [one["number"] for one in events(daemon)]
    assert numbers == sorted(set(numbers))


def test_a_worker_that_takes_too_long_and_a_vassal_that_is_gone_are_events(daemon: Emperor) -> None:
    slow = daemon.add("slow", harakiri=1)
    slow.running()
    (slow.folder / "held").mkdir()
    slow.own(slow.folder / "held")
    slow.visitor(f"/hold?{slow.folder}/held")
    assert "harakiri in GET /hold" in until(daemon, "slow", "harakiri", 0)["reason"]
    slow.ini.unlink()
    wait_for(lambda: "slow" not in daemon.names(), what="it is gone")
    kinds = [one["event"] for one in events(daemon, "slow")]
    assert kinds[-1] == "gone" and kinds.count("gone") == 1, "those of one that is gone can be asked for"
    assert [one["event"] for one in events(daemon, "-n", "1", "slow")] == ["gone"]


def test_everybody_sees_the_events_of_their_own(daemon: Emperor, hers: Vassal, his: Vassal, users: Users) -> None:
    assert {one["name"] for one in events(daemon, person=users.bob)} == {"his"}
    assert {"hers", "his", None} <= {one["name"] for one in events(daemon)}
    strangers = daemon.ctl("events", "-f", person=people.account("nobody"))
    assert (strangers.returncode, strangers.stdout) == (4, ""), "who has nothing to hear holds no place by listening"
    assert daemon.ctl("events", "hers", person=users.bob).returncode == 4
    assert daemon.ctl("events", "unheard-of", person=users.bob).returncode == 4
    assert daemon.ctl("events", "unheard-of").returncode == 6
    assert daemon.ctl("events", "-n", "many").returncode == 2


def hear(following: subprocess.Popen[str], kind: str) -> Event:
    assert following.stdout
    while line := following.stdout.readline():
        if line.startswith("{") and json.loads(line)["event"] == kind:
            return dict(json.loads(line))
    raise AssertionError(f"the follower has ended before {kind}")


def test_who_follows_stays_over_an_upgrade_and_comes_back_after_a_restart(
    daemon: Emperor, hers: Vassal, options: list[str]
) -> None:
    with daemon.ctl_started("events", "-f", "-n", "1") as following:
        hear(following, events(daemon, "-n", "1")[0]["event"])
        assert daemon.ctl("upgrade").returncode == 0
        upgraded = hear(following, "upgraded")
        assert daemon.ctl("reload", "hers").returncode == 0
        assert hear(following, "reload-done")["number"] > upgraded["number"]
        assert daemon.stop() == 0
        assert hear(following, "stopping")["name"] is None
        daemon.start(*options)
        hear(following, "started")
        hers.running()
        assert daemon.ctl("reload", "hers").returncode == 0
        assert hear(following, "reload-done")["name"] == "hers"
        following.terminate()


def config(daemon: Emperor, name: str, person: Person | None = None) -> dict[str, Any]:
    done = daemon.ctl("--json", "config", name, person=person)
    assert done.returncode == 0, done
    return dict(json.loads(done.stdout))


def test_config_says_of_each_value_where_it_was_written(daemon: Emperor, hers: Vassal, shared_folder: Path) -> None:
    found = config(daemon, "hers")
    values = {(one["option"], one["value"]): one for one in found["values"]}
    lines = hers.ini.read_text().splitlines()
    assert values["processes", "2"]["origin"] == f"{hers.ini}:{lines.index('processes = 2') + 1}"
    assert values["threads", "2"]["origin"] == f"{shared_folder}/defaults.ini:2"
    assert values["threads", "2"]["via"] == "vassals-defaults"
    assert values["reload-mercy", "7"]["via"] == "vassal-set"
    assert values["harakiri", "0"]["origin"] == "default"
    derived = {one["what"]: one for one in found["derived"]}
    assert derived["user"]["value"].startswith(f"{hers.owner.name} ")
    assert derived["socket"]["value"].startswith(hers.socket) and derived["socket"]["origin"] == "default"
    assert derived["socket"]["mode"] == hers.row()["sockets"][0]["mode"]
    text = daemon.ctl("config", "hers").stdout
    assert f"{shared_folder}/defaults.ini:2 (vassals-defaults)" in text and "\x1b" not in text


def test_the_environment_is_shown_to_who_has_it_alone(daemon: Emperor, hers: Vassal, his: Vassal, users: Users) -> None:
    seen, masked = "SHARED=sharedsecret", "SHARED=***"
    for person, shown in ((None, seen), (users.alice, seen), (users.bob, masked)):
        found = config(daemon, "hers", person)
        assert shown in [one["value"] for one in found["values"] if one["option"] == "env"]
        assert ("sharedsecret" in json.dumps(found)) == (shown == seen)


def test_config_of_an_invalid_ini_shows_what_could_be_read(daemon: Emperor, hers: Vassal) -> None:
    try:
        hers.write(processes="many", harakiri=9)
        done = daemon.ctl("config", "hers")
        assert done.returncode == 6
        assert f"{hers.ini}:" in done.stderr and "processes" in done.stderr
        assert any(line.split()[:2] == ["harakiri", "9"] for line in done.stdout.splitlines())
    finally:
        hers.write(processes=2, harakiri=0)
    hers.until(lambda row: row["state"] == "RUNNING" and not row["error"], "it runs")
    assert daemon.ctl("config", "unheard-of").returncode == 6
    assert daemon.ctl("config").returncode == 2


def test_config_says_what_runs_with_another_value_than_the_file_has(daemon: Emperor, hers: Vassal) -> None:
    assert config(daemon, "hers")["differs"] == []
    broken = hers.folder / "app.py"
    good = broken.read_text()
    broken.write_text("raise ImportError('not now')\n")
    hers.write(threads=5)
    hers.until(lambda row: row["error"] and row["state"] == "RUNNING", "the new generation has failed")
    assert config(daemon, "hers")["differs"] == ["threads"]
    assert "emperorctl reload hers" in daemon.ctl("config", "hers").stdout
    broken.write_text(good)
    hers.write(threads=None)
    hers.until(lambda row: row["state"] == "RUNNING" and not row["error"], "it runs")


Samples = dict[tuple[str, str, str], float]


def parsed(text: str) -> Samples:
    """By name, vassal, and what else tells them apart."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.name.startswith("emperor_")
        for one in family.samples:
            rest = " ".join(value for key, value in sorted(one.labels.items()) if key != "vassal")
            found[one.name, one.labels.get("vassal", ""), rest] = one.value
    return found


def metrics(daemon: Emperor, person: Person | None = None) -> Samples:
    done = daemon.ctl("metrics", person=person)
    assert (done.returncode, done.stderr) == (0, "")
    return parsed(done.stdout)


def test_a_real_client_reads_numbers_that_match_what_was_asked(daemon: Emperor, hers: Vassal) -> None:
    def count(name: str, rest: str = "") -> float:
        return metrics(daemon).get((f"emperor_vassal_{name}", "hers", rest), -1)

    before, failed, reloads = count("requests_total"), count("exceptions_total"), count("reloads_total")
    for target in ("/facts", "/facts", "/facts", "/fail"):
        hers.get(target)
    wait_for(lambda: count("requests_total") == before + 4, what="four requests are counted")
    assert count("exceptions_total") == failed + 1
    assert count("request_duration_seconds_bucket", "+Inf") == before + 4 == count("request_duration_seconds_count")
    assert daemon.ctl("reload", "hers").returncode == 0
    assert count("reloads_total") == reloads + 1
    assert count("requests_total") >= before + 4, "what is counted never goes down"
    now = metrics(daemon)
    assert now["emperor_vassal_workers", "hers", ""] == 2 and now["emperor_vassal_up", "hers", ""] == 1
    assert now["emperor_vassal_resident_memory_bytes", "hers", ""] > 1_000_000
    assert now["emperor_vassal_state", "hers", "RUNNING"] == 1
    assert now["emperor_socket_listen_queue", "hers", f"uwsgi {hers.socket}"] == 0
    assert now["emperor_socket_listen_queue_max", "hers", f"uwsgi {hers.socket}"] > 0
    assert now["emperor_vassals", "", "RUNNING"] >= 1 and now["emperor_up", "", ""] == 1
    assert any(name == "emperor_build_info" for name, _, _ in now)


def test_metrics_are_of_ones_own_vassals(daemon: Emperor, hers: Vassal, his: Vassal, users: Users) -> None:
    assert {vassal for _, vassal, _ in metrics(daemon, users.bob)} == {"", "his"}
    assert {vassal for _, vassal, _ in metrics(daemon, people.account("nobody"))} == {""}


def test_the_textfile_is_replaced_whole_and_without_an_emperor_says_so(
    daemon: Emperor, hers: Vassal, shared_folder: Path, options: list[str]
) -> None:
    path = shared_folder / "emperor.prom"
    assert daemon.ctl("metrics", "--textfile", str(path)).returncode == 0
    first = path.stat()
    assert stat.S_IMODE(first.st_mode) == 0o644
    assert ("emperor_vassal_up", "hers", "") in parsed(path.read_text())
    assert daemon.ctl("metrics", "--textfile", str(path)).returncode == 0
    assert path.stat().st_ino != first.st_ino
    nowhere = daemon.ctl("metrics", "--textfile", str(shared_folder / "no" / "folder"))
    assert nowhere.returncode == 1 and nowhere.stderr.endswith(f" -- mkdir -p {shared_folder}/no\n")
    assert daemon.stop() == 0
    try:
        for verb in (
            ["metrics", "--textfile", str(path)],
            ["metrics"],
            ["events"],
            ["events", "-f"],
            ["config", "hers"],
        ):
            done = daemon.ctl(*verb)
            assert done.returncode == 7 and done.stderr and not done.stdout, verb
        assert parsed(path.read_text()) == {("emperor_up", "", ""): 0}
        assert not [one for one in os.listdir(shared_folder) if one.startswith(".")]
    finally:
        daemon.start(*options)
