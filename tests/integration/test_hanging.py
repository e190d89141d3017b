"""Where an import hangs: one look, from another thread, at what runs then."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.system.hanging import before_the_end_of, looked_at, where
from tests.integration.kernel_world import PATIENCE, until

Told = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def no_alarm_is_left() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


def tasks() -> set[str]:
    """The kernel's threads of this process."""
    return set(os.listdir("/proc/self/task"))


def app_that(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "app.py"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(path: Path, **names: object) -> None:
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "app", **names})


def test_what_hangs_is_told_with_its_line_and_goes_on(tmp_path: Path) -> None:
    told: Told = []
    read, write = os.pipe()
    path = app_that(tmp_path, "import os", "def connect():", "    os.read(read, 1)", "connect()", "after.append(1)")

    def tell(line: str, stack: str) -> None:
        told.append((line, stack))
        os.write(write, b"x")

    after: list[int] = []
    with looked_at(0.01, tell):
        run(path, read=read, after=after)
    assert after == [1]
    ((line, stack),) = told
    assert line == f"hangs at {path}:3 in connect"
    assert f'File "{path}", line 4, in <module>' in stack
    os.close(read)
    os.close(write)


def test_a_library_that_waits_is_told_beside_the_apps_own_line(tmp_path: Path) -> None:
    told: list[str] = []
    lines = ["import threading", "gate = threading.Event()", "opens(gate)", "gate.wait()"]
    gates: list[object] = []

    def tell(line: str, stack: str) -> None:
        told.append(line)
        gates[0].set()  # type: ignore[attr-defined]  # a threading.Event

    path = app_that(tmp_path, *lines)
    with looked_at(0.01, tell):
        run(path, opens=gates.append)
    assert len(told) == 1
    assert told[0].startswith(f"hangs at {path}:4 in <module> (")
    assert "threading.py:" in told[0]


def test_what_ends_in_time_is_not_looked_at_and_leaves_no_thread() -> None:
    before = tasks()
    for _ in range(100):
        with looked_at(PATIENCE, lambda *said: pytest.fail(str(said))):
            pass
        assert tasks() == before


def test_what_fails_leaves_no_thread() -> None:
    before = tasks()
    with pytest.raises(KeyError), looked_at(PATIENCE, lambda *said: None):
        raise KeyError
    assert tasks() == before


def test_an_app_that_looks_at_its_threads_does_not_meet_ours() -> None:
    before = threading.enumerate()
    with looked_at(PATIENCE, lambda *said: None):
        assert threading.enumerate() == before


def test_the_alarm_is_the_apps() -> None:
    """It hears it, sets it, waits for it: no alarm is ours."""
    heard: list[int] = []
    told: Told = []

    def its(signum: int, frame: object) -> None:
        heard.append(signum)

    with looked_at(0.01, lambda *said: told.append(said)):
        signal.signal(signal.SIGALRM, its)
        until(lambda: told)
        assert (heard, signal.getitimer(signal.ITIMER_REAL)) == ([], (0.0, 0.0))
        signal.setitimer(signal.ITIMER_REAL, 3600.0)
    assert signal.getsignal(signal.SIGALRM) is its
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000


def test_a_signal_that_the_app_waits_for_is_not_heard_in_its_stead() -> None:
    """One thread that does not block it would take it, and the program would end."""
    with looked_at(PATIENCE, lambda *said: None):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


WAITS_IN_C = """
import ctypes, threading
from emperor.system.hanging import looked_at
told = threading.Event()
libc = ctypes.CDLL(None, use_errno=True)
with looked_at(0.01, lambda *said: told.set()):
    print(libc.usleep(200000), ctypes.get_errno(), flush=True)
assert told.is_set()
"""


def test_a_call_in_c_is_not_cut_short_by_the_look() -> None:
    done = subprocess.run([sys.executable, "-c", WAITS_IN_C], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("0 0\n", "")


def test_a_fork_of_the_apps_that_goes_on_waits_for_nobody() -> None:
    pid = 0
    with looked_at(PATIENCE, lambda *said: None):
        pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_without_a_thread_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*given: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    with looked_at(0.0, lambda *said: pytest.fail(str(said))):
        pass
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def frame(path: str, line: int, name: str) -> traceback.FrameSummary:
    return traceback.FrameSummary(path, line, name, lookup_line=False)


def test_of_libraries_alone_the_last_line_is_told() -> None:
    stack = [frame("/venv/lib/python3.11/site-packages/a/b.py", 1, "one"), frame(os.__file__, 2, "two")]
    assert where(stack) == f"hangs at {os.__file__}:2 in two"


def test_the_apps_deepest_line_is_told_and_the_librarys() -> None:
    stack = [
        frame("/srv/wsgi.py", 1, "<module>"),
        frame("/srv/site.py", 9, "<module>"),
        frame("/srv/venv/lib/python3.11/site-packages/werkzeug/serving.py", 1100, "run_simple"),
    ]
    library = "/srv/venv/lib/python3.11/site-packages/werkzeug/serving.py:1100 in run_simple"
    assert where(stack) == f"hangs at /srv/site.py:9 in <module> ({library})"


@pytest.mark.parametrize(("limit", "look"), [(60.0, 59.0), (2.0, 1.5), (0.4, 0.3)])
def test_the_look_is_a_little_before_the_end(limit: float, look: float) -> None:
    assert before_the_end_of(limit) == pytest.approx(look)
