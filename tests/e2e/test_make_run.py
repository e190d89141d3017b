"""``make run`` on a fresh clone: from nothing to a page."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import procfs
from tests.e2e.harness.environments import WHOLE, copy_checkout
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import free_port, get
from tests.e2e.harness.wire import Response
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("make", "venv")
INSTALLING = 180.0


@pytest.fixture
def site(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A copy of the checkout with ``make run`` in it; its address and its process."""
    clone = copy_checkout(folder / "clone", WHOLE)
    address = f"127.0.0.1:{free_port()}"
    control = folder / "run/control.sock"
    control.parent.mkdir(mode=0o755)
    output = folder / "output"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [
                "make",
                "run",
                f"PYTHON={SYSTEM_PYTHON}",
                f"HTTP={address}",
                f"OPTIONS=--control-socket {control}",
            ],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=inherited,
            start_new_session=True,
        )
    try:
        yield f"http://{address}", process
    finally:
        below = procfs.descendants(process.pid) if process.poll() is None else []
        for pid in (*below, process.pid):
            if procfs.alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        print(output.read_text())


def page(process: subprocess.Popen[bytes], url: str) -> Response | None:
    assert process.poll() is None, "make run ended"
    try:
        return get(url)
    except OSError:
        return None


def test_make_run_serves_the_samples(site: tuple[str, subprocess.Popen[bytes]]) -> None:
    base, process = site
    hello = wait_for(
        lambda: page(process, f"{base}/hello/"),
        lambda answer: answer and answer.status == 200,
        "/hello/ answers",
        INSTALLING,
    )
    assert hello and hello.body
    index = get(f"{base}/").text
    samples = sorted(path.stem for path in Path(__file__).parents[2].glob("vassals.d/*.ini"))
    assert len(samples) >= 2
    for name in samples:
        assert name in index
        assert f"/{name}/" in index
        wait_for(
            lambda url=f"{base}/{name}/": get(url).status,  # type: ignore[misc]  # mypy infers no defaults
            lambda status: status == 200,
            f"/{name}/",
        )
    assert get(f"{base}/no-such-vassal/").status == 404


def test_make_run_stops_with_its_daemon(site: tuple[str, subprocess.Popen[bytes]]) -> None:
    base, process = site
    wait_for(
        lambda: page(process, f"{base}/hello/"),
        lambda answer: answer and answer.status == 200,
        "",
        INSTALLING,
    )
    below = procfs.descendants(process.pid)
    daemon = procfs.children(process.pid)
    assert len(daemon) == 1
    os.kill(daemon[0], signal.SIGTERM)
    assert process.wait(20) == 0
    assert not [pid for pid in below if procfs.alive(pid)]


def test_make_alone_prints_the_targets(folder: Path) -> None:
    clone = copy_checkout(folder / "clone", ("Makefile",))
    done = subprocess.run(["make"], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0
    for target in ("run", "test", "check", "clean"):
        assert f"make {target} " in done.stdout
    assert not (clone / ".venv").exists()
