"""App code against its emperor, its own supervision, and everybody else: tests/apps/villain.py tries everything.

One daemon of root's, alice's vassals, and one of bob's that must not notice. Rows B1 to B10 of docs/security.md.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.supervision.ration import DATAGRAMS
from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import ROOTS_SECRET, Emperor, Row, Vassal
from tests.e2e.harness.hostile import settled_descriptors
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for, within
from tests.requirements import needs

pytestmark = needs("root", "useradd")

SECRETS = {
    **{"NOTIFY_SOCKET": "@nobody-of-emperors", "LISTEN_FDS": "1", "LISTEN_PID": "1", "WATCHDOG_USEC": "99000000"},
    **{"SUDO_USER": "root", "SUDO_COMMAND": "/bin/sh", "DATABASE_PASSWORD": "hunter2", "XDG_RUNTIME_DIR": "/run/root"},
}
"""Of the emperor's own environment."""


@pytest.fixture(scope="module")
def daemon(shared_folder: Path, emperor_venv: Path, users: Users) -> Iterator[Emperor]:
    one = Emperor(emperor_venv / "bin", shared_folder / "e", people.current(), users.alice)
    try:
        yield one.start(**SECRETS)
    finally:
        one.dispose()


@pytest.fixture(scope="module")
def bobs(daemon: Emperor, users: Users) -> tuple[Vassal, Row]:
    site = daemon.add("bobs", users.bob)
    return site, site.running()


@pytest.fixture(autouse=True)
def nobody_else_noticed(daemon: Emperor, bobs: tuple[Vassal, Row]) -> Iterator[None]:
    """After each test the emperor answers, has said nothing of a bug, and bob's vassal is the same process."""
    site, before = bobs
    descriptors = settled_descriptors(daemon)
    yield
    answers(daemon)
    assert site.get().status == 200
    after = site.row()
    assert (after["pid"], after["restarts"]) == (before["pid"], 0)
    assert [one["pid"] for one in after["workers"]] == [one["pid"] for one in before["workers"]]
    assert "daemon.py" not in daemon.log_text and "tending/" not in daemon.log_text, "a traceback of the emperor's"
    # After an upgrade the library that older vassals still use is held besides its own.
    wait_for(lambda: settled_descriptors(daemon), lambda seen: seen <= descriptors + 2, "no descriptor is left behind")


@pytest.fixture
def villain(daemon: Emperor) -> Iterator[Any]:
    """A factory of alice's vassals; they are gone, with all processes of hers, when the test is over."""
    made: list[Vassal] = []

    def make(name: str, at_import: str = "", env: tuple[str, ...] = (), **options: Any) -> Vassal:
        site = daemon.place(name, app="villain.py", **{"reload_mercy": 1, **options})
        made.append(site)
        return site.write(env=[*env, *([f"AT_IMPORT={at_import}"] if at_import else [])])

    yield make
    for site in made:
        site.ini.unlink(missing_ok=True)
    names = {site.name for site in made}
    daemon.wait_for(lambda rows: not names & {row["name"] for row in rows}, "alice's vassals are gone")
    alice = daemon.owner.uid
    wait_for(lambda: people.processes_of(alice), lambda pids: not pids, "no process of hers is left")
    for site in made:
        shutil.rmtree(site.folder)


def answers(daemon: Emperor) -> None:
    with within(20):
        assert daemon.ctl("status").returncode in (0, 3)


def try_to_get(site: Vassal, target: str) -> int:
    """0: there was no answer."""
    try:
        return site.get(target).status
    except OSError:
        return 0


def is_just(pid: int, person: Person) -> None:
    """As the kernel sees it from outside."""
    assert procfs.uids(pid) == [person.uid] * 4
    assert procfs.gids(pid) == [person.gid] * 4
    assert procfs.groups(pid) == set(person.groups)
    assert procfs.status(pid)["NoNewPrivs"] == "1"
    assert set(procfs.capabilities(pid).values()) == {0}


# B1 ------------------------------------------------------------------------------------------------------------------


def worker_behind(site: Vassal, old: int) -> int:
    """The pid of the one that serves in the place of ``old``."""
    pid: int = wait_for(lambda: site.get("/who").json["pid"], lambda seen: seen != old, "another worker")
    return pid


def regained(site: Vassal, program: Path) -> Any:
    """On a machine that stalls harakiri ends it before it has tried everything."""

    def attempt() -> Any:
        try:
            return site.get(f"/regain?{program}").json
        except OSError:
            return None

    return wait_for(attempt, what="a worker that has the time")


@pytest.mark.parametrize("lazy", ["false", "true"], ids=["", "lazy"])
def test_no_process_of_an_app_regains_anything(
    daemon: Emperor, villain: Any, users: Users, shared_folder: Path, lazy: str
) -> None:
    program = shared_folder / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o6755)
    site = villain("v", f"regain?{program}", lazy_apps=lazy, harakiri=1, max_requests=4, min_worker_lifetime=0)
    row = site.running()
    seen = site.get("/who").json
    is_just(row["pid"], users.alice)
    is_just(seen["pid"], users.alice)
    for got in (seen["at_import"][f"regain?{program}"], regained(site, program)):
        assert got["worked"] == []
        assert (got["uids"], got["gids"]) == ([users.alice.uid] * 3, [users.alice.gid] * 3)
        assert set(got["groups"]) == set(users.alice.groups)
    assert try_to_get(site, "/hangs") == 0
    after_harakiri = worker_behind(site, seen["pid"])
    is_just(after_harakiri, users.alice)
    renewed = worker_behind(site, after_harakiri)
    is_just(renewed, users.alice)
    assert regained(site, program)["worked"] == []
    for pid in procfs.descendants(daemon.pid):
        assert procfs.status(pid)["NoNewPrivs"] == "1"


# B2 ------------------------------------------------------------------------------------------------------------------


def test_what_an_app_inherits_is_what_the_design_promises_and_nothing_else(
    daemon: Emperor, villain: Any, users: Users
) -> None:
    site = villain("v", "has")
    site.running()
    at_import = site.get("/who").json["at_import"]["has"]
    in_worker = site.get("/has").json
    mine = f"listener {site.socket}"
    assert sorted(at_import["descriptors"].values()) == sorted(
        ["/dev/null", "pipe", "pipe", "socket SOCK_SEQPACKET", mine]
    )
    # Its own epoll, bell, output and connection.
    assert sorted(in_worker["descriptors"].values()) == sorted(
        ["/dev/null", *["pipe"] * 5, "eventpoll", "socket SOCK_STREAM", mine]
    )
    for environ in (at_import["environ"], in_worker["environ"]):
        # Only while the app is imported, as Flask's own programs do it.
        assert environ.pop("FLASK_RUN_FROM_CLI", "true") == "true"
        assert environ == {
            "AT_IMPORT": "has",
            "HOME": str(users.alice.home),
            "LANG": "C.UTF-8",
            "LOGNAME": users.alice.name,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SHELL": "/bin/sh",
            "USER": users.alice.name,
        }
    for pid in (site.row()["pid"], site.get("/who").json["pid"]):
        raw = Path(f"/proc/{pid}/environ").read_text()
        assert not [one for one in (*SECRETS, "hunter2", ROOTS_SECRET) if one in raw]


# B3 ------------------------------------------------------------------------------------------------------------------


def words_of(daemon: Emperor) -> None:
    """Whatever asks for what a vassal has said of itself comes to its end, and nobody's terminal is steered."""
    for words in (["status"], ["status", "v"], ["status", "--json"], ["metrics"], ["events"], ["logs", "v"]):
        done = daemon.ctl(*words)
        assert done.returncode in (0, 3), (words, done)
        assert "Traceback" not in done.stderr
        assert not {"\x1b", "\x07"} & set(done.stdout)
    assert len(json.loads(daemon.ctl("status", "--json").stdout)) == 2


def test_lies_on_the_channel_are_shown_and_cost_nobody_anything(daemon: Emperor, villain: Any) -> None:
    site = villain("v", "keep_channel lies", touch_reload="/nowhere/at/all")
    site.running()
    assert not site.get("/has_channel").json or site.get("/lies").status == 200
    words_of(daemon)
    for _ in range(3):
        # Sums over generations are larger than any number that a message may hold.
        assert daemon.ctl("reload", "v").returncode == 0
        assert site.get("/lies").status == 200
        words_of(daemon)
    assert daemon.ctl("upgrade").returncode == 0, daemon.log_text
    words_of(daemon)
    assert procfs.alive(daemon.pid)


def test_without_its_help_a_worker_has_no_channel(villain: Any) -> None:
    site = villain("v")
    site.running()
    assert site.get("/has_channel").json is False


@pytest.mark.parametrize("kind", ["deaths", "failed", "crewed", "listening", "serving", "stale"])
def test_a_flood_of_one_kind_of_message_is_a_trickle(daemon: Emperor, villain: Any, bobs: Any, kind: str) -> None:
    stop = daemon.root / f"stop-{kind}"
    # Each generation says at once that it is stale: the first thing that the emperor hears of it.
    early = " flood?stale" if kind == "stale" else ""
    site = villain("v", f"keep_channel{early}", (f"STOP={stop}",), touch_reload="/nowhere/at/all")
    site.state("RUNNING", "RELOADING")
    assert early or site.get(f"/flood?{kind}").status == 200
    began, size = os.times().elapsed, daemon.log.stat().st_size
    while os.times().elapsed < began + 2:
        assert bobs[0].get().status == 200
        answers(daemon)
        sent = site.get("/flooded").json
        assert 0 <= sent["count"] <= DATAGRAMS * (sent["seconds"] + 1) + sent["room"]
    took = os.times().elapsed - began
    assert (daemon.log.stat().st_size - size) / took < 512 * 1024
    stop.touch()


@pytest.mark.parametrize("what", ["listening:1", "listening:2", "listening:253", "lines:253", "serving:1", "failed:9"])
def test_a_bomb_of_descriptors_goes_off_at_its_maker(daemon: Emperor, villain: Any, what: str) -> None:
    """Sockets in flight within sockets in flight, epolls that watch each other, memfds, pidfds, the channel itself."""
    site = villain("v", "keep_channel")
    site.running()
    before, threads = settled_descriptors(daemon), len(os.listdir(f"/proc/{daemon.pid}/task"))
    deaf, log = "its channel is not listened to any more", daemon.log_text
    assert site.get(f"/bomb?{what}").json["sent"] > 0
    wait_for(lambda: daemon.log_text.count(deaf), lambda seen: seen > log.count(deaf), "it is not listened to")
    assert settled_descriptors(daemon) <= before
    wait_for(lambda: len(os.listdir(f"/proc/{daemon.pid}/task")), lambda seen: seen <= threads, "its threads")
    # It still serves, and what it was replaced by is heard again.
    assert site.get("/who").status == 200
    assert daemon.ctl("reload", "v").returncode == 0


def test_a_listener_that_is_not_its_own_and_rubbish_make_the_channel_deaf(daemon: Emperor, villain: Any) -> None:
    words = ["hand_up?tcp", "hand_up?elsewhere", "hand_up?deaf", "hand_up?datagrams"]
    # An empty message is the end of the channel, and nothing is wrong with that.
    words += [f"rubbish?{number}" for number in range(1, 7)]
    names = []
    for word in words:
        name = word.replace("?", "-")
        path = daemon.root / "apps" / name / "own.sock"
        villain(name, f"keep_channel {word}", (f"MINE={path}",), socket=path, start_timeout=20)
        names.append(name)
    for name in names:
        deaf = re.compile(rf"{name}: warning: .*its channel is not listened to any more")
        wait_for(lambda: daemon.log_text, deaf.search, f"{name} is not listened to", 60)
    assert "handed-up socket is of another family" in daemon.log_text
    assert "handed-up socket is bound elsewhere" in daemon.log_text
    assert "Traceback" not in daemon.log_text


# B4 ------------------------------------------------------------------------------------------------------------------


def test_rubbish_on_the_scoreboard_is_read_by_nobody_to_his_harm(daemon: Emperor, villain: Any) -> None:
    site = villain("v", harakiri=1, processes=3, cheaper=1, threads=2, stats=f"{daemon.root}/apps/v/stats")
    row = site.running()
    for kind in ("nan", "infinity", "later", "early", "ones", "noise", "forever"):
        assert site.get(f"/scribble?{kind}").json > 0, "it has found no scoreboard"
        words_of(daemon)
        assert try_to_get(site, "/hangs") == 0 if kind in ("infinity", "later") else True, "harakiri has ended it"
        wait_for(lambda: try_to_get(site, "/who"), lambda code: code == 200, f"it serves after {kind}")
    assert site.row()["pid"] == row["pid"]
    assert "Traceback" not in daemon.ctl("logs", "v", "-n", "500").stdout


# B5, B7 --------------------------------------------------------------------------------------------------------------


def test_processes_of_others_are_out_of_reach(daemon: Emperor, villain: Any, bobs: tuple[Vassal, Row]) -> None:
    site = villain("v")
    site.running()
    row = bobs[1]
    victims = [daemon.pid, row["pid"], *(one["pid"] for one in row["workers"])]
    found = site.get("/trespass?" + ",".join(map(str, victims))).json
    assert found == {str(pid): [] for pid in victims}
    # The same attempts succeed where she may.
    with subprocess.Popen(["sleep", "60"], **daemon.owner.popen_arguments()) as own:
        found = site.get(f"/trespass?{own.pid}").json
        # Its tracer would keep it from being reaped (ptrace(2)).
        assert daemon.ctl("stop", "v").returncode == 0
        assert {"signal 0", "STOP", "KILL"} <= set(found[str(own.pid)])


# B6, B9 --------------------------------------------------------------------------------------------------------------


def test_who_does_not_want_to_go_is_gone_after_its_mercy(daemon: Emperor, villain: Any) -> None:
    """No death by the parent's, deaf to all signals, in a session of its own; its vassal stopped besides."""
    site = villain("v", "lives_on", processes=2)
    row = site.running()
    assert site.get("/lives_on").status == 200
    assert daemon.ctl("reload", "v").returncode == 0
    # Who hears no TERM accepts to the last: its workers too have to be gone before the next is asked.
    older = [row["pid"], *(one["pid"] for one in row["workers"])]
    wait_for(lambda: [one for one in older if procfs.alive(one)], lambda left: not left, "the older ones are gone")
    assert site.get("/lives_on").status == 200
    assert site.get("/stops_vassal").status == 200
    pids = people.processes_of(daemon.owner.uid)
    assert len(pids) >= 3
    assert daemon.ctl("stop", "v").returncode == 0
    wait_for(lambda: [one for one in pids if procfs.alive(one)], lambda left: not left, "all of them are gone")


def test_one_that_stops_itself_is_killed_by_harakiri(daemon: Emperor, villain: Any) -> None:
    site = villain("v", harakiri=1)
    site.running()
    assert try_to_get(site, "/stops") == 0
    assert site.get("/who").status == 200


def test_a_fork_bomb_is_bounded_and_ends_with_its_vassal(daemon: Emperor, villain: Any, bobs: Any) -> None:
    """The limit is the user's, as LimitNPROC= of the unit has it: in the vassal it is not the ini's to raise."""
    alice, before = daemon.owner.uid, resource.prlimit(daemon.pid, resource.RLIMIT_NPROC)
    # The soft one: not everywhere root may raise a hard one again.
    resource.prlimit(daemon.pid, resource.RLIMIT_NPROC, (60, before[1]))
    try:
        site = villain("v")
        site.running()
        assert site.get("/fork_bomb").status == 200
        wait_for(lambda: len(people.processes_of(alice)), lambda number: number > 50, "it goes off")
        assert len(people.processes_of(alice)) <= 60
        assert bobs[0].get().status == 200
        answers(daemon)
        assert daemon.ctl("stop", "v").returncode == 0
        wait_for(lambda: people.processes_of(alice), lambda pids: not pids, "nobody of hers is left")
        assert daemon.ctl("start", "v").returncode == 0
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NPROC, before)


# B10, and the life of a worker ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_what_an_app_does_to_its_worker_ends_with_it(daemon: Emperor, villain: Any, threads: int) -> None:
    site = villain("v", threads=threads)
    vassal = site.running()["pid"]
    fresh = {key: value for key, value in site.get("/itself").json.items() if key != "pid"}
    assert fresh["umask"] == 0o022 and fresh["blocked"] == "0" * 16 and fresh["left"] is None
    changed = site.get("/changes_itself").json
    assert changed["umask"] == 0 and changed["cwd"] == "/" and changed["nice"] == fresh["nice"] + 5
    os.kill(changed["pid"], signal.SIGKILL)

    def like_the_first() -> bool:
        now = site.get("/itself").json
        return bool(now.pop("pid") != changed["pid"] and now == fresh)

    wait_for(like_the_first, what="the next worker is as the first one was")
    assert site.row()["pid"] == vassal
    changed = site.get("/changes_itself").json
    assert daemon.ctl("reload", "v").returncode == 0
    wait_for(lambda: procfs.alive(changed["pid"]), lambda lives: not lives, "the older worker is gone")
    assert like_the_first(), "the next generation's is as the first one was"


@pytest.mark.parametrize("engine", ["one-thread", "threads", "flup"])
def test_a_worker_that_is_broken_from_within_is_replaced(daemon: Emperor, villain: Any, engine: str) -> None:
    flup: dict[str, object] = {"fastcgi_engine": "flup", "fastcgi_socket": daemon.run / "flup.sock"}
    site = villain("v", threads=2 if engine == "threads" else 1, **(flup if engine == "flup" else {}))
    site.protocol = "fastcgi" if engine == "flup" else "uwsgi"
    vassal = site.running()["pid"]
    for word in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        first = site.get("/who").json["pid"]
        assert try_to_get(site, f"/leaves?{word}") == 500
        assert site.get("/who").json["pid"] == first, "it stays"
    for act in (f"kills?{signal.SIGSEGV}", f"kills?{signal.SIGKILL}", "exits?0", "exits?1", "closes"):
        old = site.get("/who").json["pid"]
        with within(20):
            assert try_to_get(site, f"/{act}") == 0
            assert worker_behind(site, old) != old
    assert site.get("/prints").status == 200
    assert site.get("/closes_output").status == 200
    assert site.get("/who").status == 200
    assert site.row()["pid"] == vassal
    words = daemon.ctl("logs", "v", "-n", "500").stdout
    assert "killed by SIGSEGV in GET /kills" in words and "exited with code 0 in GET /exits" in words
    assert "written by a villain" in words
