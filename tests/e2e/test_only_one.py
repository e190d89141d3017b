"""There is one emperor for a folder, one vassal for an address, and a limit to what starts at the same time."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Row, Vassal, chown, ini
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.requirements import needs

TAKEN = "is vassal {}'s already -- give one of the two another address"


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def refused(second: Emperor, *options: str, folder: object) -> str:
    """What the second emperor says before it ends."""
    second.launch(*options, folders=[folder])
    assert second.process
    assert second.process.wait(DEADLINE) == 1
    return second.log_text


# One emperor ------------------------------------------------------------------------------------------------------


def test_a_second_emperor_on_the_same_folder_does_not_start_and_names_the_first(emperor: StartEmperor) -> None:
    first, second = emperor().start(), emperor()
    row = first.add("site").running()
    link = second.root / "link"
    link.symlink_to(first.vassals)
    first_one = f"the emperor with pid {first.pid} ({first.control}) holds it -- this emperor does not start"
    for place in (first.vassals, f"{first.vassals}/*.ini", link):
        assert first_one in refused(second, "--pidfile", str(second.root / "pid"), folder=place)
        second.log.unlink()
    assert not (second.root / "pid").exists()
    assert first.row("site")["pid"] == row["pid"]


def test_a_second_emperor_on_the_same_control_socket_names_the_first(emperor: StartEmperor) -> None:
    first, second = emperor().start(), emperor()
    second.control = first.control
    text = refused(second, folder=second.vassals)
    assert f"{first.control}: the emperor with pid {first.pid} answers there -- this emperor does not start" in text
    first.status()


def test_what_only_looks_takes_no_lock_and_needs_none(emperor: StartEmperor) -> None:
    first = emperor().start()
    first.add("site").running()
    done = first.person.run(str(first.programs / "emperor"), "--check", str(first.vassals), check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{first.vassals}/site.ini: OK")


def test_the_folder_of_an_emperor_that_was_killed_is_free(emperor: StartEmperor) -> None:
    first, second = emperor().start(), emperor()
    first.add("site").running()
    first.kill()
    second.start(folders=[first.vassals])
    second.wait_for(lambda rows: [one["state"] for one in rows] == ["RUNNING"], "the vassal is the second's")


def test_a_folder_that_comes_later_is_one_emperors_alone_until_that_one_ends(emperor: StartEmperor) -> None:
    one, other = emperor(), emperor()
    common = one.root / "late.d"
    for each in (one, other):
        each.start(folders=[each.vassals, common])
    site = one.place("site")
    fresh = one.root / "fresh.d"
    fresh.mkdir(mode=0o755)
    (fresh / "site.ini").write_text(ini(**{**site.options, "socket": one.root / "x.sock"}))
    fresh.rename(common)
    rows = wait_for(lambda: {each.control: each.status() for each in (one, other)}, lambda rows: any(rows.values()))
    first, second = (one, other) if rows[one.control] else (other, one)
    second.wait_for_log(
        f"{common}: warning: the emperor with pid {first.pid} ({first.control}) holds it -- its vassals stay"
    )
    assert second.status() == []
    assert first.stop() == 0
    second.wait_for(lambda rows: [row["state"] for row in rows] == ["RUNNING"], "it serves them now")
    assert f"{common}: is free now: this emperor serves it" in second.log_text


# One address ------------------------------------------------------------------------------------------------------


def two(daemon: Emperor, socket: object) -> tuple[Vassal, Vassal]:
    """``first`` runs, ``second`` names the same socket and is refused."""
    first = daemon.add("first", socket=socket)
    row = first.running()
    second = daemon.add("second", socket=socket)
    error = second.state("INVALID")["error"]
    assert error == f"{second.ini}:{_line(second)}: socket: {socket} {TAKEN.format('first')}"
    assert first.row()["pid"] == row["pid"]
    return first, second


def _line(vassal: Vassal) -> int:
    lines = vassal.ini.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith("socket"))


def test_the_second_ini_of_a_socket_is_invalid_and_comes_up_when_the_first_is_removed(daemon: Emperor) -> None:
    first, second = two(daemon, daemon.run / "x.sock")
    assert daemon.ctl("reload", "second").returncode == 6
    done = daemon.ctl("start", "second")
    assert done.returncode != 0 and "is vassal first's already" in done.stdout + done.stderr
    visitors = [first.visitor() for _ in range(4)]
    first.ini.unlink()
    second.running()
    assert {one.answer().status for one in visitors} == {200}
    assert second.get().json["pid"]


def test_it_comes_up_when_the_first_names_another_socket(daemon: Emperor) -> None:
    first, second = two(daemon, daemon.run / "x.sock")
    first.write(socket=daemon.run / "y.sock")
    second.running()
    assert [one["address"] for one in first.running()["sockets"]] == [str(daemon.run / "y.sock")]
    assert first.get().json["pid"] != second.get().json["pid"]


def test_a_running_vassal_whose_new_ini_names_anothers_socket_runs_on(daemon: Emperor) -> None:
    first = daemon.add("first", socket=daemon.run / "x.sock")
    second = daemon.add("second", socket=daemon.run / "y.sock")
    first.running()
    row = second.running()
    second.write(socket=daemon.run / "x.sock")
    second.until(lambda now: "is vassal first's already" in (now["error"] or ""), "the refusal is shown")
    assert (second.row()["state"], second.row()["pid"]) == ("RUNNING", row["pid"])
    first.ini.unlink()
    second.until(lambda now: now["error"] is None and now["pid"] != row["pid"], "it has the socket")
    assert [one["address"] for one in second.running()["sockets"]] == [str(daemon.run / "x.sock")]


def test_two_that_swap_their_sockets_have_them_once_one_is_stopped(daemon: Emperor) -> None:
    paths = {"blue": daemon.run / "x.sock", "green": daemon.run / "y.sock"}
    blue, green = (daemon.add(name, socket=path) for name, path in paths.items())
    pids = {one.name: one.running()["pid"] for one in (blue, green)}
    blue.write(socket=paths["green"])
    green.write(socket=paths["blue"])
    frees = "is still open in vassal {0}, whose new ini is refused -- emperorctl stop {0} frees it"
    for one, other in ((blue, green), (green, blue)):
        words = frees.format(other.name)
        wait_for(lambda one=one: one.row()["error"] or "", lambda error, words=words: words in error)  # type: ignore[misc]  # mypy infers no defaults
        assert (one.row()["state"], one.row()["pid"]) == ("RUNNING", pids[one.name])
    assert daemon.ctl("stop", "blue").returncode == 0
    green.until(lambda now: now["error"] is None and now["pid"] != pids["green"], "it has the other's socket")
    assert daemon.ctl("start", "blue").returncode == 0
    for one, other in ((blue, green), (green, blue)):
        assert [held["address"] for held in one.running()["sockets"]] == [str(paths[other.name])]


def test_very_many_that_wait_for_one_socket_keep_nobody_else_waiting(daemon: Emperor) -> None:
    first, *others = [daemon.place(f"v{number:02}", socket=daemon.run / "x.sock") for number in range(40)]
    first.write()
    first.running()
    for one in others:
        one.write()
    daemon.wait_for(lambda rows: [row["state"] for row in rows].count("INVALID") == len(others), "one has it")
    first.ini.unlink()

    # It is whose ini was read first, and of several that were written at once that may be any.
    def heirs(rows: list[Row]) -> list[str]:
        return [row["name"] for row in rows if row["state"] == "RUNNING" and row["name"] != first.name]

    (heir,) = heirs(daemon.wait_for(heirs, "another one has it"))
    for one in others:
        if one.name != heir:
            one.until(lambda now: (now["error"] or "").endswith(TAKEN.format(heir)), "it is told whose it is now")


def test_at_the_start_the_alphabet_decides(emperor: StartEmperor) -> None:
    daemon = emperor()
    vassals = [daemon.add(name, socket=daemon.run / "x.sock") for name in ("c", "a", "b")]
    daemon.start()
    vassals[1].running()
    assert {one["name"]: one["state"] for one in daemon.status()} == {"a": "RUNNING", "b": "INVALID", "c": "INVALID"}
    vassals[1].ini.unlink()
    vassals[2].running()
    assert vassals[0].state("INVALID")["error"].endswith(TAKEN.format("b"))


def test_a_renamed_ini_takes_its_socket_along_and_nobody_is_refused(daemon: Emperor) -> None:
    site = daemon.add("site", socket=daemon.run / "x.sock")
    site.running()
    with site.crowd() as crowd:
        site.ini.rename(daemon.vassals / "other.ini")
        daemon.wait_for(lambda rows: [(r["name"], r["state"]) for r in rows] == [("other", "RUNNING")], "other alone")
    assert (crowd.refused, crowd.lost) == ([], [])
    assert not re.search(r"INVALID|BACKOFF", daemon.log_text)


def test_a_check_tells_it_too(emperor: StartEmperor) -> None:
    daemon = emperor()
    for name in ("a", "b"):
        daemon.add(name, socket=daemon.run / "x.sock")
    for command in (("emperor", "--check", daemon.vassals), ("emperorctl", "check", *sorted(daemon.vassals.iterdir()))):
        program, *words = map(str, command)
        done = daemon.person.run(str(daemon.programs / program), *words, check=False)
        assert done.returncode == 1
        assert f"{daemon.vassals}/a.ini: OK" in done.stdout
        assert TAKEN.format("a") in done.stdout


@needs("root")
def test_a_users_ini_cannot_keep_roots_app_from_starting_by_naming_its_socket(
    emperor: StartEmperor, users: Users
) -> None:
    daemon = emperor()
    theirs = daemon.place("aaa", users.alice, uid=None, gid=None, socket=daemon.root / "x.sock").write()
    chown(theirs.ini, users.alice)
    daemon.start()
    theirs.state("BACKOFF")
    roots = daemon.add("blog", socket=daemon.root / "x.sock")
    roots.running()
    assert theirs.state("INVALID")["error"].endswith(TAKEN.format("blog"))
    daemon.stop()
    daemon.start()
    roots.running()
    theirs.state("INVALID")


# So many at once --------------------------------------------------------------------------------------------------

SLOW = """
import os, time
folder = os.path.dirname(os.path.abspath(__file__)) + "/.."
mark = f"{folder}/{os.getpid()}.starting"
open(mark, "w").close()
with open(f"{folder}/seen", "a") as seen:
    seen.write(f"{len([one for one in os.listdir(folder) if one.endswith('.starting')])}\\n")
time.sleep(0.3)
os.unlink(mark)
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
"""


def slow(daemon: Emperor, name: str) -> Vassal:
    """An app whose import tells how many import at the same time."""
    vassal = daemon.place(name)
    (vassal.folder / "app.py").write_text(SLOW)
    (daemon.root / "apps").chmod(0o777)
    return vassal.write()


def test_no_more_than_so_many_start_at_once_and_a_reload_of_all_passes_the_same_gate(emperor: StartEmperor) -> None:
    daemon = emperor()
    vassals = [slow(daemon, f"v{number:02}") for number in range(8)]
    seen = daemon.root / "apps" / "seen"
    daemon.start("--max-starting", "2")
    rows = daemon.wait_for(lambda rows: any(row["state"] == "RUNNING" for row in rows), "the first one")
    assert {row["state"] for row in rows} == {"RUNNING", "STARTING"}
    daemon.wait_for(lambda rows: all(row["state"] == "RUNNING" for row in rows), "all run")
    assert daemon.ctl("reload", "all").returncode == 0
    counts = [int(line) for line in seen.read_text().split()]
    assert len(counts) == 2 * len(vassals)
    # More than two, only if one of them took so long that its place lapsed.
    assert max(counts) <= 4


def test_hanging_imports_do_not_keep_the_others_from_starting(emperor: StartEmperor) -> None:
    daemon = emperor()
    hanging = [daemon.place(f"a{number}", start_timeout=60) for number in range(2)]
    for one in hanging:
        (one.folder / "app.py").write_text("import time\ntime.sleep(3600)\n")
        one.write()
    site = daemon.add("site")
    daemon.start("--max-starting", "2")
    site.running()
    assert {one.row()["state"] for one in hanging} == {"STARTING"}
    assert site.row()["restarts"] == 0


def test_who_waits_for_its_turn_can_be_stopped_and_all_can_end(emperor: StartEmperor) -> None:
    daemon = emperor()
    hanging = daemon.place("a", start_timeout=60)
    (hanging.folder / "app.py").write_text("import time\ntime.sleep(3600)\n")
    hanging.write()
    waiting = [daemon.add(f"b{number}") for number in range(3)]
    daemon.start("--max-starting", "1")
    daemon.wait_for(lambda rows: [row["state"] for row in rows] == ["STARTING"] * 4, "all are starting")
    stopped = next(one for one in reversed(waiting) if one.row()["pid"] is None)
    assert daemon.ctl("stop", stopped.name).returncode == 0
    stopped.state("STOPPED")
    below = procfs.descendants(daemon.pid)
    assert daemon.stop() == 0
    assert not [pid for pid in below if procfs.alive(pid)]


def test_a_number_that_is_none_is_refused(emperor: StartEmperor) -> None:
    daemon = emperor()
    for word in ("0", "-1", "many"):
        done = daemon.person.run(str(daemon.programs / "emperor"), f"--max-starting={word}", check=False)
        assert (done.returncode, "max-starting: must be a whole number from 1" in done.stderr) == (2, True)
