"""What the kernel refuses: no memory, no processes, no threads, no descriptors, and a clock that jumps."""

from __future__ import annotations

import ast
import errno
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.config.spec import Checked
from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.errors import EmperorError, SpawnError
from emperor.intake import inis
from emperor.intake.reading import Reader, Reading, Settings
from emperor.journal import Journal
from emperor.model import ADMIN, Authority
from emperor.supervision import ration
from emperor.supervision.record import state
from emperor.system import limits, trust
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.logs import open_for_append
from emperor.system.notify import Notifier
from emperor.system.watch import Watch
from tests.integration.kernel_world import Notes, drive, fds_of, raise_it, readable, unix, until, vassal_spec

PACKAGE = Path(__file__).resolve().parents[2] / "emperor"


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[Emperor]:
    loop, notifier = Loop(raise_it), Notifier({})
    one = Emperor(
        Reader(Settings(runtime=str(tmp_path))), loop, Notes(), notifier, str(tmp_path / "c.sock"), Policy(0, None)
    )
    yield one
    one.control.close()
    notifier.close()
    loop.close()


def serve(emperor: Emperor, where: Path, name: str) -> None:
    spec = vassal_spec(where, unix(where / f"{name}.sock"), name=name)
    emperor.intake.take(name, Reading(Checked(spec, ()), Authority(ADMIN)), reload=True)


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE])
def test_a_process_that_the_kernel_refuses_is_asked_for_again(
    emperor: Emperor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    tried: list[float] = []

    def refuse(*given: object, **named: object) -> None:
        tried.append(time.monotonic())
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    serve(emperor, tmp_path, "blog")
    before = fds_of()
    assert state(emperor.vassals["blog"]) == "BACKOFF"
    assert os.strerror(code) in emperor.vassals["blog"].error
    drive(emperor.loop, lambda: len(tried) >= 2)
    assert len(fds_of()) == len(before)
    assert not [line for line in emperor.journal.lines if line.startswith("bug")]  # type: ignore[attr-defined]


def test_a_hundred_starts_that_fail_one_after_the_other_are_no_recursion(
    emperor: Emperor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    emperor.gate.resize(1)
    emperor.gate.enter(("somebody", 1), True, lambda: None)
    for number in range(100):
        serve(emperor, tmp_path, f"v{number}")
    assert {state(one) for one in emperor.vassals.values()} == {"STARTING"}
    # Who waits for its turn does not run out of time.
    assert {one.incoming.deadline for one in emperor.vassals.values() if one.incoming} == {None}
    emperor.gate.leave(("somebody", 1))
    assert {state(one) for one in emperor.vassals.values()} == {"BACKOFF"}


def test_an_ini_that_could_not_be_read_is_read_again_by_itself(
    emperor: Emperor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inis, "RESCAN", 0.2)
    folder = tmp_path / "vassals.d"
    folder.mkdir()
    (folder / "blog.ini").write_text("[uwsgi]\n")
    real, refusals = trust.read_ini, [1, 2]

    def without_descriptors(path: str, euid: int, near: bool = False) -> trust.Reading:
        if refusals:
            refusals.pop()
            raise EmperorError(f"{path}: cannot be read: {os.strerror(errno.EMFILE)}")
        return real(path, euid, near)

    monkeypatch.setattr(trust, "read_ini", without_descriptors)
    emperor.rule([str(folder)])
    drive(emperor.loop, lambda: "blog" in emperor.vassals)
    assert os.strerror(errno.EMFILE) in emperor.vassals["blog"].error
    drive(emperor.loop, lambda: "names no app" in emperor.vassals["blog"].error)
    assert emperor.intake.inis is not None
    emperor.intake.close()
    emperor.folders.close()


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_without_a_thread_nothing_is_watched_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(raise_it)
    complaints: list[str] = []
    watch = Watch(loop, lambda: None, complaints.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        for _ in range(3):
            watch.follow([str(tmp_path)])
    assert complaints == [f"watch {tmp_path}: can't start new thread -- changes there are seen by the rescan"]
    watch.close()
    loop.close()


def test_without_a_thread_a_descriptor_is_closed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    closer = Closer()
    read, write = os.pipe()
    other = os.open(os.devnull, os.O_RDONLY)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        closer.close(write)
    assert not readable(read, 0.05)
    closer.close(other)
    assert readable(read)
    until(lambda: closer.idle)
    os.close(read)


def test_a_reserve_of_descriptors_is_left_for_those_who_ask_what_is_wrong() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = len(fds_of())
    limits.keep_reserve(8)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 10, before[1]))
        with pytest.raises(SpawnError, match=rf"^start: {taken} of {taken + 10} descriptors are in use -- raise"):
            limits.keep_reserve(8)
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, before[1]))
        with pytest.raises(SpawnError):
            limits.keep_reserve(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_full_disk_is_told_to_whoever_started_us_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    full = ["/dev/full", str(tmp_path / "log"), "/dev/full"]
    journal = Journal(opener=lambda: open_for_append(full.pop(0)))
    for _ in range(3):
        journal.info("blog", "lost")
    assert capfd.readouterr().err.count("--logto: cannot be written -- lines are lost until it can") == 1
    assert journal.trouble == "the emperor's log: No space left on device -- lines are lost"
    journal.look()
    assert journal.trouble == "the emperor's log: No space left on device -- lines are lost"
    journal.reopen()
    journal.look()
    assert journal.trouble == ""
    journal.info("blog", "written")
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("emperor: warning: [3 lines lost]")
    assert second.endswith("blog: written")
    journal.reopen()
    journal.info("blog", "lost")
    assert "cannot be written" in capfd.readouterr().err


def test_a_user_s_flood_is_counted_in_the_emperor_s_log_and_nobody_else_s_lines_are_lost(tmp_path: Path) -> None:
    journal = Journal(opener=lambda: open_for_append(str(tmp_path / "log")))
    for number in range(3000):
        journal.line(f"evil{number % 3}", "x" * 4000, 1002)
        if number % 100 == 0:
            journal.line("good", "hello", 1001)
            journal.line("own", "hello")
    log = (tmp_path / "log").read_text()
    assert len(log) < ration.BURST + 10 * ration.RATE
    assert log.count("good| hello") == log.count("own| hello") == 30
    kept = log.count("| xxx")

    def all_told() -> bool:
        journal.look()
        return not any(purse.lost for purse, _ in journal._purses.values())

    until(all_told)
    told = re.findall(r"evil\d: warning: \[(\d+) lines lost", (tmp_path / "log").read_text())
    assert sum(map(int, told)) == 3000 - kept


# Clocks -----------------------------------------------------------------------------------------------------------


def test_a_step_of_the_wall_clock_moves_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, fired = Loop(raise_it), list[str]()
    loop.call_at(loop.now() + 3600.0, lambda: fired.append("in an hour"))
    loop.call_at(loop.now() + 0.01, lambda: fired.append("soon"))
    for step in (86400.0, -86400.0):
        now = time.time()
        monkeypatch.setattr(time, "time", lambda now=now, step=step: now + step)
        drive(loop, lambda: fired)
        assert fired == ["soon"]
    loop.close()


WALL = {"time", "time_ns", "localtime", "gmtime", "ctime", "now", "utcnow", "today"}
FOR_PEOPLE = {
    "journal.py": "the stamp of a line",
    "chronicle.py": "when an event was",
    "crew/stats.py": "uWSGI's last_spawn, which is shown",
    "serving/recorded.py": "the time of a request's line",
    "wsgi/logfacts.py": "the time of a request's line",
    "intake/worlds.py": "%t and %T of an ini",
    "tending/performer.py": "Exit.at, which is shown",
    "tending/register.py": "Exit.at, which is shown",
    "tending/starter.py": "Exit.at, which is shown",
    "system/witness.py": "how old a source is; a wrong answer costs a compilation",
    "system/processes.py": "Exit.at, which is shown",
    "system/logs.py": "the stamp of a line",
    "system/library.py": "how old a copy is that nobody has locked; a wrong answer costs a copy",
}
"""Modules that look at the wall clock, and for what."""


def test_nothing_is_decided_by_the_wall_clock() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if looks_at_the_wall_clock(path)}
    assert found - set(FOR_PEOPLE) == set()
    assert "journal.py" in found


def looks_at_the_wall_clock(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in WALL
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime", "date")
        for node in ast.walk(ast.parse(path.read_text()))
    )
