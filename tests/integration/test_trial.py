"""``check --import``: an app is loaded in a process that is thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor import trial
from emperor.errors import SpawnError
from emperor.intake.reading import Settings
from emperor.supervision.commission import INQUIRE, Commission
from emperor.system import processes
from emperor.system.processes import Child
from tests.integration.kernel_world import fds_of
from tests.requirements import SYSTEM_PYTHON, needs

APP = "def application(environ, start_response):\n    raise AssertionError('nobody asks it anything')\n"

Check = Callable[..., tuple[bool, str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """Write an app and its ini, and try it. Whatever happens, nothing stays."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = set(fds_of())

    def checked(code: str, *lines: str) -> tuple[bool, str]:
        (tmp_path / "app.py").write_text(code)
        ini = tmp_path / "blog.ini"
        ini.write_text("\n".join(["[uwsgi]", f"wsgi-file = {tmp_path}/app.py", *lines, ""]))
        with trial.launched() as launcher:
            return trial.import_check(str(ini), Settings(runtime=str(tmp_path), allow_root=True), launcher)

    yield checked
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "blog.sock").exists()
    # The copy of the vassal side is locked for as long as this process lives.
    assert not [name for fd, name in fds_of().items() if fd not in before and "/lib/" not in name]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_app_that_loads_is_well(check: Check) -> None:
    assert check(APP) == (True, "")


def test_what_it_prints_is_shown_to_the_last_half_line(check: Check) -> None:
    code = "import sys\nprint('loading')\nprint('warn', file=sys.stderr)\nsys.stdout.write('half')\n"
    ok, text = check(code + APP)
    assert ok
    assert text.splitlines() == ["loading", "warn", "half"]


def test_what_could_steer_a_terminal_is_escaped(check: Check) -> None:
    assert check("import os\nos.write(1, b'\\x1b[2J\\xff\\n')\n" + APP) == (True, "\\x1b[2J\\xff")


def test_a_broken_import_is_shown_with_its_traceback(check: Check, tmp_path: Path) -> None:
    ok, text = check("x = 1\nimport no_such_module_of_ours\n")
    assert not ok
    assert text.startswith("Traceback (most recent call last):\n")
    assert f'File "{tmp_path}/app.py", line 2' in text
    last, hint = text.splitlines()[-2:]
    assert last == "ModuleNotFoundError: No module named 'no_such_module_of_ours'"
    assert hint.startswith(f"{last} -- no virtualenv is named, so the app runs on the emperor's own Python")


def test_a_file_without_an_app_says_what_is_in_it(check: Check) -> None:
    ok, text = check("def my_site(environ, start_response):\n    return []\n")
    assert not ok
    assert "no 'application' nor 'app' in it: callable there: my_site" in text


def test_an_ini_with_problems_is_not_tried(check: Check, tmp_path: Path) -> None:
    ok, text = check(f"open({str(tmp_path / 'imported')!r}, 'w')\n" + APP, "processes = many")
    assert not ok
    assert f"{tmp_path}/blog.ini:3: processes" in text
    assert not (tmp_path / "imported").exists()


def test_an_import_that_never_ends_is_ended_and_says_where_it_hangs(check: Check, tmp_path: Path) -> None:
    began = time.monotonic()
    ok, text = check("import signal\nsignal.pause()\n", "start-timeout = 5")
    where = f"hangs at {tmp_path}/app.py:2 in <module>"
    assert not ok
    assert text.splitlines()[0] == f"start-timeout is nearly over: {where}"
    assert text.splitlines()[-1] == f"start-timeout: not imported after 5 s: {where}"
    assert time.monotonic() - began >= 5


def test_an_import_that_ends_in_time_after_all_is_well(check: Check) -> None:
    """It was looked at: a quarter before the end."""
    ok, text = check("import time\ntime.sleep(3.2)\n" + APP, "start-timeout = 4")
    assert ok
    assert "is nearly over: hangs at" in text


def test_a_python_that_does_not_start_by_what_env_says_is_named(check: Check) -> None:
    ok, text = check(APP, "env = PYTHONHASHSEED=abc")
    assert not ok
    said = "Fatal Python error: config_init_hash_seed: PYTHONHASHSEED must be "
    assert text.splitlines()[-1].startswith(f"python {sys.executable}: ")
    assert f"does not start with what env sets (PYTHONHASHSEED): {said}" in text.splitlines()[-1]


def test_what_it_printed_is_shown_even_if_nobody_can_look_why(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    real = processes.spawn

    def nobody_looks(commission: Commission, launcher: str) -> Child:
        if commission.role == INQUIRE:
            raise SpawnError("exec: no")
        return real(commission, launcher)

    monkeypatch.setattr(processes, "spawn", nobody_looks)
    assert check("print('before', flush=True)\nimport os\nos._exit(5)\n") == (
        False,
        "before\nnobody could look why: exec: no",
    )


def test_an_import_that_dies_says_of_what(check: Check) -> None:
    assert check("import os\nos.kill(os.getpid(), 9)\n") == (False, "killed by SIGKILL")
    assert check("import os\nos._exit(5)\n") == (False, "exited with code 5")


def test_an_interpreter_that_is_missing_is_named(check: Check) -> None:
    ok, text = check(APP, "python = /nowhere/python")
    assert not ok
    assert "/nowhere/python" in text


def test_an_import_that_says_too_much_is_shown_from_its_end(check: Check) -> None:
    ok, text = check("for number in range(100_000):\n    print('line', number)\n" + APP)
    assert ok
    assert len(text) <= trial.MAX_OUTPUT
    assert text.endswith("line 99998\nline 99999")


def test_what_it_says_without_end_is_not_kept_without_end(check: Check) -> None:
    tracemalloc.start()
    try:
        ok, text = check("import os\nfor _ in range(500):\n    os.write(1, b'x' * 65535 + b'\\n')\n" + APP)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ok and len(text) <= trial.MAX_OUTPUT
    assert peak < 8_000_000


def test_what_the_app_left_running_is_swept(check: Check, tmp_path: Path) -> None:
    """It keeps the output open, too: nobody waits for its end."""
    code = (
        "import subprocess\n"
        "left = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(left.pid))\n"
    )
    began = time.monotonic()
    assert check(code + APP) == (True, "")
    assert time.monotonic() - began < 10
    shown = subprocess.run(["ps", "-o", "stat=", "-p", (tmp_path / "pid").read_text()], capture_output=True, text=True)
    assert shown.stdout.strip()[:1] in ("", "Z")


@needs("root", "www-data")
def test_it_is_loaded_as_its_user() -> None:
    folder = Path("/dev/shm") / f"emperor-trial-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    try:
        (folder / "app.py").write_text("import os\nprint(os.getresuid(), os.getcwd())\n" + APP)
        lines = ["[uwsgi]", f"wsgi-file = {folder}/app.py", "uid = www-data", f"python = {SYSTEM_PYTHON}", ""]
        (folder / "blog.ini").write_text("\n".join(lines))
        with trial.launched() as launcher:
            ok, text = trial.import_check(str(folder / "blog.ini"), Settings(runtime=str(folder)), launcher)
        assert (ok, text) == (True, f"(33, 33, 33) {folder}")
    finally:
        shutil.rmtree(folder)
