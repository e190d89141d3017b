"""What the tests of the I/O floor share: waiting with a deadline, looking at /proc, and a loop that can be driven."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from emperor.journal import Journal
from emperor.model import FASTCGI, TCP, UNIX, UWSGI, Address, Identity, SocketSpec, Target, VassalSpec
from emperor.system.eventloop import Loop

PATIENCE = 10.0
"""Seconds after which an event that a test waits for does not come any more."""

ME = Identity(os.geteuid(), os.getegid(), tuple(os.getgroups()), "me", "/tmp")

__all__ = [
    "FASTCGI",
    "ME",
    "PATIENCE",
    "TCP",
    "UNIX",
    "UWSGI",
    "Notes",
    "drive",
    "fds_of",
    "gone",
    "raise_it",
    "readable",
    "unix",
    "until",
    "vassal_spec",
]


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Look again and again until it holds: for what the kernel gives no event for."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:g} s in vain"
        select.select([], [], [], 0.005)


def readable(fd: int, patience: float = PATIENCE) -> bool:
    """Has it something to say, or an end, within this time?"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def drive(loop: Loop, done: Callable[[], object], patience: float = PATIENCE) -> None:
    """Run the loop until it holds. An event that is lost is not made up for: its callback is never called."""
    deadline = loop.now() + patience
    held = False

    def look() -> None:
        nonlocal held
        held = bool(done())
        if held or loop.now() >= deadline:
            loop.stop()
        else:
            loop.call_at(loop.now() + 0.005, look)

    loop.call_soon(look)
    loop.run()
    assert held, f"drove the loop for {patience:g} s in vain"


def raise_it(error: BaseException) -> None:
    """``on_error`` of a loop whose callbacks have no reason to fail."""
    raise error


def fds_of(pid: int | str = "self") -> dict[int, str]:
    """The open descriptors of a process, and what they lead to."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:  # the one that lists them
            continue
    return found


def gone(pid: int) -> bool:
    """Is there no such process any more? A zombie is one that has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return words[0] == "Z"


def unix(path: object, protocol: str = UWSGI) -> SocketSpec:
    return SocketSpec(protocol, Address(UNIX, str(path)))


def vassal_spec(where: Path, *sockets: SocketSpec, name: str = "blog", **more: object) -> VassalSpec:
    """An ini of ``where``/app.py, run as who runs the tests."""
    known: dict[str, object] = {
        "identity": ME,
        "targets": (Target("", "file", str(where / "app.py")),),
        "reload_mercy": 5.0,
        "start_timeout": 10.0,
        "folder": str(where),
        **more,
    }
    return VassalSpec(
        name=name,
        config=str(where / f"{name}.ini"),
        sockets=sockets,
        **known,  # type: ignore[arg-type]  # names are checked by the dataclass
    )


class Notes(Journal):
    """A journal that is looked at instead of read."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def _write(self, level: str, subject: str, message: str) -> None:
        self.lines.append(f"{level}: {subject}: {message}")
