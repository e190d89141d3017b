"""The promises of DESIGN.md against owners who do their worst, as real users: one emperor of root's, one nginx, alice
who breaks what is hers, and bob whose site is visited all the while.

The third, what root touches, is in test_root_stays_out.py; the fifth, what a request costs, is measured: make bench.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import people
from tests.e2e.harness.daemon import APPS, Emperor, Row, Vassal, chown
from tests.e2e.harness.owners import deploy, owned, rewrite, sh
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import UWSGI, Nginx
from tests.e2e.harness.wire import request
from tests.requirements import needs

pytestmark = needs("root", "useradd", "nginx", "www-data", "wrk")

FACTS = (APPS / "facts.py").read_text()
FAILED, INVALID = 1, 6
"""Exit codes of orders."""
SITES = ("bobs", "vandal", "steady")


class Town(NamedTuple):
    """``room``: its folders, one for each of SITES, hold a socket each; those of alice's are hers."""

    daemon: Emperor
    nginx: Nginx
    users: Users
    room: Path

    def socket(self, name: str) -> Path:
        return self.room / name / "app.sock"

    def place(self, name: str, owner: Person, **options: object) -> Vassal:
        return owned(self.daemon, name, owner, socket=self.socket(name), **options)

    def status_of(self, name: str) -> int:
        return self.nginx.get(f"/{name}/").status

    def hers(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``emperorctl`` as alice."""
        return self.daemon.ctl(*words, person=self.users.alice)


@pytest.fixture(scope="module")
def town(session_folder: Path, numbers: Iterator[int], emperor_venv: Path, users: Users) -> Iterator[Town]:
    room = session_folder / str(next(numbers))
    room.mkdir(mode=0o755)
    for name in (*SITES, *BREAKS):
        (room / name).mkdir(mode=0o755)
        chown(room / name, users.bob if name == "bobs" else users.alice)
    locations = {f"/{name}/": UWSGI.format(room / name / "app.sock") for name in SITES}
    impatient = UWSGI + " uwsgi_read_timeout 1s;"
    locations.update({f"/{name}/": impatient.format(room / name / "app.sock") for name in BREAKS})
    daemon = Emperor(emperor_venv / "bin", room / "e", people.current(), users.alice)
    with ExitStack() as ends:
        ends.callback(daemon.dispose)
        nginx = Nginx(room / "n", locations)
        ends.callback(nginx.stop)
        yield Town(daemon.start(), nginx.start(), users, room)


# 1: no request is lost by anything we do -----------------------------------------------------------------------------


@contextmanager
def visited(nginx: Nginx, name: str) -> Iterator[None]:
    """By wrk without a pause; every answer must be a 200, and nginx must have nothing to say of its socket."""
    url = f"http://127.0.0.1:{nginx.port}/{name}/"
    command = ["wrk", "-t1", "-c2", "-d600s", "--timeout", "30s", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
        try:
            yield
        finally:
            wrk.send_signal(signal.SIGINT)
            told, _ = wrk.communicate(timeout=60)
    served = re.search(r"(\d+) requests in", told)
    assert served and int(served[1]) > 500, told
    assert "Non-2xx" not in told and "Socket errors" not in told, told
    assert [line for line in nginx.error_log.splitlines() if f"/{name}/" in line] == []


ORDERS = 'for one in $(seq 50); do "$1" --control-socket "$2" reload --no-wait vandal; done'
TOUCHES = 'for one in $(seq 200); do touch "$1"; done'


def test_whatever_an_owner_does_costs_nobody_a_request_and_our_part_of_it_not_even_her_own(town: Town) -> None:
    alice, bobs = town.users.alice, town.place("bobs", town.users.bob)
    vandal = town.place("vandal", alice, processes=2, start_timeout=10, touch_reload=None)
    bobs_row, _ = bobs.running(), vandal.running()
    with visited(town.nginx, "bobs"):
        with vandal.crowd() as crowd:
            sh(alice, ORDERS, town.daemon.programs / "emperorctl", town.daemon.control)
            sh(alice, TOUCHES, vandal.ini)
            for source in ("def application(:", "import os; os._exit(0)", "raise SystemExit(3)"):
                deploy(vandal, source)
                assert town.hers("reload", "vandal").returncode == FAILED
            rewrite(vandal, processes="many")
            assert town.hers("reload", "vandal").returncode == INVALID
            deploy(vandal, FACTS)
            rewrite(vandal, processes=1)
            assert town.hers("reload", "vandal").returncode == 0
            assert town.hers("restart", "vandal").returncode == 0
            assert town.hers("scale", "vandal", "3").returncode == 0
            rewrite(vandal, chmod_socket="666")
            assert town.hers("reload", "vandal").returncode == 0
            wait_for(lambda: crowd.answered, what="answers")
        assert (crowd.refused, crowd.lost) == ([], [])
        vandalise(town, vandal)
    assert bobs.row()["pid"] == bobs_row["pid"]
    assert bobs.row()["worker_exits"] == 0


def vandalise(town: Town, vandal: Vassal) -> None:
    """What costs her own visitors, by her doing: each time she is back as soon as she has what she needs."""
    alice, row = town.users.alice, vandal.running()
    sh(alice, 'rm "$1"', vandal.socket)
    wait_for(lambda: town.status_of("vandal"), lambda status: status == 200, "the file is bound anew")
    sh(alice, 'mv "$1" "$1.moved"; : > "$1"', vandal.socket)
    sh(alice, 'kill -9 "$@"', *(worker["pid"] for worker in row["workers"]))
    sh(alice, 'kill -9 "$1"', row["pid"])
    sh(alice, 'kill -STOP "$1"', vandal.until(lambda now: now["pid"] not in (None, row["pid"]), "another")["pid"])
    sh(alice, 'rm -rf "$1"/*; chmod 0 "$1"', vandal.folder)
    sh(alice, TOUCHES, vandal.ini)
    sh(alice, 'chmod 0 "$1"', vandal.ini)
    sh(alice, "kill -9 -1")
    vandal.until(lambda now: now["error"], "an error")
    sh(alice, 'chmod 644 "$1"; chmod 755 "$2"; rm -f "$3"', vandal.ini, vandal.folder, vandal.socket)
    deploy(vandal, FACTS)
    assert town.hers("restart", "vandal").returncode == 0
    wait_for(lambda: town.status_of("vandal"), lambda status: status == 200, "she serves again")


# 2: a broken change never takes a working app down -------------------------------------------------------------------

SOURCES = {
    "syntax": ("def application(:\n", "SyntaxError"),
    "import": ("import no_such_module_anywhere\n", "No module named 'no_such_module_anywhere'"),
    "exit": ("import sys; sys.exit(3)\n", "SystemExit"),
    "hard-exit": ("import os; os._exit(0)\n", "exit"),
    "killed": ("import os; os.kill(os.getpid(), 9)\n", "SIGKILL"),
    "hangs": ("import time; time.sleep(1000)\n", "start-timeout"),
    "no-callable": ("pass\n", "application"),
    "memory": ("held = bytearray(1 << 40)\n", "MemoryError"),
    "forks-and-leaves": ("import os\nif os.fork() == 0: raise SystemExit\nos._exit(1)\n", "exit"),
    "closes-everything": ("import os; os.closerange(0, 1000); raise KeyError('of hers')\n", ""),
}
INIS: dict[str, tuple[dict[str, object], str]] = {
    "value": ({"processes": "many"}, "processes"),
    "user": ({"uid": "root"}, "uid"),
    "virtualenv": ({"virtualenv": "/nowhere/venv"}, "/nowhere/venv"),
    "folder": ({"chdir": "/nowhere"}, "/nowhere"),
    "file": ({"wsgi_file": "gone.py"}, "gone.py"),
    "limit": ({"limit_as": 1}, "limit-as"),
    "root's-socket": ({"socket": "/run/not-hers.sock"}, "/run/not-hers.sock"),
}
FILES = {
    "unreadable": ('chmod 0 "$2/app.py"', 'chmod 644 "$2/app.py"', "Permission denied"),
    "removed": ('mv "$2/app.py" "$2/away"', 'mv "$2/away" "$2/app.py"', "app.py"),
    "shut-folder": ('chmod 0 "$2"', 'chmod 755 "$2"', "Permission denied"),
    "empty-ini": (': > "$1"', ":", "no [uwsgi] section"),
    "binary-ini": ('head -c 4096 /dev/urandom > "$1"', ":", str(1)),
    "several-writers": ('chmod 666 "$1"', 'chmod 644 "$1"', "chmod"),
}
"""What she types ($1: the ini, $2: the app's folder), what mends it, and what she reads."""


@pytest.fixture(scope="module")
def steady(town: Town) -> Iterator[Vassal]:
    """Served well, and visited during every change: it loses nobody."""
    vassal = town.place("steady", town.users.alice, start_timeout=10)
    vassal.running()
    with vassal.crowd() as crowd:
        yield vassal
    assert crowd.answered > 100
    assert (crowd.refused, crowd.lost) == ([], [])


def breaks_nothing(town: Town, steady: Vassal, words: str, row: Row) -> None:
    """The order fails, she is told why, and who served serves on."""
    done = town.hers("reload", "steady")
    assert done.returncode in (FAILED, INVALID), done.stdout + done.stderr
    assert "the old generation serves on" in done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    told = town.hers("status", "steady")
    assert told.returncode == 3 and words in told.stdout, told.stdout
    now = steady.row()
    assert (now["state"], now["pid"], now["generation"] >= row["generation"]) == ("RUNNING", row["pid"], True)
    assert now["error"]
    assert request(str(town.socket("steady")), "/facts").json["generation"] == "one"


def mended(town: Town, steady: Vassal) -> None:
    done = town.hers("reload", "steady")
    assert done.returncode == 0, done.stdout + done.stderr
    told = town.hers("status", "steady")
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("kind", SOURCES)
def test_a_broken_app_leaves_the_old_one_serving_and_its_owner_reads_why(town: Town, steady: Vassal, kind: str) -> None:
    source, words = SOURCES[kind]
    row = steady.running()
    deploy(steady, source)
    breaks_nothing(town, steady, words, row)
    deploy(steady, FACTS)
    mended(town, steady)


@pytest.mark.parametrize("kind", INIS)
def test_a_broken_ini_leaves_the_old_one_serving_and_its_owner_reads_why(town: Town, steady: Vassal, kind: str) -> None:
    changes, words = INIS[kind]
    row, options = steady.running(), steady.options
    rewrite(steady, **changes)
    breaks_nothing(town, steady, words, row)
    steady.options = options
    rewrite(steady)
    mended(town, steady)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_in_its_way_leaves_the_old_one_serving_and_its_owner_reads_why(
    town: Town, steady: Vassal, kind: str
) -> None:
    broken, whole, words = FILES[kind]
    row = steady.running()
    sh(steady.owner, broken, steady.ini, steady.folder)
    breaks_nothing(town, steady, words, row)
    sh(steady.owner, whole, steady.ini, steady.folder)
    rewrite(steady)
    mended(town, steady)


# 4: nobody ever stares at a bare 502 ---------------------------------------------------------------------------------


class Break(NamedTuple):
    """What she types ($1: the socket, $2: its folder), the kind of what ``emperorctl doctor`` tells her, how her app
    and her ini begin. ``typed``: what it prints as mends, typed by her, is the whole cure.
    """

    script: str
    kind: str
    source: str = FACTS
    options: tuple[tuple[str, object], ...] = ()
    typed: bool = False


DIES_OF_IT = FACTS + "\n\nPAGES['/killed/'] = lambda environ: os.kill(os.getpid(), 9)\n"
FAILS = "def application(environ, start_response):\n    raise KeyError('of hers')\n"
HANGS = "import time\ndef application(environ, start_response):\n    time.sleep(1000)\n"
BREAKS = {
    "mode": Break('chmod 600 "$1"', "socket-acl", typed=True),
    "folder": Break('chmod 700 "$2"', "socket-folder", typed=True),
    "named-mode": Break(":", "socket-mode", options=(("chmod_socket", "600"),), typed=True),
    "occupied": Break('rm "$1"; : > "$1"', "socket-occupied", typed=True),
    "import": Break(":", "app-failed", "import no_such_module\n"),
    "no-callable": Break(":", "app-failed", "pass\n"),
    "virtualenv": Break(":", "app-python", options=(("virtualenv", "/nowhere/venv"),)),
    "invalid": Break(":", "app-invalid", options=(("processes", "many"),)),
    "unreadable": Break(":", "app-path", options=(("chdir", "/root/app"),)),
    "killed": Break(":", "warned", DIES_OF_IT),
    "error": Break(":", "app-error", FAILS),
    "hangs": Break(":", "app-silent", HANGS),
}


@pytest.mark.parametrize("name", BREAKS)
def test_whatever_an_owner_breaks_is_named_to_her_with_what_mends_it(town: Town, name: str) -> None:
    broken = BREAKS[name]
    vassal = town.place(name, town.users.alice, reload_mercy=1)
    deploy(vassal, broken.source)
    rewrite(vassal, **dict(broken.options))
    vassal.until(lambda row: row.get("state") == "RUNNING" or row.get("error"), "it serves, or not")
    sh(vassal.owner, broken.script, vassal.socket, town.room / name)
    assert town.status_of(name) in (500, 502, 504)
    done = town.hers("doctor", name, "--json", "--as", "www-data", "--nginx-conf", f"{town.nginx.folder}/nginx.conf")
    found: dict[str, Any] = {one["kind"]: one for one in json.loads(done.stdout) if one["subject"] == name}
    assert broken.kind in found, found
    assert found[broken.kind]["what"] and found[broken.kind]["mend"]
    if broken.typed:
        typed(town, found[broken.kind]["mend"])
        wait_for(lambda: town.status_of(name), lambda status: status == 200, "200 through nginx")


def typed(town: Town, lines: list[str]) -> None:
    """The commands among them, by her."""
    around = f"export EMPEROR_CONTROL={town.daemon.control} PATH={town.daemon.programs}:$PATH; "
    for line in lines:
        if not line.startswith("#"):
            town.users.alice.run("/bin/sh", "-c", around + line)
