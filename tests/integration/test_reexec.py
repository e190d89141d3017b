"""To become another program in the same process: what stays open, what waits, and what happens if it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emperor.errors import EmperorError
from emperor.system import closer, reexec
from emperor.system.eventloop import Loop
from emperor.system.reexec import Program
from emperor.system.watch import Watch

FIRST = """\
import os, signal, sys
from emperor.system import closer, reexec
from emperor.system.reexec import Program

kept, _ = os.pipe()
leaked = os.open("/dev/null", os.O_RDONLY)
os.set_inheritable(leaked, True)
os.chdir("/")
reexec.hold_signals()
for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
    os.kill(os.getpid(), number)
program = Program((sys.executable, sys.argv[1], str(kept), str(leaked)), sys.argv[2], 2)
print(os.getpid(), flush=True)
reexec.become(program, frozenset({kept}), {**os.environ, "NEWS": "yes"})
"""

SECOND = """\
import os, signal, sys
from emperor.system import closer, reexec

heard = []
for number in reexec.HEEDED:
    signal.signal(number, lambda number, frame: heard.append(signal.Signals(number).name))
reexec.release_signals()

def is_open(fd):
    try:
        os.fstat(int(fd))
    except OSError:
        return False
    return True

print(os.getpid(), os.environ["NEWS"], os.getcwd(), is_open(sys.argv[1]), is_open(sys.argv[2]), *sorted(heard))
"""


def test_only_what_is_kept_stays_open_and_signals_wait_for_the_new_program(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(FIRST)
    (tmp_path / "second.py").write_text(SECOND)
    command = [sys.executable, tmp_path / "first.py", tmp_path / "second.py", tmp_path]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.splitlines()
    assert after == f"{before} yes {tmp_path} True False SIGHUP SIGTERM SIGUSR1"


def test_an_exec_that_fails_changes_nothing(tmp_path: Path) -> None:
    program = tmp_path / "not-a-program"
    program.write_bytes(b"\x7fELF, or so it says")
    program.chmod(0o755)
    kept, other = os.pipe()
    where = os.getcwd()
    try:
        os.set_inheritable(other, True)
        with pytest.raises(OSError, match="Exec format error"):
            reexec.become(Program((str(program),), str(tmp_path), 0), frozenset({kept}), {})
        assert (os.get_inheritable(kept), os.get_inheritable(other)) == (False, True)
        assert os.getcwd() == where
    finally:
        os.close(kept)
        os.close(other)


def test_a_folder_that_is_gone_is_no_reason_to_lose_anything(tmp_path: Path) -> None:
    where, program = os.getcwd(), tmp_path / "not-a-program"
    program.write_bytes(b"\x7fELF, or so it says")
    program.chmod(0o755)
    gone = Program((str(program),), str(tmp_path / "gone"), 0)
    assert gone.place == "/"
    with pytest.raises(OSError, match="Exec format error"):
        reexec.become(gone, frozenset(), {})
    assert os.getcwd() == where


def test_a_program_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmperorError, match="no-such-python: no such program"):
        _ = Program(("no-such-python", "-m", "emperor"), str(tmp_path), 2).path


def test_a_program_is_found_where_it_was_typed(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "emperor"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert Program(("bin/emperor",), str(tmp_path), 0).path == str(program)
    assert Program(("sh",), str(tmp_path), 0).path.endswith("/sh")


def test_the_running_program_is_what_was_typed() -> None:
    code = "import sys; from emperor.system.reexec import Program; print(Program.running())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--tyrant", "x"],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    words = (sys.executable, "-P", "-c", code, "--tyrant", "x")
    assert done.stdout.strip() == str(Program(words, "/", 2)), done.stderr


AGAIN = """\
import signal
from emperor.system import closer, reexec

reexec.hold_signals()
reexec.send_again([signal.SIGUSR1])
print(sorted(signal.sigpending()) == [signal.SIGUSR1])
"""


def test_signals_that_were_taken_are_sent_again_to_ourselves() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.stdout == "True\n", done.stderr


def blocked(tid: str) -> int:
    lines = Path(f"/proc/self/task/{tid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))


def test_our_helping_threads_hear_no_signal_that_the_new_program_is_to_hear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    # A thread that has closed what it was given ends, perhaps before it was looked at.
    monkeypatch.setattr(closer, "_close", lambda begun, fd: (begun.set(), looked.wait(30), os.close(fd)))
    before, loop = set(os.listdir("/proc/self/task")), Loop(lambda error: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    watch = Watch(loop, lambda: None, lambda complaint: None)
    try:
        watch.follow([str(tmp_path)])
        closer.Closer().close(os.open("/dev/null", os.O_RDONLY))
        helping = set(os.listdir("/proc/self/task")) - before
        assert len(helping) >= 3
        for tid in helping:
            assert all(blocked(tid) >> (signum - 1) & 1 for signum in reexec.HEEDED)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    finally:
        looked.set()
        watch.close()
        loop.close()
