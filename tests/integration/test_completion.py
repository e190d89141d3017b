"""Completion in the real shells, with the vassals of a running emperor."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kernel_world import PATIENCE, until
from tests.requirements import needs

ROOT = Path(__file__).resolve().parents[2]
VASSALS = ("blog", "blog@2", "shop")
CONTROL = "run/control.sock"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with an emperor, its emperorctl, and the scripts."""
    with tempfile.TemporaryDirectory(prefix="emperor-tab-") as folder:
        where = Path(folder)
        where.chmod(0o755)
        (where / "v").mkdir()
        for name in VASSALS:
            (where / f"v/{name}.ini").write_text("[uwsgi]\nmodule = app\non-demand = 1\n")
        (where / "bin").mkdir()
        program = where / "bin/emperorctl"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m emperor.ctl.cli "$@"\n')
        program.chmod(0o755)
        for shell in ("bash", "zsh", "fish"):
            (where / shell).write_text(subprocess.check_output([program, "completion", shell], text=True))
        command = [sys.executable, "-m", "emperor.cli", "--control-socket", CONTROL, "v"]
        with (where / "log").open("wb") as log:
            daemon = subprocess.Popen(
                command, cwd=where, env=surroundings(where), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(lambda: b"ready, 3 vassals" in (where / "log").read_bytes() or daemon.poll() is not None)
            assert daemon.poll() is None, (where / "log").read_text()
            yield where
        finally:
            daemon.kill()
            daemon.wait()


def surroundings(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(place),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "INPUTRC": "/dev/null",
    }


class Typist:
    """Somebody at a shell on a terminal."""

    def __init__(self, place: Path, *command: str) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(place)
            os.execvpe(command[0], command, surroundings(place))

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def reads(self, pattern: str) -> str:
        """The first group of it, on a line of its own."""
        seen, end = "", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.1)[0]:
                seen += os.read(self.terminal, 65536).decode()
            if found := re.search(rf"^{pattern}$", seen.replace("\r", ""), re.MULTILINE):
                return found[1]
        raise AssertionError(f"not seen: {seen!r}")

    def completed(self, line: str) -> str:
        """What TAB makes of the line: the shell is made to print it."""
        self.type(f"{line}\t\x01echo '[' \x05 ']'\r")  # Ctrl-A to its beginning, Ctrl-E to its end
        return self.reads(r"\[ (.*?) ?\]")

    def leave(self) -> None:
        self.type("\x15exit\r")
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


SHELLS = {
    "bash": (("bash", "--norc", "--noprofile", "-i"), "source ./bash"),
    "zsh": (("zsh", "-f", "-i"), "bindkey -e; autoload -U compinit; compinit -u -D; source ./zsh"),
}


@pytest.fixture(params=["bash", pytest.param("zsh", marks=needs("zsh"))])
def typist(request: pytest.FixtureRequest, place: Path) -> Iterator[Typist]:
    command, first = SHELLS[request.param]
    found = Typist(place, *command)
    found.type(f"{first}; echo rea''dy\r")
    found.reads("(ready)")
    yield found
    found.leave()


def test_tab_completes_verbs_options_names_and_files(typist: Typist) -> None:
    asked = f"emperorctl --control-socket {CONTROL}"
    for line, completed in {
        "emperorctl stat": "emperorctl status",
        "emperorctl --timeout 3 opti": "emperorctl --timeout 3 options",
        "emperorctl status --wat": "emperorctl status --watch",
        "emperorctl completion fi": "emperorctl completion fish",
        "emperorctl options touch-r": "emperorctl options touch-reload",
        "emperorctl check v/sh": "emperorctl check v/shop.ini",
        "emperorctl --control-socket=run/contr": f"emperorctl --control-socket={CONTROL}",
        f"{asked} status sh": f"{asked} status shop",
        f"{asked} logs -n 5 shop blog@": f"{asked} logs -n 5 shop blog@2",
        f"{asked} reload al": f"{asked} reload all",
        f"{asked} nginx v/sho": f"{asked} nginx v/shop.ini",
        f"{asked} scale shop sh": f"{asked} scale shop sh",
        "emperorctl --control-socket=nowhere status sh": "emperorctl --control-socket=nowhere status sh",
    }.items():
        assert typist.completed(line) == completed


@needs("fish")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("emperorctl st", {"status", "start", "stop"}),
        ("emperorctl --timeout 3 opti", {"options"}),
        ("emperorctl status --wat", {"--watch"}),
        ("emperorctl completion ", {"bash", "zsh", "fish"}),
        ("emperorctl check v/sh", {"v/shop.ini"}),
        (f"emperorctl --control-socket {CONTROL} status ", set(VASSALS)),
        (f"emperorctl --control-socket={CONTROL} logs -n 5 shop blog@", {"blog@2"}),
        (f"emperorctl --control-socket {CONTROL} reload a", {"all"}),
        (f"emperorctl --control-socket {CONTROL} scale shop ", set()),
        ("emperorctl --control-socket nowhere status ", set()),
    ],
)
def test_fish_is_offered_verbs_options_names_and_files(line: str, offered: set[str], place: Path) -> None:
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source ./fish; complete -C $argv[1]", line],
        cwd=place,
        env=surroundings(place),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )
    assert {row.partition("\t")[0] for row in done.stdout.splitlines()} == offered, done.stderr


def test_without_an_emperor_names_are_none_and_nothing_is_said(place: Path) -> None:
    command = ["emperorctl", "--control-socket", "nowhere", "completion", "--names"]
    done = subprocess.run(command, cwd=place, env=surroundings(place), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
