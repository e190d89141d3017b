"""What the kernel and the tools print, as numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_REQUESTS = re.compile(r"^\s*(\d+) requests in ", re.M)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.M)
_SOCKETS = re.compile(r"^\s*Socket errors: (.+)$", re.M)
_STATUS = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)", re.M)


@dataclass(frozen=True)
class Load:
    """What wrk says of one round. ``faults``: errors of sockets and statuses in wrk's words; "" is well."""

    requests: int
    rate: float
    faults: str


def wrk_output(text: str) -> Load:
    """Raises ValueError where wrk's summary is missing."""
    requests, rate = _REQUESTS.search(text), _RATE.search(text)
    if requests is None or rate is None:
        raise ValueError(f"wrk printed no summary: {text.strip()[-300:]!r}")
    sockets, status = _SOCKETS.search(text), _STATUS.search(text)
    faults = [f"socket errors: {sockets[1].strip()}"] if sockets else []
    faults += [f"{status[1]} answers other than 2xx and 3xx"] if status else []
    return Load(int(requests[1]), float(rate[1]), "; ".join(faults))


def parent_of(stat: str) -> int:
    """ppid of ``/proc/PID/stat``, proc_pid_stat(5). The name in parentheses may hold anything."""
    return int(stat.rpartition(")")[2].split()[1])


def kib_fields(text: str) -> dict[str, int]:
    """``Name: N kB`` lines of ``/proc/PID/status`` and ``smaps_rollup``, in KiB."""
    found = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in found if len(words) == 3 and words[2] == "kB"}


def tree(parents: Mapping[int, int], root: int) -> tuple[int, ...]:
    """``root`` and everything below it, in rising order, of a map from pid to ppid."""
    known = {root}
    while more := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= more
    return tuple(sorted(known))


def leaves(parents: Mapping[int, int], pids: Iterable[int]) -> tuple[int, ...]:
    """Those of ``pids`` that nobody has for a parent: the workers of a tree of processes."""
    mothers = set(parents.values())
    return tuple(pid for pid in pids if pid not in mothers)


def cpu_model(cpuinfo: str) -> str:
    """The first ``model name`` of ``/proc/cpuinfo``; not every architecture has one."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.M)
    return found[1].strip() if found else "unknown CPU"
