"""Where an import hangs: one look, by the kernel's alarm clock, at what runs then."""

from __future__ import annotations

import os
import select
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.system.hanging import before_the_end_of, looked_at, where
from tests.integration.kernel_world import PATIENCE

Told = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def alarm_as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


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


def test_what_ends_in_time_is_not_looked_at_and_leaves_no_alarm() -> None:
    with looked_at(PATIENCE, lambda *said: pytest.fail(str(said))):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_what_fails_leaves_no_alarm() -> None:
    with pytest.raises(KeyError), looked_at(PATIENCE, lambda *said: None):
        raise KeyError
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_app_that_sets_the_alarm_for_itself_keeps_it() -> None:
    def its(signum: int, frame: object) -> None:
        raise AssertionError

    with looked_at(PATIENCE, lambda *said: pytest.fail(str(said))):
        signal.signal(signal.SIGALRM, its)
        signal.setitimer(signal.ITIMER_REAL, 3600.0)
    assert signal.getsignal(signal.SIGALRM) is its
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000


def test_an_app_that_only_hears_the_alarm_is_not_woken_by_ours() -> None:
    with looked_at(PATIENCE, lambda *said: pytest.fail(str(said))):
        signal.signal(signal.SIGALRM, lambda signum, frame: None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_call_that_waits_is_not_cut_short_by_the_look() -> None:
    """PEP 475."""
    told: Told = []
    with looked_at(0.01, lambda *said: told.append(said)):
        assert select.select([], [], [], 0.05) == ([], [], [])
    assert len(told) == 1


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
