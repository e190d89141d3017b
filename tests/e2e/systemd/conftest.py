"""A systemd for each module, and in it a fresh emperor for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

import pytest

from benchmarks.front import SCRATCH, free_port
from tests.e2e.harness import web
from tests.e2e.harness.installed import Installed
from tests.e2e.harness.people import Users
from tests.e2e.harness.systemd import UNITS, Machine
from tests.e2e.harness.waiting import wait_for
from tests.requirements import require

NGINX = """
[Service]
Type=exec
ExecStart=/usr/sbin/nginx -e /run/front/error.log -c /run/front/nginx.conf -p /run/front
"""

StartFront = Callable[[Mapping[str, str]], int]


@pytest.fixture(scope="module")
def machine(session_folder: Path, numbers: Iterator[int], emperor_venv: Path, users: Users) -> Iterator[Machine]:
    """The units are those of contrib/systemd, without a letter changed; the programs are where they expect them."""
    require("systemd")
    one = Machine(session_folder / f"m{next(numbers)}", session_folder, emperor_venv / "bin")
    for name in ("emperor.service", "emperor@.service", "blog.socket"):
        one.unit(name, (UNITS / name).read_text())
    one.unit("front.service", NGINX)
    try:
        yield one.boot()
    finally:
        one.stop()


@pytest.fixture
def service(machine: Machine) -> Iterator[Installed]:
    """Not started yet. What it printed is shown if the test fails."""
    one = Installed(machine)
    try:
        yield one
    finally:
        print(f"--- {one.unit} ---\n{one.log}")
        reset(machine)


@pytest.fixture
def front(machine: Machine) -> Iterator[StartFront]:
    """Starts an nginx in the machine: path -> directives of its location; the port, which is the test machine's too."""
    require("nginx")

    def start(locations: Mapping[str, str]) -> int:
        port, folder = free_port(), machine.path("/run/front")
        folder.mkdir(mode=0o755, exist_ok=True)
        text = web.CONFIG.format(
            user="user www-data;",
            folder="/run/front",
            servers=web.server(port, "_", locations),
            upstreams="",
            scratch=SCRATCH.format(folder="/run/front"),
        )
        (folder / "nginx.conf").write_text(text)
        machine.systemctl("start", "front.service")
        wait_for((folder / "nginx.pid").exists, what="nginx listens")
        return port

    yield start
    machine.systemctl("stop", "front.service")
    shutil.rmtree(machine.path("/run/front"), ignore_errors=True)


def reset(machine: Machine) -> None:
    """As after the boot."""
    ours = ("emperor.service", "emperor@*.service", "blog.socket")
    if machine.run("timeout", "10", "systemctl", "stop", *ours, check=False).returncode:
        # A test that has failed left a request that nobody ends.
        machine.systemctl("kill", "--signal=KILL", *ours, check=False)
        machine.systemctl("stop", *ours)
    machine.systemctl("reset-failed")
    for folder in ("/etc/emperor", "/srv", "/var/log", "/home"):
        for path in machine.path(folder).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for left in (*machine.path("/run").glob("*.sock"), *machine.path("/tmp").glob("*.sock")):
        left.unlink()
    for drop_ins in machine.path("/etc/systemd/system").glob("emperor*.service.d"):
        shutil.rmtree(drop_ins)
    machine.systemctl("daemon-reload")
