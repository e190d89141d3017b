"""A vassal from its exec to its end: the real launcher, a small app, the test as its emperor and web server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.model import Target
from emperor.supervision.channel import MAX_LINE, Failed, Lines, Listening, Serving
from emperor.supervision.commission import CHECK
from emperor.system import library, listeners
from tests.integration.kernel_world import FASTCGI, UWSGI, fds_of, gone, readable, unix, until, vassal_spec
from tests.integration.serving_world import read_answer
from tests.integration.vassal_process_world import APP, Gate, Vassal, ask, connect, request
from tests.requirements import needs

Start = Callable[..., Vassal]

ORPHAN = 2.0
"""Seconds in which a vassal must be gone after its emperor."""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return library.install(str(tmp_path_factory.mktemp("run")))


@pytest.fixture
def sock(tmp_path: Path) -> Iterator[socket.socket]:
    """What the emperor has bound."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a.sock"))
        listener.listen(64)
        yield listener


@pytest.fixture
def start(tmp_path: Path, launcher: str, sock: socket.socket) -> Iterator[Start]:
    """Start a vassal on ``sock``, or with ``listeners={}`` on one that it binds itself."""
    (tmp_path / "app.py").write_text(APP)
    vassals: list[Vassal] = []

    def started(protocol: str = UWSGI, sockets: Any = None, listeners: Any = None, **more: Any) -> Vassal:
        orders = {name: more.pop(name) for name in ("role", "places", "keeps_log", "parent") if name in more}
        wanted = sockets or (unix(tmp_path / "a.sock", protocol),)
        spec = vassal_spec(tmp_path, *wanted, **more)
        vassals.append(Vassal(spec, launcher, {0: sock.fileno()} if listeners is None else listeners, **orders))
        return vassals[-1]

    yield started
    for vassal in vassals:
        vassal.bury()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


def facts(vassal: Vassal) -> Any:
    return json.loads(ask(vassal.spec, "/facts").body)


def target(path: Path) -> Any:
    return Target("", "file", str(path))


# It serves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol, engine", [(UWSGI, "native"), (FASTCGI, "native"), (FASTCGI, "flup")])
def test_it_says_that_it_serves_and_answers(start: Start, protocol: str, engine: str) -> None:
    vassal = start(protocol, fastcgi_engine=engine).serving()
    answer = ask(vassal.spec)
    assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)
    assert vassal.heard(Listening) == []


def test_who_connects_before_it_serves_waits_and_is_answered(start: Start, tmp_path: Path) -> None:
    (spec := vassal_spec(tmp_path, unix(tmp_path / "a.sock")))
    with connect(spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/"))
        vassal = start()
        assert read_answer(peer, UWSGI).body == b"ok"
    vassal.serving()


def test_two_sockets_with_two_protocols_are_served_by_one_vassal(start: Start, tmp_path: Path) -> None:
    vassal = start(sockets=(unix(tmp_path / "a.sock"), unix(tmp_path / "b.sock", FASTCGI))).serving()
    assert ask(vassal.spec, index=0).body == b"ok"
    assert ask(vassal.spec, index=1).body == b"ok"
    (listening,) = vassal.heard(Listening)
    assert listening.index == 1


def test_it_binds_its_own_socket_and_hands_it_up(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    vassal = start(sockets=(unix(path),), listeners={}).serving()
    assert [type(message) for message in vassal.said if not isinstance(message, Lines)][:1] == [Listening]
    (listening,), there = vassal.heard(Listening), path.lstat()
    assert (listening.index, listening.device, listening.inode) == (0, there.st_dev, there.st_ino)
    assert (listening.mode, listening.uid, listening.gid) == (stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid)
    assert listening.mode == 0o660
    assert len(vassal.fds) == 1
    with socket.socket(fileno=os.dup(vassal.fds[0])) as ours:
        listeners.check(ours, vassal.spec.sockets[0].address)
    assert ask(vassal.spec).body == b"ok"


def test_the_socket_that_it_handed_up_outlives_it(start: Start, tmp_path: Path) -> None:
    """The next generation finds those who connected in between."""
    path = tmp_path / "own.sock"
    first = start(sockets=(unix(path),), listeners={}).serving()
    os.kill(first.child.pid, signal.SIGTERM)
    assert first.code() == 0
    with connect(first.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/"))
        start(sockets=(unix(path),), listeners={0: first.fds[0]})
        assert read_answer(peer, UWSGI).body == b"ok"


def test_an_address_that_cannot_be_bound_is_why_it_failed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file of somebody's")
    vassal = start(sockets=(unix(tmp_path / "taken"),), listeners={})
    assert vassal.code() == 22
    (failed,) = vassal.heard(Failed)
    assert failed.reason.startswith(f"{tmp_path}/taken: bind: a regular file is there")
    assert (tmp_path / "taken").read_text() == "a file of somebody's"


# The app ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_an_import_error_is_told_with_its_traceback_and_code_22(start: Start, tmp_path: Path, lazy: bool) -> None:
    vassal_app = "print('a word before')\nimport no_such_module_of_ours\n"
    (tmp_path / "broken.py").write_text(vassal_app)
    vassal = start(targets=(target(tmp_path / "broken.py"),), lazy_apps=lazy)
    assert vassal.code() == 22
    (failed,) = vassal.heard(Failed)
    assert failed.reason.startswith("ModuleNotFoundError: No module named 'no_such_module_of_ours' -- no virtualenv is")
    assert failed.traceback.startswith("Traceback (most recent call last):\n")
    assert f'File "{tmp_path}/broken.py", line 2' in failed.traceback
    assert "emperor" not in failed.traceback.replace(str(tmp_path), "")
    assert vassal.heard(Serving) == []
    shown = vassal.output.decode() + "\n".join(vassal.lines())
    assert "a word before" in shown
    assert "No module named 'no_such_module_of_ours'" in shown


def test_an_app_that_leaves_while_it_is_imported_is_an_app_that_failed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit('no database')\n")
    vassal = start(targets=(target(tmp_path / "leaves.py"),))
    assert vassal.code() == 22
    assert "SystemExit: no database" in vassal.heard(Failed)[0].reason


@pytest.mark.parametrize("lazy", [False, True])
def test_the_app_is_imported_by_the_vassal_or_if_it_is_lazy_by_each_worker(start: Start, lazy: bool) -> None:
    vassal = start(lazy_apps=lazy).serving()
    seen = facts(vassal)
    assert seen["ppid"] == vassal.child.pid
    assert seen["imported_by"] == (seen["pid"] if lazy else vassal.child.pid)


def test_what_the_app_finds_around_it_is_its_own(start: Start, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    vassal = start(
        chdir=str(tmp_path / "elsewhere"), env=(("DATABASE", "x=y"), ("HOME", "/srv")), processes=2, threads=2
    ).serving()
    seen = facts(vassal)
    assert seen["cwd"] == str(tmp_path / "elsewhere")
    assert seen["argv"] == ["blog"]
    assert (seen["environ"]["DATABASE"], seen["environ"]["HOME"]) == ("x=y", "/srv")
    assert (seen["multiprocess"], seen["multithread"]) == (True, True)


@pytest.mark.parametrize("there", [True, False])
def test_it_runs_in_the_folder_of_its_ini_or_else_in_the_root(start: Start, tmp_path: Path, there: bool) -> None:
    vassal = start(folder=str(tmp_path if there else tmp_path / "none")).serving()
    assert facts(vassal)["cwd"] == (str(tmp_path) if there else "/")


def test_a_chdir_that_fails_is_why_it_failed(start: Start, tmp_path: Path) -> None:
    vassal = start(chdir=str(tmp_path / "missing"))
    assert vassal.code() == 22
    assert vassal.heard(Failed)[0].reason == f"chdir {tmp_path}/missing: No such file or directory"


def test_on_another_venvs_python_nothing_of_the_emperors_is_importable(
    start: Start, launcher: str, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    vassal = start(FASTCGI, python=str(tmp_path / "venv" / "bin" / "python")).serving()
    seen, home = facts(vassal), str(Path(launcher).parent)
    assert seen["executable"] == str(tmp_path / "venv" / "bin" / "python")
    ours = {name: path for name, path in seen["modules"].items() if name.split(".")[0] == "emperor"}
    assert len(ours) > 10
    assert all(path.startswith(f"{home}/emperor/") for path in ours.values())
    assert not {"watchdog", "werkzeug", "flup"} & set(seen["modules"])
    theirs = [entry for entry in sys.path if "site-packages" in entry]
    assert not set(theirs) & set(seen["path"])
    assert [entry for entry in seen["path"] if "site-packages" in entry] == [
        entry for entry in seen["path"] if entry.startswith(f"{tmp_path}/venv/lib")
    ]
    assert home not in seen["path"]
    strangers = [path for path in seen["modules"].values() if path.startswith(tuple(theirs) or ("//",))]
    assert strangers == []


@needs("pypy3")
def test_it_serves_on_the_oldest_interpreter(start: Start) -> None:
    vassal = start(FASTCGI, python=shutil.which("pypy3"), processes=2, threads=2).serving()
    assert "pypy3" in facts(vassal)["executable"]
    ask(vassal.spec, "/print", "hello")
    vassal.wait(lambda: "printed hello" in vassal.lines())
    os.kill(vassal.child.pid, signal.SIGTERM)
    assert vassal.code() == 0


def test_a_module_of_the_apps_may_have_a_name_of_ours(start: Start, tmp_path: Path) -> None:
    """The launcher's folder is not on the path, and what was imported from it is imported already."""
    (tmp_path / "extra.py").write_text("WORD = b'their own'\n")
    (tmp_path / "launch.py").write_text("WORD = b'their own'\n")
    (tmp_path / "site.py").write_text(
        "import extra, launch\n"
        "assert extra.WORD == launch.WORD\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [launch.WORD]\n"
    )
    vassal = start(targets=(target(tmp_path / "site.py"),)).serving()
    assert ask(vassal.spec).body == b"their own"


# What it says -----------------------------------------------------------------------------------------------------


def test_what_the_app_prints_is_heard_at_once(start: Start) -> None:
    """A pipe is no terminal: without help Python would keep it until 8 KiB are full."""
    vassal = start().serving()
    ask(vassal.spec, "/print", "hello")
    vassal.wait(lambda: "printed hello" in vassal.lines())


def test_garbage_of_the_app_is_escaped_and_costs_nothing(start: Start) -> None:
    vassal = start().serving()
    ask(vassal.spec, "/garbage")
    vassal.wait(lambda: "after it" in vassal.lines())
    assert all(line.isascii() and line.isprintable() for line in vassal.lines())
    assert all(len(line) <= MAX_LINE for line in vassal.lines())
    garbage = bytes(range(128, 256)) * 100 + bytes(9000)
    assert "".join(vassal.lines()) == "".join(f"\\x{one:02x}" for one in garbage) + "after it"
    ask(vassal.spec, "/print", "still heard")
    vassal.wait(lambda: "printed still heard" in vassal.lines())


def test_its_workers_are_counted(start: Start) -> None:
    vassal = start(processes=2).serving()
    for _ in range(3):
        ask(vassal.spec)
    vassal.wait(lambda: sum(worker.requests for worker in vassal.workers()) == 3)
    assert [worker.id for worker in vassal.workers()] == [1, 2]
    assert all(not gone(worker.pid) and worker.rss > 0 for worker in vassal.workers())


def test_it_says_only_once_that_it_serves(start: Start) -> None:
    vassal = start(processes=2).serving()
    vassal.wait(lambda: [worker.state for worker in vassal.workers()] == ["idle", "idle"])
    first = vassal.workers()[0].pid
    os.kill(first, signal.SIGKILL)
    vassal.wait(lambda: vassal.workers()[0].pid not in (0, first) and vassal.workers()[0].state == "idle")
    assert len(vassal.heard(Serving)) == 1


def test_a_worker_that_dies_of_a_request_is_replaced(start: Start) -> None:
    vassal = start().serving()
    ask(vassal.spec)
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/die"))
        assert peer.recv(1) == b""
    assert ask(vassal.spec).body == b"ok"
    vassal.wait(lambda: "worker 1: killed by SIGKILL in GET /die -- starting another" in vassal.lines())


def test_a_worker_holds_nothing_of_the_vassals(start: Start, tmp_path: Path) -> None:
    vassal = start(logto=str(tmp_path / "app.log"), keeps_log=True).serving()
    worker, mine = fds_of(facts(vassal)["pid"]), fds_of(vassal.child.pid)
    sockets = {name for name in mine.values() if name.startswith("socket:")}
    assert len(sockets) == 2
    assert len(sockets & set(worker.values())) == 1
    assert str(tmp_path / "app.log") in mine.values()
    assert str(tmp_path / "app.log") not in worker.values()
    assert not [name for name in {*worker.values(), *mine.values()} if "commission" in name]


# It ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [UWSGI, FASTCGI])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_drain_it_finishes_what_is_in_flight(start: Start, gate: Gate, protocol: str, signum: int) -> None:
    vassal = start(protocol).serving()
    worker = facts(vassal)["pid"]
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(protocol, "/slow"))
        gate.wait_for_entry()
        os.kill(vassal.child.pid, signum)
        assert not readable(vassal.child.pidfd, 0.1)
        gate.release()
        answer = read_answer(peer, protocol)
        assert (answer.status, answer.body, answer.whole) == (200, b"!", True)
    assert vassal.code() == 0
    assert gone(worker)


def test_the_apps_atexit_functions_run_once_in_each_worker(start: Start) -> None:
    vassal = start(processes=2).serving()
    vassal.wait(lambda: [worker.state for worker in vassal.workers()] == ["idle", "idle"])
    pids = {worker.pid for worker in vassal.workers()}
    os.kill(vassal.child.pid, signal.SIGTERM)
    assert vassal.code() == 0
    said = [line for line in vassal.lines() + vassal.output.decode().splitlines() if "atexit" in line]
    assert sorted(said) == sorted(f"atexit of {pid}" for pid in pids)


def test_after_its_mercy_what_is_in_flight_is_killed(start: Start, gate: Gate) -> None:
    vassal = start(reload_mercy=0.3).serving()
    worker = facts(vassal)["pid"]
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/slow"))
        gate.wait_for_entry()
        os.kill(vassal.child.pid, signal.SIGTERM)
        assert vassal.code() == 0
        assert gone(worker)
        assert peer.recv(1) == b""


def test_told_while_it_starts_it_ends(start: Start, tmp_path: Path, gate: Gate) -> None:
    (tmp_path / "slow.py").write_text(APP + "\nslow()\n")
    vassal = start(targets=(target(tmp_path / "slow.py"),))
    gate.wait_for_entry()
    os.kill(vassal.child.pid, signal.SIGTERM)
    vassal.code()
    assert vassal.heard(Serving) == []


def test_an_interrupt_from_the_terminal_is_the_emperors_affair(start: Start) -> None:
    vassal = start().serving()
    os.kill(vassal.child.pid, signal.SIGINT)
    os.kill(facts(vassal)["pid"], signal.SIGINT)
    assert ask(vassal.spec).body == b"ok"


def test_without_its_emperor_it_ends_at_once(start: Start) -> None:
    vassal = start(processes=2).serving()
    vassal.wait(lambda: [worker.state for worker in vassal.workers()] == ["idle", "idle"])
    pids = [worker.pid for worker in vassal.workers()]
    vassal.hang_up()
    assert vassal.code(ORPHAN) == 0
    assert all(gone(pid) for pid in pids)


def test_without_its_emperor_a_request_in_flight_is_finished(start: Start, gate: Gate) -> None:
    vassal = start().serving()
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/slow"))
        gate.wait_for_entry()
        vassal.hang_up()
        assert not readable(vassal.child.pidfd, 0.1)
        gate.release()
        assert read_answer(peer, UWSGI).body == b"!"
    assert vassal.code(ORPHAN) == 0


def test_without_its_emperor_a_request_that_does_not_end_is_cut_off(start: Start, gate: Gate) -> None:
    vassal = start(reload_mercy=60.0).serving()
    worker = facts(vassal)["pid"]
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/slow"))
        gate.wait_for_entry()
        began = time.monotonic()
        vassal.hang_up()
        assert vassal.code(ORPHAN) == 0
        assert time.monotonic() - began <= ORPHAN
        assert gone(worker)


def test_without_the_vassal_its_workers_end(start: Start, gate: Gate) -> None:
    """Killed alone, it leaves workers that finish what they have."""
    vassal = start().serving()
    worker = facts(vassal)["pid"]
    with connect(vassal.spec.sockets[0].address) as peer:
        peer.sendall(request(UWSGI, "/slow"))
        gate.wait_for_entry()
        os.kill(vassal.child.pid, signal.SIGKILL)
        vassal.code()
        assert not gone(worker)
        gate.release()
        assert read_answer(peer, UWSGI).body == b"!"
    until(lambda: gone(worker))


def test_born_to_an_emperor_that_is_gone_it_does_not_begin(start: Start) -> None:
    vassal = start(parent=1)
    assert vassal.code() == 0
    assert vassal.said == []


def test_ps_names_each_of_its_processes(start: Start) -> None:
    vassal = start(name="a-rather-long-name").serving()
    titles = [Path(f"/proc/{pid}/comm").read_text() for pid in (vassal.child.pid, facts(vassal)["pid"])]
    assert titles == ["a-rather vassal\n", "a-rath worker 1\n"]


# Its log ----------------------------------------------------------------------------------------------------------


def test_it_keeps_its_own_log_and_opens_it_anew_on_usr1(start: Start, tmp_path: Path) -> None:
    path, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    vassal = start(logto=str(path), keeps_log=True).serving()
    ask(vassal.spec, "/print", "one")
    until(lambda: path.read_text().endswith(" printed one\n"))
    path.rename(rotated)
    ask(vassal.spec, "/print", "two")
    until(lambda: rotated.read_text().endswith(" printed two\n"))
    os.kill(vassal.child.pid, signal.SIGUSR1)
    until(path.exists)
    ask(vassal.spec, "/print", "three")
    until(lambda: path.read_text().endswith(" printed three\n"))
    assert len(path.read_text().splitlines()) == 1
    # And the ring of the emperor hears of them as well.
    vassal.wait(
        lambda: (
            [line for line in vassal.lines() if "printed" in line] == ["printed one", "printed two", "printed three"]
        )
    )


def test_a_log_that_it_is_not_to_keep_it_does_not_touch(start: Start, tmp_path: Path) -> None:
    vassal = start(logto=str(tmp_path / "app.log")).serving()
    ask(vassal.spec, "/print", "one")
    vassal.wait(lambda: "printed one" in vassal.lines())
    assert not (tmp_path / "app.log").exists()


@pytest.mark.parametrize("lazy", [False, True])
def test_why_the_app_cannot_be_imported_is_in_its_log(start: Start, tmp_path: Path, lazy: bool) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    vassal = start(
        targets=(target(tmp_path / "broken.py"),), logto=str(tmp_path / "app.log"), keeps_log=True, lazy_apps=lazy
    )
    assert vassal.code() == 22
    assert (tmp_path / "app.log").read_text().endswith(" ZeroDivisionError: division by zero\n")


def test_a_log_that_cannot_be_opened_keeps_nobody_from_serving_and_heals(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "none" / "app.log"
    vassal = start(logto=str(path), keeps_log=True).serving()
    assert vassal.told() == [("", f"logto {path}: No such file or directory")]
    path.parent.mkdir()
    vassal.wait(lambda: ("", f"logto {path}: is written again") in vassal.told())
    ask(vassal.spec, "/print", "one")
    vassal.wait(lambda: ("1", "printed one") in vassal.told())
    assert path.read_text().endswith(" [1] printed one\n")


def test_a_full_disk_costs_it_lines_and_it_says_so_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "app.log").touch()
    spec = start(logto="/dev/full", keeps_log=True).serving()
    for text in ("one", "two"):
        ask(spec.spec, "/print", text)
        spec.wait(lambda text=text: ("1", f"printed {text}") in spec.told())  # type: ignore[misc]
    word = ("", "logto /dev/full: No space left on device -- lines are lost")
    spec.wait(lambda: word in spec.told())
    assert [one for one in spec.told() if not one[0]] == [word]


def test_its_log_is_rotated_by_size_and_no_line_is_lost(start: Start, tmp_path: Path) -> None:
    vassal = start(logto=str(tmp_path / "app.log"), keeps_log=True, log_maxsize=200, log_keep=50).serving()
    for number in range(20):
        ask(vassal.spec, "/print", str(number))
    vassal.wait(lambda: "printed 19" in vassal.lines())
    files = sorted(tmp_path.glob("app.log*"), key=lambda path: path.stat().st_mtime_ns)
    found = [line.split(" ", 1)[1] for path in files for line in path.read_text().splitlines()]
    assert found == [f"[1] printed {number}" for number in range(20)]
    assert len(files) > 3 and all(path.stat().st_size <= 200 for path in files)


# Its other roles --------------------------------------------------------------------------------------------------


def test_asked_to_check_it_imports_and_is_gone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text("import sys\nsys.stdout.write('half a line')\n" + APP)
    vassal = start(role=CHECK, listeners={}, targets=(target(tmp_path / "talks.py"),), sockets=(unix("/none/a.sock"),))
    assert vassal.code() == 0
    assert [type(message) for message in vassal.said] == [Serving]
    assert vassal.output == b"half a line"
