"""The first steps of the daemon: what it inherits, who it becomes, and the file with its pid."""

from __future__ import annotations

import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.system import limits
from tests.integration.kernel_world import PATIENCE, until
from tests.requirements import needs

ROOT = Path(__file__).resolve().parents[2]


class Daemons:
    """``python -m emperor.cli`` in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "vassals.d").mkdir()

    def start(
        self, *options: str, control: str = "run/control.sock", before: Callable[[], object] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "emperor.cli", "--control-socket", control, *options, "vassals.d"]
        with (self.folder / "log").open("ab") as log:
            # Only the main thread of this process runs; what is done before exec is a few system calls.
            daemon = subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=before,
            )
        self.started.append(daemon)
        return daemon

    def ready(self, *options: str, **named: Any) -> subprocess.Popen[bytes]:
        count = self.log.count("ready, ")
        daemon = self.start(*options, **named)
        until(lambda: self.log.count("ready, ") > count or daemon.poll() is not None)
        assert daemon.poll() is None, self.log
        return daemon

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text() if (self.folder / "log").exists() else ""


@pytest.fixture
def daemons() -> Iterator[Daemons]:
    with tempfile.TemporaryDirectory(prefix="emperor-cli-") as folder:
        os.chmod(folder, 0o755)
        found = Daemons(Path(folder))
        yield found
        for daemon in found.started:
            daemon.kill()
            daemon.wait()


def proc_status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def hostile_parent() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD])


def test_an_ignored_sigchld_and_blocked_signals_are_not_inherited(daemons: Daemons) -> None:
    """Vassals' ends are seen, and TERM stops."""
    (daemons.folder / "app.py").write_text("import os\nos._exit(5)\n")
    (daemons.folder / "vassals.d" / "blog.ini").write_text(
        "[uwsgi]\nwsgi-file = ../app.py\nuid = root\nallow-root = 1\n"
    )
    daemon = daemons.ready(before=hostile_parent)
    until(lambda: "exited with code 5" in daemons.log)
    assert int(proc_status(daemon.pid, "SigBlk"), 16) == 0
    assert not int(proc_status(daemon.pid, "SigIgn"), 16) & 1 << (signal.SIGCHLD - 1)
    daemon.terminate()
    assert daemon.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [((256, 8192), 8192), ((1024, 1_000_000), 65536), ((4096, 8192), 8192), ((9000, 16384), 9000), ((100, 100), 100)],
)
def test_too_few_descriptors_are_raised_and_enough_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: int
) -> None:
    limit = [before]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limit.__setitem__(0, pair))
    assert limits.raise_nofile() == (after, before[1]) == limit[0]


def test_a_forbidden_raise_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*given: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", forbidden)
    assert limits.raise_nofile() == (1024, resource.RLIM_INFINITY)


def test_the_daemon_may_hold_more_descriptors_than_it_inherits(daemons: Daemons) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    daemon = daemons.ready(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0] > 256


def test_a_signal_during_the_start_waits_until_it_can_be_heeded(daemons: Daemons) -> None:
    """The control socket is there before everything else is: who sees it may stop us at once."""
    code = (
        "import os, sys; from emperor import cli, daemon; real = daemon.library.install\n"
        "daemon.library.install = lambda runtime: (os.kill(os.getpid(), int(sys.argv[1])), real(runtime))[1]\n"
        "sys.exit(cli.main(['--control-socket', 'run/control.sock', 'vassals.d']))\n"
    )
    for signum in (signal.SIGTERM, signal.SIGINT):
        done = subprocess.run(
            [sys.executable, "-c", code, str(int(signum))],
            cwd=daemons.folder,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        assert not (daemons.folder / "run" / "control.sock").exists()


# The pidfile ------------------------------------------------------------------------------------------------------


def test_a_second_emperor_leaves_the_pidfile_of_the_first(daemons: Daemons) -> None:
    first = daemons.ready("--pidfile", "pid")
    pid = daemons.folder / "pid"
    assert pid.read_text() == f"{first.pid}\n"
    for control in ("run/control.sock", "run/other.sock"):
        assert daemons.start("--pidfile", "pid", control=control).wait(PATIENCE) == 1
        assert pid.read_text() == f"{first.pid}\n"
    assert "another emperor" in daemons.log
    first.terminate()
    assert first.wait(PATIENCE) == 0
    assert not pid.exists()


def test_a_pidfile_that_holds_another_pid_by_now_stays(daemons: Daemons) -> None:
    daemon = daemons.ready("--pidfile", "pid")
    (daemons.folder / "pid").write_text("1\n")
    daemon.terminate()
    assert daemon.wait(PATIENCE) == 0
    assert (daemons.folder / "pid").read_text() == "1\n"


def test_a_pidfile_that_is_a_link_is_not_followed(daemons: Daemons) -> None:
    (daemons.folder / "victim").write_text("precious")
    (daemons.folder / "pid").symlink_to("victim")
    assert daemons.start("--pidfile", "pid").wait(PATIENCE) == 1
    assert "--pidfile" in daemons.log and "Traceback" not in daemons.log
    assert (daemons.folder / "victim").read_text() == "precious"
    assert (daemons.folder / "pid").is_symlink()
    assert not (daemons.folder / "run" / "control.sock").exists()


def test_the_pidfile_can_be_read_by_everybody(daemons: Daemons) -> None:
    daemons.ready("--pidfile", "pid", before=lambda: os.umask(0o077))
    assert (daemons.folder / "pid").stat().st_mode & 0o777 == 0o644


# Who it becomes ---------------------------------------------------------------------------------------------------


@needs("root", "www-data")
def test_who_becomes_a_user_has_the_users_home_and_not_roots_folders() -> None:
    code = (
        "import os; from emperor import reign; from emperor.system import places\n"
        "os.environ.update(HOME='/roots/home', USER='root', LOGNAME='root', XDG_RUNTIME_DIR='/roots/run',"
        " XDG_CONFIG_HOME='/roots/home/.config')\n"
        "reign._put_on(reign._chosen('www-data', None))\n"
        "print(*map(os.environ.get, ('HOME', 'USER', 'LOGNAME')), *(k for k in os.environ if k[:3] == 'XDG'))\n"
        "print(places.control_socket(os.geteuid(), os.environ))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    home = pwd.getpwnam("www-data").pw_dir
    assert done.stdout.splitlines() == [
        f"{home} www-data www-data",
        f"{home}/.local/state/emperor/control.sock",
    ], done.stderr


@needs("root")
def test_a_runtime_folder_of_somebody_else_is_refused_before_anything_is_made_in_it(daemons: Daemons) -> None:
    run = daemons.folder / "run"
    (run / "lib").mkdir(parents=True)
    for path in (run, run / "lib"):
        os.chown(path, 61001, 61001)
    assert daemons.start().wait(PATIENCE) == 1
    assert f"runtime folder {run}: not ours alone: {run}" in daemons.log and "61001" in daemons.log
    assert [path.name for path in run.rglob("*")] == ["lib"]


def test_the_module_is_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "emperor.cli", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.startswith("emperor ")
