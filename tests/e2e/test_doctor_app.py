"""``emperorctl doctor`` at the app's side of the chain: each breakage is made, its 502 seen in a browser's place, the
finding read, the printed command typed as it stands, and the 200 seen."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import people
from tests.e2e.harness.daemon import Emperor, Vassal, chown, environ_for, replace_file
from tests.e2e.harness.fronts import ask
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import UWSGI, Nginx
from tests.requirements import needs

pytestmark = needs("root", "useradd", "nginx", "www-data", "venv", "setfacl")

Finding = dict[str, Any]
DOWN = (502, 504)
"""A socket that listens already keeps its visitors waiting while the app does not come up."""

NAMES = (
    *("folder", "mode", "umask", "mask", "closed", "python", "unreadable", "import", "stopped", "invalid", "behind"),
    *("squatted", "removed", "occupied", "left", "full", "hung", "slow", "mute", "fails", "stalled", "times", "well"),
    *("warned", "still", "changed", "mounted", "woken"),
)
SLOW_APP = """\
import time
def application(environ, start_response):
    time.sleep(2.2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"at last"]
"""
HANGING_IMPORT = "import time\ntime.sleep(1000)\n"
BOUND_AND_LEFT = "import os, socket, sys; os.unlink(sys.argv[1]); socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
SQUATS = """\
import os, socket, sys, time
os.unlink(sys.argv[1])
held = socket.socket(socket.AF_UNIX)
held.bind(sys.argv[1])
held.listen()
os.chmod(sys.argv[1], 0o777)
print("here", flush=True)
time.sleep(1000)
"""


class Town(NamedTuple):
    """One emperor, one nginx with a site for each vassal."""

    daemon: Emperor
    nginx: Nginx
    users: Users
    room: Path

    def folder(self, name: str) -> Path:
        """Of alice's, for a socket."""
        return self.room / "sockets" / name

    def add(self, name: str, **options: object) -> Vassal:
        return self.place(name, "facts.py", **options).write()

    def place(self, name: str, app: str = "facts.py", **options: object) -> Vassal:
        """Without its ini."""
        return self.daemon.place(name, self.users.alice, app, socket=self.folder(name) / "app.sock", **options)

    def status_of(self, name: str) -> int:
        return ask(self.nginx.port, "/facts", "GET", None, {"Host": f"{name}.example"}).status

    def doctor(self, name: str, *words: str, exits: int | None = 1) -> list[Finding]:
        done = self.daemon.ctl("doctor", name, "--json", "--as", "www-data", *self.where, *words)
        assert exits in (None, done.returncode), done.stdout + done.stderr
        found: list[Finding] = json.loads(done.stdout)
        return [one for one in found if one["subject"] == name]

    @property
    def where(self) -> tuple[str, ...]:
        return ("--nginx-conf", str(self.nginx.folder / "nginx.conf"))

    def finds(self, name: str, kind: str, *words: str) -> Finding:
        found = self.doctor(name, *words)
        chosen = next((one for one in found if one["kind"] == kind), None)
        assert chosen is not None, found
        return chosen

    def typed(self, finding: Finding) -> None:
        """Every line of its mend that is a command, as root types it."""
        environ = environ_for(people.current(), EMPEROR_CONTROL=str(self.daemon.control))
        environ["PATH"] = f"{self.daemon.programs}:{environ['PATH']}"
        for line in finding["mend"]:
            # A file of root's in a user's folder is looked at first.
            line = re.sub(r"^# once you see what [\w-]+ has there: ", "", line)
            if not line.startswith("#"):
                done = subprocess.run(["/bin/sh", "-c", line], env=environ, capture_output=True, text=True, cwd="/")
                assert done.returncode == 0 or line.startswith("ss "), f"{line}: {done.stdout}{done.stderr}"

    def serves(self, name: str) -> None:
        wait_for(lambda: self.status_of(name), lambda status: status == 200, f"{name}: 200 through nginx")


@pytest.fixture(scope="module")
def town(session_folder: Path, numbers: Iterator[int], emperor_venv: Path, users: Users) -> Iterator[Town]:
    room = session_folder / str(next(numbers))
    room.mkdir(mode=0o755)
    (room / "sockets").mkdir(mode=0o755)
    for name in NAMES:
        (room / "sockets" / name).mkdir(mode=0o755)
        chown(room / "sockets" / name, users.alice)
    daemon = Emperor(emperor_venv / "bin", room / "e", people.current(), users.alice)
    sites = {
        f"{name}.example": {"/": f"{UWSGI.format(room / 'sockets' / name / 'app.sock')} uwsgi_read_timeout 1s;"}
        for name in NAMES
    }
    with ExitStack() as ends:
        ends.callback(daemon.dispose)
        nginx = Nginx(room / "n", {"/": "return 404;"}, sites=sites)
        ends.callback(nginx.stop)
        yield Town(daemon.start(), nginx.start(), users, room)


@contextmanager
def as_person(person: Person, code: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A Python of theirs, that has said a line; ended with the block."""
    command = ["/usr/bin/python3", "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/", **person.popen_arguments()) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_of_an_app_that_is_well_nothing_is_found_and_how_it_answered_is_told(town: Town) -> None:
    town.add("well").running()
    town.serves("well")
    assert town.doctor("well", exits=0) == []
    done = town.daemon.ctl("doctor", "well", "--as", "www-data", *town.where)
    assert re.search(r"^well: OK: answered 200 in \d+ ms as www-data through unix:/", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout


def test_a_folder_that_the_web_server_cannot_enter_is_opened_to_it_alone(town: Town) -> None:
    town.folder("folder").chmod(0o700)
    town.add("folder").running()
    assert town.status_of("folder") == 502
    finding = town.finds("folder", "socket-folder")
    assert all(word in finding["what"] for word in ("www-data", town.users.alice.name, "0700"))
    town.typed(finding)
    town.serves("folder")


@pytest.mark.parametrize(("name", "option"), [("mode", {"chmod_socket": "755"}), ("umask", {"socket_umask": "022"})])
def test_a_socket_that_its_line_shuts_is_opened_and_the_line_is_named(
    town: Town, name: str, option: dict[str, str]
) -> None:
    town.add(name, **option).running()
    assert town.status_of(name) == 502
    assert "13: Permission denied" in town.nginx.error_log
    finding = town.finds(name, "socket-mode")
    assert all(word in finding["what"] for word in ("0755", "www-data", town.users.alice.name))
    assert next(iter(option)).replace("_", "-") in " ".join(finding["mend"])
    town.typed(finding)
    town.serves(name)


def test_a_mask_that_takes_away_what_an_acl_gives_is_named(town: Town) -> None:
    folder = town.folder("mask")
    subprocess.run(["setfacl", "-m", "d:u:www-data:rwx,u:www-data:rwx", str(folder)], check=True)
    town.add("mask", chmod_socket="640").running()
    assert town.status_of("mask") == 502
    finding = town.finds("mask", "socket-acl")
    assert "mask" in finding["what"]
    town.typed(finding)
    town.serves("mask")


def test_a_folder_that_the_apps_user_cannot_enter_is_opened(town: Town) -> None:
    vassal = town.place("closed", env="IMPORTS=/dev/null")
    os.chown(vassal.folder, 0, 0)
    vassal.folder.chmod(0o700)
    vassal.write().state("BACKOFF", "FATAL")
    assert town.status_of("closed") == 502
    finding = town.finds("closed", "app-path")
    town.typed(finding)
    town.serves("closed")


def test_a_script_that_the_apps_user_cannot_read_is_given_to_it_alone(town: Town) -> None:
    vassal = town.place("unreadable")
    script = vassal.folder / "app.py"
    os.chown(script, 0, 0)
    script.chmod(0o600)
    vassal.write().state("BACKOFF", "FATAL")
    assert town.status_of("unreadable") in DOWN
    town.typed(town.finds("unreadable", "app-path"))
    assert script.stat().st_mode & 0o007 == 0
    town.serves("unreadable")


def test_an_interpreter_that_the_apps_user_cannot_reach_is_opened(town: Town) -> None:
    lair = town.room / "lair"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(lair)], check=True)
    lair.chmod(0o700)
    town.add("python", virtualenv=lair).state("BACKOFF", "FATAL")
    assert town.status_of("python") == 502
    finding = town.finds("python", "app-python")
    assert str(lair) in finding["what"] and town.users.alice.name in finding["what"]
    town.typed(finding)
    town.serves("python")


def test_an_import_that_fails_is_shown_and_once_it_is_mended_that_is_seen(town: Town) -> None:
    vassal = town.place("import", "broken_import.py").write()
    vassal.state("BACKOFF", "FATAL")
    assert town.status_of("import") in DOWN
    finding = town.finds("import", "app-failed")
    assert "a_module_that_nobody_has" in finding["what"]
    vassal.app("facts.py")
    if vassal.row()["state"] != "RUNNING":
        town.typed(town.finds("import", "app-mended"))
    town.serves("import")


def test_what_was_stopped_on_purpose_is_started(town: Town) -> None:
    town.add("stopped").running()
    assert town.daemon.ctl("stop", "stopped").returncode == 0
    assert town.status_of("stopped") == 502
    town.typed(town.finds("stopped", "app-stopped"))
    town.serves("stopped")


def test_errors_of_an_ini_are_findings_whether_or_not_an_older_one_serves(town: Town) -> None:
    vassal = town.add("invalid", processes="many")
    vassal.state("INVALID")
    assert town.status_of("invalid") == 502
    finding = town.finds("invalid", "app-invalid")
    assert f"{vassal.ini}:" in finding["what"] and "processes" in finding["what"]
    vassal.write(processes="1").running()
    town.serves("invalid")
    vassal.write(processes="few").until(lambda row: row["error"], "the new ini is refused")
    found = town.finds("invalid", "ini-behind")
    assert found["weight"] == "may fail"
    town.serves("invalid")


def test_somebody_elses_listener_in_the_sockets_place_is_found(town: Town) -> None:
    vassal = town.add("squatted")
    vassal.running()
    with as_person(town.users.alice, SQUATS, vassal.socket):
        finding = town.finds("squatted", "socket-squatted")
        assert town.users.alice.name in finding["what"]
    town.typed(finding)
    town.serves("squatted")


def test_a_socket_without_a_listener_is_found(town: Town) -> None:
    vassal = town.add("left")
    row = vassal.running()
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        town.users.alice.run("/usr/bin/python3", "-c", BOUND_AND_LEFT, vassal.socket)
        os.chmod(vassal.socket, 0o777)
        assert town.status_of("left") == 502
        finding = town.finds("left", "socket-stale")
    finally:
        os.kill(row["pid"], signal.SIGCONT)
    os.unlink(vassal.socket)
    town.typed(finding)
    town.serves("left")


def test_a_socket_file_that_was_removed_is_missed(town: Town) -> None:
    vassal = town.add("removed")
    row = vassal.running()
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        os.unlink(vassal.socket)
        assert town.status_of("removed") == 502
        finding = town.finds("removed", "socket-missing")
    finally:
        os.kill(row["pid"], signal.SIGCONT)
    town.typed(finding)
    town.serves("removed")


def test_a_file_in_the_sockets_place_is_moved_away(town: Town) -> None:
    replace_file(town.folder("occupied") / "app.sock", "a file")
    town.add("occupied").state("BACKOFF", "FATAL")
    assert town.status_of("occupied") == 502
    town.typed(town.finds("occupied", "socket-occupied"))
    town.serves("occupied")


def test_a_full_queue_is_found(town: Town) -> None:
    vassal = town.add("full", listen=1)
    row = vassal.running()
    (worker,) = row["workers"]
    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        with ExitStack() as waiting:
            for _ in range(4):
                one = waiting.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect_ex(vassal.socket)
            assert town.status_of("full") == 502
            assert "listen = 1" in town.finds("full", "socket-full")["what"]
    finally:
        os.kill(worker["pid"], signal.SIGCONT)
    town.serves("full")


def test_a_request_that_hangs_is_found_by_those_who_wait_behind_it(town: Town) -> None:
    vassal = town.add("hung", reload_mercy=1)
    vassal.running()
    visitor, go = vassal.hold()
    vassal.until(lambda row: (row["workers"][0]["doing_for"] or 0) > 5, "a request that takes long")
    found = {one["kind"]: one for one in town.doctor("hung")}
    assert found.keys() >= {"app-silent", "app-stuck"}
    assert "/hold" in found["app-stuck"]["what"]
    town.typed(found["app-stuck"])
    go.touch()
    with pytest.raises((OSError, AssertionError, ValueError)):
        visitor.answer()
    town.serves("hung")


def test_an_answer_that_takes_long_is_told_with_its_time(town: Town) -> None:
    vassal = town.place("slow")
    vassal.own(replace_file(vassal.folder / "app.py", SLOW_APP))
    vassal.write().running()
    finding = town.finds("slow", "app-slow")
    assert finding["weight"] == "may fail" and "2.2 s" in finding["what"]


MOUNTED_APP = """\
def application(environ, start_response):
    known = environ["PATH_INFO"] in ("/", "/facts")
    start_response("200 OK" if known else "404 Not Found", [("Content-Type", "text/plain")])
    return [b"shop"]
"""


def test_a_mount_of_which_the_app_knows_nothing_is_told(town: Town) -> None:
    vassal = town.place("mounted", module=None, wsgi_file=None, mount="/shop=app.py")
    vassal.own(replace_file(vassal.folder / "app.py", MOUNTED_APP))
    vassal.write().running()
    finding = town.finds("mounted", "app-mount")
    assert "404" in finding["what"] and "manage-script-name = true" in finding["mend"][0]
    vassal.write(manage_script_name="true").until(
        lambda row: row["uptime"] is not None and row["state"] == "RUNNING", "it"
    )
    wait_for(
        lambda: town.doctor("mounted", exits=None),
        lambda found: "app-mount" not in [one["kind"] for one in found],
        "mended",
    )


def test_a_log_that_cannot_be_opened_is_made_room_for(town: Town) -> None:
    log = town.room / "logs" / "warned.log"
    vassal = town.add("warned", logto=log)
    vassal.running()
    vassal.until(lambda row: any("logto" in one for one in row["warnings"]), "a warning")
    finding = town.finds("warned", "warned")
    assert finding["weight"] == "may fail" and "No such file" in finding["what"]
    town.typed(finding)
    vassal.until(lambda row: not row["warnings"] and row["state"] == "RUNNING", "no warning any more")


def test_one_that_sleeps_and_cannot_be_woken_says_why(town: Town) -> None:
    vassal = town.add("woken", on_demand="true")
    vassal.state("IDLE")
    vassal.own(replace_file(vassal.folder / "app.py", "import a_module_that_nobody_has\n"))
    finding = town.finds("woken", "app-failed")
    assert "a_module_that_nobody_has" in finding["what"]


def test_a_worker_that_is_stopped_goes_on(town: Town) -> None:
    vassal = town.add("still")
    (worker,) = vassal.running()["workers"]
    os.kill(worker["pid"], signal.SIGSTOP)
    assert town.status_of("still") == 504
    finding = town.finds("still", "app-stuck")
    assert f"pid {worker['pid']}" in finding["what"]
    town.typed(finding)
    town.serves("still")


def test_a_socket_that_was_changed_by_hand_is_changed_back(town: Town) -> None:
    vassal = town.add("changed")
    vassal.running()
    town.serves("changed")
    os.chown(vassal.socket, 0, 0)
    os.chmod(vassal.socket, 0o600)
    assert town.status_of("changed") == 502
    finding = town.finds("changed", "socket-acl")
    assert "emperorctl stop changed && emperorctl start changed" in finding["mend"]
    town.typed(finding)
    town.serves("changed")


def test_workers_that_die_young_are_found(town: Town) -> None:
    vassal = town.place("mute", "dies_young.py")
    vassal.write().running()
    vassal.own(replace_file(vassal.folder / "die", ""))
    for worker in vassal.row()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
    vassal.until(lambda row: row.get("serves") is False, "nobody serves")
    assert "no worker serves" in town.finds("mute", "app-mute")["what"]
    (vassal.folder / "die").unlink()
    town.serves("mute")


def test_an_error_of_the_apps_is_shown_with_its_traceback(town: Town) -> None:
    town.add("fails").running()
    finding = town.finds("fails", "app-error", "--path", "/fail")
    assert "500" in finding["what"] and "Traceback" in finding["why"]


def test_an_import_that_does_not_end_is_found(town: Town) -> None:
    vassal = town.place("stalled")
    vassal.own(replace_file(vassal.folder / "app.py", HANGING_IMPORT))
    vassal.write().until(lambda row: row.get("state") == "STARTING" and (row["uptime"] or 0) > 5, "a long start")
    assert "start-timeout" in town.finds("stalled", "app-stalled")["what"]


def test_times_that_contradict_each_other_are_told(town: Town) -> None:
    town.add("times", harakiri=60, reload_mercy=10).running()
    finding = town.finds("times", "timeouts")
    assert finding["weight"] == "may fail" and "reload-mercy" in finding["what"]


def test_each_user_is_told_of_their_own_and_what_was_not_looked_at(town: Town) -> None:
    town.add("behind").running()
    done = town.daemon.ctl("doctor", "behind", "--as", "www-data", *town.where, person=town.users.alice)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not looked at" in done.stderr and "behind: OK" in done.stdout
    stranger = town.daemon.ctl("doctor", "behind", person=town.users.bob)
    assert stranger.returncode == 4 and "behind" not in stranger.stdout
    assert town.daemon.ctl("doctor", "nobody-there").returncode == 6
