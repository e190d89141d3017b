"""What a process that is root asks of the kernel, by strace(1): each call with the paths that it named or went by."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.harness.waiting import wait_for

# Not read(2): it is most of what every import does, and what is read was opened before.
DESCRIPTORS = "write,writev,fstat,fchmod,fchown,fgetxattr,fsetxattr,getdents64,flock,ftruncate,sendfile"
CALLS = f"%file,%process,bind,connect,setuid,setreuid,setresuid,{DESCRIPTORS}"
DROP = re.compile(r"set(?:re|res)?uid\((?!0|-1)\d")
BIRTH = re.compile(r"(?:fork|clone3?|vfork)\b.*= (\d+)$")


class Call(NamedTuple):
    pid: int
    text: str


class Trace:
    """``calls``: complete once the block is over."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def of_root(self) -> list[Call]:
        """By processes that had not become somebody else by then."""
        return [one for one, dropped in self._with_standing() if not dropped]

    def of_others(self) -> list[Call]:
        return [one for one, dropped in self._with_standing() if dropped]

    def _with_standing(self) -> Iterator[tuple[Call, bool]]:
        """A child is what its parent was as it called fork, although it may be heard of before fork returns."""
        born: dict[int, int] = {}
        for one in self.calls:
            if found := BIRTH.search(one.text):
                born[int(found[1])] = one.pid
        dropped: set[int] = set()
        seen: set[int] = set()
        for one in self.calls:
            if one.pid not in seen:
                seen.add(one.pid)
                if born.get(one.pid) in dropped:
                    dropped.add(one.pid)
            yield one, one.pid in dropped
            if DROP.match(one.text):
                dropped.add(one.pid)


@contextmanager
def straced(pid: int, log: Path, beyond: bool = True) -> Iterator[Trace]:
    """A running process and all that it starts meanwhile. Contents are not shown (``-s 0``); the paths of descriptors
    are (``-y``). ``beyond``: whoever calls execve is followed beyond it, which makes every start slow.
    """
    alone = [] if beyond else ["-b", "execve"]
    command = ["strace", "-f", *alone, "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log), "-p", str(pid)]
    trace = Trace()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            wait_for(lambda: _traced(pid) == strace.pid, what="strace is attached")
            yield trace
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=60)
    for line in log.read_text(errors="replace").splitlines():
        number, _, text = line.partition(" ")
        trace.calls.append(Call(int(number), text.strip()))


def _traced(pid: int) -> int:
    """By whom, proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid:"))
