"""A cgroup for each vassal, below the one that the service manager has delegated to us (cgroups(7), version 2).

It promises: without such a delegation nothing happens here; no controller is enabled, so that processes may stay where
they are; a signal meets nobody but who is in the group; nothing here waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from urllib.parse import quote

ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where version 2 is mounted: alone, or beside version 1."""

MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes by which systemd says that a cgroup is its service's (systemd.resource-control(5), Delegate=).
The second can be read by CAP_SYS_ADMIN alone."""

PREFIX = "vassal-"
LONGEST = 255
"""NAME_MAX."""


def own_path(proc_self_cgroup: str) -> str:
    """Of this process, below the mount; "": it has none of version 2. The text is that of /proc/self/cgroup."""
    return next((line[3:] for line in proc_self_cgroup.splitlines() if line.startswith("0::/")), "")


def is_delegated(marks: Mapping[str, bytes]) -> bool:
    return any(marks.get(name) == b"1" for name in MARKS)


def group_name(name: str, pid: int) -> str:
    """Different for any two vassals and processes; "": too long to be one."""
    word = f"{PREFIX}{quote(name, safe='')}.{pid}"
    return word if len(word) <= LONGEST else ""


def delegated(roots: Sequence[str] = ROOTS) -> str:
    """The folder of our own cgroup if it is ours to divide; "": it is not."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            path = own_path(file.read())
    except OSError:
        return ""
    for root in roots if path else ():
        folder = root + path.rstrip("/")
        if is_delegated(_marks(folder)) and os.access(folder, os.W_OK):
            return folder
    return ""


class Groups:
    """The vassals' groups below ``folder``; "": there are none, and all of this does nothing."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def enter(self, name: str, pid: int) -> str:
        """Put a process, an unreaped child, into a group of its own; what goes wrong, if anything does.

        What it has forked already stays outside.
        """
        group = self._of(name, pid)
        if not group:
            return ""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(group, 0o755)
            _write(f"{group}/cgroup.procs", str(pid))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rmdir(group)
            return f"{group}: {error.strerror} -- its strays are found by their parents alone"
        return ""

    def kill(self, name: str, pid: int) -> None:
        """KILL to everybody in it; to be called while ``pid`` is not reaped, so that the name is its own."""
        group = self._of(name, pid)
        if not group:
            return
        try:
            _write(f"{group}/cgroup.kill", "1")
        except FileNotFoundError:
            # Older than Linux 5.14, or it is gone.
            _kill_each(group)
        except OSError:
            pass

    def remove(self, name: str, pid: int) -> bool:
        """False: somebody in it is not dead yet."""
        group = self._of(name, pid)
        try:
            if group:
                os.rmdir(group)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def tidy(self) -> None:
        """What an earlier emperor left behind; where somebody is, it stays."""
        if not self._folder:
            return
        with contextlib.suppress(OSError):
            for word in os.listdir(self._folder):
                if word.startswith(PREFIX):
                    with contextlib.suppress(OSError):
                        os.rmdir(f"{self._folder}/{word}")

    def _of(self, name: str, pid: int) -> str:
        word = group_name(name, pid) if self._folder else ""
        return f"{self._folder}/{word}" if word else ""


def _kill_each(group: str) -> None:
    """A number that is listed once its pidfd is open belongs to that pidfd's process, or to nobody."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        fds = {}
        for pid in _members(group):
            with contextlib.suppress(OSError):
                fds[pid] = os.pidfd_open(pid)
                opened.callback(os.close, fds[pid])
        for pid in fds.keys() & _members(group):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fds[pid], signal.SIGKILL)


def _members(group: str) -> set[int]:
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        return {int(line) for line in file}


def _marks(folder: str) -> dict[str, bytes]:
    found = {}
    for name in MARKS:
        with contextlib.suppress(OSError):
            found[name] = os.getxattr(folder, name)
    return found


def _write(path: str, word: str) -> None:
    """Never made anew: the kernel's files are there, or the kernel has none."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, word.encode("ascii"))
    finally:
        os.close(fd)
