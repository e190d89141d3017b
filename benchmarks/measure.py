"""CPU time and memory of running processes, from the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import parsing

_PROC = Path("/proc")
_RESET_PEAK = "5"
"""proc_pid_clear_refs(5): sets VmHWM back to the present size."""


def parents() -> dict[int, int]:
    """pid → ppid of every process there is."""
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = parsing.parent_of((folder / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far, in the nanoseconds that the scheduler counts, threads that ended included.

    The processes' CPU clocks, clock_getcpuclockid(3): a clock's number is made of the pid. /proc/PID/stat tells
    the same in hundredths of a second. Raises OSError for a process that is gone.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def pss(pids: Iterable[int], field: str = "Pss") -> float:
    """MiB that these processes take, each shared page divided among those who share it."""
    texts = ((_PROC / str(pid) / "smaps_rollup").read_text() for pid in pids)
    return sum(parsing.kib_fields(text)[field] for text in texts) / 1024


class Growth:
    """How much more memory these processes held at most than now, in MiB of resident size."""

    def __init__(self, pids: tuple[int, ...]) -> None:
        self._pids = pids
        for pid in pids:
            (_PROC / str(pid) / "clear_refs").write_text(_RESET_PEAK)
        self._before = self._sum("VmRSS")

    def mib(self) -> float:
        return (self._sum("VmHWM") - self._before) / 1024

    def _sum(self, field: str) -> int:
        return sum(parsing.kib_fields((_PROC / str(pid) / "status").read_text())[field] for pid in self._pids)
