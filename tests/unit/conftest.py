"""Unit tests reach nothing outside of the interpreter: the kernel is asked to say so.

An audit hook sees every way to a socket, a process, a file or a sleep, whatever name it was imported under.
Reading is allowed (the test of the floors reads the sources).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

FORBIDDEN = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "socket.__new__",
        "subprocess.Popen",
    }
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Fence:
    """Closed while a unit test runs: a hook cannot be taken away again, so it looks."""

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.closed:
            return
        if event in FORBIDDEN or (event == "open" and self._writes(*arguments)):
            raise AssertionError(f"a unit test reached out: {event} {arguments!r}")

    @staticmethod
    def _writes(path: Any, _mode: Any, flags: int) -> bool:
        # A module imported in the middle of a test leaves its byte code; that is the interpreter's doing.
        return bool(flags & WRITES) and "__pycache__" not in str(path)


def _sleep(seconds: float) -> None:
    raise AssertionError(f"a unit test reached out: time.sleep {seconds!r}")


@pytest.fixture(scope="session")
def fence() -> Fence:
    one = Fence()
    sys.addaudithook(one)
    return one


@pytest.fixture(autouse=True)
def nothing_outside(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(time, "sleep", _sleep)  # its audit event came with Python 3.13
    fence.closed = True
    try:
        yield
    finally:
        fence.closed = False
