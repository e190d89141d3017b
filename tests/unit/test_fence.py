"""The fence around the unit tests holds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

ESCAPES: dict[str, Callable[[], object]] = {
    "socket": socket.socket,
    "fork": os.fork,
    "subprocess": lambda: subprocess.run([sys.executable, "-c", ""]),
    "sleep": lambda: time.sleep(0),
    "open for writing": lambda: Path("/dev/null").write_text(""),
    "os.open for writing": lambda: os.open("/dev/null", os.O_WRONLY),
    "kill": lambda: os.kill(os.getpid(), 0),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_unit_test_cannot_reach_out(name: str) -> None:
    with pytest.raises(AssertionError, match="reached out"):
        ESCAPES[name]()


def test_a_unit_test_can_read() -> None:
    assert Path(__file__).read_text()
