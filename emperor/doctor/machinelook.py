"""What of the machine can be read: limits, processes, mounts. It changes nothing.

It promises: it looks below /proc and /sys, and at the top folders, where nothing is a user's to answer. What cannot be
read is left out.
"""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from emperor.doctor.facts import Mount
from emperor.system.places import CONTROL_NAME, SYSTEM_RUNTIME

TOPS = ("/tmp", "/var/tmp", "/home", "/root", "/run/user")
"""Folders that a unit may hide: PrivateTmp=, ProtectHome= (systemd.exec(5))."""

LOOK_FOR = 0.4
"""Seconds for a look at all processes."""

UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system")

_PEER = struct.Struct("3i")


def listener_of(control: str, timeout: float = 2.0) -> tuple[int, int] | None:
    """Pid and uid of who listens at the control socket (SO_PEERCRED of unix(7)); None: nobody."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(timeout)
        asking.connect(control)
        pid, uid, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return pid, uid
    return None


def number(path: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(Path(path).read_text())
    return None


def unit_file(name: str = "emperor.service") -> str:
    return next((folder for folder in UNITS if os.path.exists(f"{folder}/{name}")), "")


def unit_of(pid: int) -> str:
    """The systemd service that a process belongs to; "": none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            for part in reversed(line.rpartition(":")[2].split("/")):
                if part.endswith(".service") and not part.startswith("user@"):
                    return part
    return ""


def open_files(pid: int) -> tuple[int, int] | None:
    """How many are open, and how many may be."""
    most = most_files(pid)
    with contextlib.suppress(OSError):
        return (len(os.listdir(f"/proc/{pid}/fd")), most) if most else None
    return None


def states(pids: Sequence[int], uid: int) -> dict[int, str]:
    """The letter of each that is ``uid``'s: pids are its vassal's own word, and may be anybody's."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            if os.stat(f"/proc/{pid}").st_uid == uid:
                found[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return found


def controls(own: str) -> tuple[str, ...]:
    """Where else an emperor may listen: root's socket, and those of units of their own."""
    pattern = f"{SYSTEM_RUNTIME}-*/{CONTROL_NAME}"
    return tuple(
        one
        for one in (f"{SYSTEM_RUNTIME}/{CONTROL_NAME}", *sorted(glob.glob(pattern)))
        if one != own and os.path.exists(one)
    )


def most_files(pid: int) -> int:
    """0: not known."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return int(soft) if soft != "unlimited" else 1 << 30
    return 0


def hidden(pid: int, tops: Sequence[str], who: str) -> list[Mount]:
    """Which of the folders the process sees otherwise than we; [] for those who may not look."""
    found = []
    for top in tops:
        with contextlib.suppress(OSError):
            ours, theirs = os.stat(top), os.stat(f"/proc/{pid}/root{top}")
            if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
                found.append(Mount(who, top, unit_of(pid)))
    return found


def emperors(own: int) -> tuple[int, ...]:
    """Pids of emperors that run as that user and are no part of another one; those in containers of their own aside."""
    found: dict[int, int] = {}
    for pid in _processes(own):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            names = [os.path.basename(word) for word in words[:3]]
            if b"emperor" in names and b"run" not in words and _namespace(pid) == _namespace(os.getpid()):
                found[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return tuple(sorted(pid for pid, parent in found.items() if parent not in found))


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def inotify(uid: int) -> tuple[int, int] | None:
    """Watches and instances of a user's processes, as far as they can be counted; None: they cannot be read."""
    watches, instances = 0, set[str]()
    readable = False
    for pid in _processes(uid):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                readable = True
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") != "anon_inode:inotify":
                    continue
                lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines()
                watches += sum(1 for line in lines if line.startswith("inotify wd:"))
                instances.add(f"{pid}/{descriptor}")
    return (watches, len(instances)) if readable else None


def _processes(uid: int) -> Iterator[int]:
    end = time.monotonic() + LOOK_FOR
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        if time.monotonic() > end:
            return
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{entry}").st_uid == uid:
                yield int(entry)
