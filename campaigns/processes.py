"""What the kernel tells of the processes under test, and the signals that end them."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import parsing
from campaigns.tally import Kill, Trouble

_CONNECTED = "03"
"""SS_CONNECTED, in /proc/net/unix."""

_PATIENCE = 60.0
_WAITED = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)$", re.M)


def wait_for(look: Callable[[], Any], what: str, seconds: float = _PATIENCE, pause: float = 0.01) -> Any:
    """Raises Trouble when it did not come true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
    return seen


def children(pid: int) -> list[int]:
    """Of all threads, in the order in which they were born; [] if it is gone."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return sorted(found)


def kill(pid: int, path: Path | None = None) -> Kill:
    """KILL, and wait until all that the process held open is closed. Raises ProcessLookupError.

    ``path``: stop it first, to count the connections to this socket that it has.
    """
    fd = os.pidfd_open(pid)
    try:
        sent, held = time.monotonic(), 0
        if path is not None:
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
            wait_for(lambda: _state(pid) in "TZX", f"process {pid} stops", pause=0.0002)
            held = connections(pid, path)
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 10)
        return Kill(sent, time.monotonic(), held)
    finally:
        os.close(fd)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None


def connections(pid: int, path: Path) -> int:
    """How many a process has that were made to this listening socket: /proc/net/unix gives them its path."""
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            held.add(os.readlink(link))
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return sum(row[7:] == [str(path)] and row[5] == _CONNECTED and f"socket:[{row[6]}]" in held for row in rows)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def wakeups(pid: int) -> int:
    """How often its threads have waited and gone on, all in all."""
    texts = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status"))
    return sum(int(count) for text in texts for count in _WAITED.findall(text))


def available() -> float:
    """MiB of memory that could be had."""
    return parsing.kib_fields(Path("/proc/meminfo").read_text())["MemAvailable"] / 1024


def rss(pids: Iterable[int]) -> float:
    """MiB."""
    texts = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
    return sum(parsing.kib_fields(text)["VmRSS"] for text in texts) / 1024
