"""Children on the real kernel: what they are given, how they end, and that nothing is left of them."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import SpawnError
from emperor.model import Identity
from emperor.supervision.commission import SERVE, Commission
from emperor.system import processes
from emperor.system.processes import Child
from tests.integration.kernel_world import ME, fds_of, gone, readable, until, vassal_spec
from tests.requirements import SYSTEM_PYTHON, needs

Start = Callable[..., Child]

WAITS = "import signal, sys; print('up', flush=True); sys.stdin = None\nsignal.pause()\n"
"""A program that says that it runs, and ends by a signal only."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Spawn a script in the place of the launcher; whoever is left is buried."""
    children: list[Child] = []

    def started(script: str, listeners: dict[int, int] | None = None, **more: Any) -> Child:
        (tmp_path / "launch.py").write_text(script)
        spec = vassal_spec(tmp_path, **{"python": sys.executable, **more})
        child = processes.spawn(
            Commission(SERVE, spec, listeners or {}, parent=os.getpid()), str(tmp_path / "launch.py")
        )
        children.append(child)
        return child

    yield started
    for child in children:
        if child.channel is not None and child.channel.fileno() >= 0:
            processes.bury(child)


def words(child: Child) -> list[str]:
    """What it says on one line."""
    said = b""
    while not said.endswith(b"\n"):
        assert readable(child.output)
        more = os.read(child.output, 4096)
        assert more, said
        said += more
    return said.decode().split()


def test_what_is_sealed_can_be_read_and_never_changed() -> None:
    fd = processes.sealed(b"the spec that was validated")
    assert os.read(fd, 100) == b"the spec that was validated"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: os.pwrite(fd, b"x", 0),
        lambda: os.pwrite(fd, b"x", 1000),
        lambda: os.ftruncate(fd, 5),
        lambda: os.ftruncate(fd, 5000),
    )
    for attempt in attempts:
        with pytest.raises(PermissionError):
            attempt()
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    with pytest.raises(PermissionError):
        os.write(again, b"x")
    assert os.pread(again, 100, 0) == b"the spec that was validated"
    assert not os.get_inheritable(fd)
    os.close(again)
    os.close(fd)


def test_the_environment_has_nothing_of_ours(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "PYTHONPATH", "LD_PRELOAD_", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    for name in processes.INHERITED:
        if name not in ("LANG", "TZ"):
            monkeypatch.delenv(name, raising=False)
    child = start(WAITS)
    words(child)
    found = dict(pair.split("=", 1) for pair in Path(f"/proc/{child.pid}/environ").read_text().split("\0") if pair)
    assert found == {
        "LANG": "de_DE.UTF-8",
        "TZ": "Europe/Berlin",
        "PATH": processes.PATH,
        "HOME": ME.home,
        "USER": ME.user,
        "LOGNAME": ME.user,
        "SHELL": ME.shell,
    }


def test_it_has_exactly_the_descriptors_that_it_is_given(start: Start) -> None:
    strangers = [os.pipe(), os.pipe()]
    for fd in strangers[0]:
        os.set_inheritable(fd, True)
    with socket.socket() as listener:
        listener.listen()
        child = start("import signal, sys; print(*sys.argv[1:], flush=True)\nsignal.pause()\n", {0: listener.fileno()})
        name, channel, paper = words(child)
        found = fds_of(child.pid)
        assert name == "blog"
        assert set(found) == {0, 1, 2, int(channel), int(paper), listener.fileno()}
        assert found[0] == "/dev/null"
        assert found[1] == found[2] == fds_of()[child.output]
        assert found[int(channel)].startswith("socket:")
        assert "commission" in found[int(paper)]
        assert found[listener.fileno()] == fds_of()[listener.fileno()]
    for pipe in strangers:
        for fd in pipe:
            os.close(fd)


def test_its_paper_is_the_commission(start: Start) -> None:
    script = "import os, signal, sys; print(os.read(int(sys.argv[3]), 1 << 20).decode(), flush=True)\nsignal.pause()"
    child = start(script, processes=7)
    said = b""
    while not said.endswith(b"\n"):
        assert readable(child.output)
        said += os.read(child.output, 1 << 20)
    assert Commission.from_bytes(said).spec.processes == 7


def test_it_lives_in_its_own_session_in_the_root_folder_with_its_umask(start: Start) -> None:
    child = start(
        "import os, signal\n"
        "print(os.getpid(), os.getsid(0), os.getpgrp(), os.getcwd(), oct(os.umask(0)), flush=True)\n"
        "signal.pause()\n",
        umask=0o027,
    )
    assert words(child) == [str(child.pid)] * 3 + ["/", "0o27"]


def test_the_default_umask_is_022(start: Start) -> None:
    child = start("import os, signal; print(oct(os.umask(0)), flush=True); signal.pause()")
    assert words(child) == ["0o22"]


def test_our_ends_are_not_inherited_and_never_block(start: Start) -> None:
    child = start(WAITS)
    assert words(child) == ["up"]
    with pytest.raises(BlockingIOError):
        os.read(child.output, 1)
    assert child.channel is not None
    with pytest.raises(BlockingIOError):
        child.channel.recv(1)
    for fd in (child.output, child.channel.fileno(), child.pidfd):
        assert not os.get_inheritable(fd)


def test_when_our_own_interpreter_is_gone_it_is_a_spawn_error_that_leaves_nothing_open(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fds_of()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SpawnError, match=r"exec /nowhere/python as me: No such file or directory"):
        start(WAITS, python="")
    monkeypatch.setattr(sys, "executable", "/etc/passwd")
    with pytest.raises(SpawnError, match=r"exec /etc/passwd as me: Permission denied"):
        start(WAITS, python="")
    assert fds_of() == before


@pytest.mark.parametrize(
    "python, code", [("/nowhere/python", processes.NOT_FOUND), ("/etc/passwd", processes.NOT_EXECUTABLE)]
)
def test_when_an_ini_names_no_interpreter_its_exit_code_alone_says_so(start: Start, python: str, code: int) -> None:
    """What is made of the code is told once; the shell's own words would be noise above it."""
    child = start(WAITS, python=python)
    assert readable(child.pidfd)
    assert os.read(child.output, 4096) == b""
    assert processes.how_it_ended(child).code == code


def test_nobody_waits_for_an_interpreter_whose_owner_delays_its_exec(start: Start, tmp_path: Path) -> None:
    """A lease keeps whoever opens the file waiting until it is given back, 45 s at most (fcntl(2), "Leases")."""
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\nexec {sys.executable} $@\n")
    slow.chmod(0o755)
    asked = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(slow, os.O_RDONLY)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        began = time.monotonic()
        child = start(WAITS, python=str(slow))
        assert time.monotonic() - began < 5
        assert not readable(child.output, 0.1)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, asked)
    assert words(child) == ["up"]


@contextmanager
def room_for(more: int) -> Iterator[None]:
    """Only so many more descriptors can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(fds_of()) + 60, hard))
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                assert error.errno == errno.EMFILE
                break
        for _ in range(more):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("room", range(1, 10))
def test_without_descriptors_it_is_a_spawn_error_that_leaves_nothing_open(start: Start, room: int) -> None:
    before, child = fds_of(), None
    with room_for(room):
        try:
            child = start(WAITS)
        except SpawnError as error:
            assert "Too many open files" in str(error)
    if child is None:
        assert fds_of() == before
    else:
        assert room > 7
        assert words(child) == ["up"]


@pytest.mark.parametrize("owner, name", [(processes, "sealed"), (os, "pidfd_open")])
def test_whatever_there_is_no_room_for_leaves_neither_process_nor_descriptor(
    start: Start, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    began = []
    real = processes.start

    def noticed(*given: Any, **named: Any) -> Any:
        began.append(real(*given, **named))
        return began[-1]

    def full(*given: Any) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    before = fds_of()
    monkeypatch.setattr(processes, "start", noticed)
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(SpawnError, match="Cannot allocate memory"):
        start(WAITS)
    assert fds_of() == before
    assert all(not Path(f"/proc/{popen.pid}").exists() for popen in began)


@pytest.mark.parametrize(
    "ending, code, signum, reason",
    [
        ("import sys; sys.exit(0)", 0, None, "exited with code 0"),
        ("import sys; sys.exit(22)", 22, None, "exited with code 22"),
        ("import os; os.kill(os.getpid(), 9)", None, 9, "killed by SIGKILL"),
        ("import os; os.kill(os.getpid(), 34)", None, 34, "killed by signal 34|killed by SIGRTMIN"),
        (
            "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
            None,
            6,
            "killed by SIGABRT",
        ),
    ],
)
def test_how_it_ended_is_known_before_it_is_reaped(
    start: Start, ending: str, code: int | None, signum: int | None, reason: str
) -> None:
    child = start(ending)
    assert readable(child.pidfd)
    for _ in range(2):
        ended = processes.how_it_ended(child)
        assert (ended.code, ended.signal) == (code, signum)
        assert ended.reason in reason.split("|")
    assert Path(f"/proc/{child.pid}").exists()


def test_who_has_not_ended_is_still_there(start: Start) -> None:
    child = start(WAITS)
    ended = processes.how_it_ended(child)
    assert (ended.code, ended.signal) == (None, None)


@pytest.mark.parametrize("retire, signum", [(False, signal.SIGTERM), (True, signal.SIGHUP)])
def test_to_drain_is_a_signal_to_the_child_alone(start: Start, retire: bool, signum: int) -> None:
    child = start(
        "import os, signal\n"
        # What nohup(1) ignores for whoever runs the tests is ignored by all that they exec; a vassal sets its own.
        "for one in (signal.SIGTERM, signal.SIGHUP): signal.signal(one, signal.SIG_DFL)\n"
        "pid = os.fork()\nif pid == 0: signal.pause()\nprint(pid, flush=True)\nsignal.pause()\n"
    )
    grandchild = int(words(child)[0])
    processes.drain(child, retire)
    assert readable(child.pidfd)
    assert processes.how_it_ended(child).signal == signum
    assert not gone(grandchild)


DOUBLE_FORK = """
import os, signal
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(write, b"%d" % os.getpid())
        signal.pause()
    os._exit(0)
os.wait()
print(os.read(read, 20).decode(), flush=True)
signal.pause()
"""


def test_killing_the_group_sweeps_a_double_forked_grandchild(start: Start) -> None:
    child = start(DOUBLE_FORK)
    daemon = int(words(child)[0])
    assert not gone(daemon)
    processes.kill_group(child)
    assert readable(child.pidfd)
    until(lambda: gone(daemon))


def test_the_group_can_be_swept_after_its_leader_died(start: Start) -> None:
    """The zombie keeps the number of the group ours."""
    child = start(DOUBLE_FORK)
    daemon = int(words(child)[0])
    os.kill(child.pid, signal.SIGKILL)
    assert readable(child.pidfd)
    assert not gone(daemon)
    processes.kill_group(child)
    until(lambda: gone(daemon))


def test_bury_sweeps_the_group_reaps_and_closes(start: Start) -> None:
    before = fds_of()
    child = start(DOUBLE_FORK)
    daemon = int(words(child)[0])
    processes.bury(child)
    until(lambda: gone(daemon))
    assert not Path(f"/proc/{child.pid}").exists()
    assert fds_of() == before


def test_to_reap_without_waiting_is_to_ask_until_the_kernel_gives_it(start: Start) -> None:
    child = start(DOUBLE_FORK)
    daemon = int(words(child)[0])
    until(lambda: processes.reap(child))
    until(lambda: gone(daemon))
    assert not Path(f"/proc/{child.pid}").exists()
    assert child.pidfd not in fds_of()
    assert child.channel is not None
    child.channel.close()
    os.close(child.output)


def test_a_small_program_is_run_without_a_channel() -> None:
    before = fds_of()
    child = processes.run(["sh", "-c", "echo $USER; echo oops >&2; exit 3"], ME)
    assert readable(child.pidfd)
    assert os.read(child.output, 100) == b"me\noops\n"
    assert processes.how_it_ended(child).code == 3
    processes.bury(child)
    with pytest.raises(SpawnError, match="exec no-such-program as me: No such file or directory"):
        processes.run(["no-such-program"], ME)
    assert fds_of() == before


def test_signals_to_one_that_is_gone_are_nothing(start: Start) -> None:
    child = start("")
    assert readable(child.pidfd)
    processes.drain(child, retire=False)
    processes.ask_to_reopen(child)
    processes.kill_group(child)


@needs("root")
def test_root_starts_it_as_somebody_else() -> None:
    who = Identity(61001, 61002, (61002, 61050), "alice", "/")
    script = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    output_read, output_write = os.pipe()
    popen = processes.start([SYSTEM_PYTHON, "-c", script], who, [], output_write)
    os.close(output_write)
    assert popen.wait(10) == 0
    assert os.read(output_read, 4096) == b"(61001, 61001, 61001) (61002, 61002, 61002) [61002, 61050]\n"
    os.close(output_read)
