"""What the kernel says about a process; nothing here asks the process itself."""

from __future__ import annotations

import re
from pathlib import Path


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def uids(pid: int) -> list[int]:
    """Real, effective, saved, filesystem."""
    return [int(one) for one in status(pid)["Uid"].split()]


def gids(pid: int) -> list[int]:
    return [int(one) for one in status(pid)["Gid"].split()]


def groups(pid: int) -> set[int]:
    return {int(one) for one in status(pid)["Groups"].split()}


def capabilities(pid: int) -> dict[str, int]:
    """Inheritable, permitted, effective, ambient; the bounding set gives nothing by itself."""
    return {key: int(value, 16) for key, value in status(pid).items() if key in CAPABILITY_SETS}


CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def alive(pid: int) -> bool:
    """Dead and not reaped is dead."""
    try:
        return not status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid: int) -> int:
    return int(status(pid)["PPid"])


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != pid:
            try:
                if parent(int(entry.name)) == pid and alive(int(entry.name)):
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return sorted(found)


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return below + [one for child in below for one in descendants(child)]


def environ(pid: int) -> dict[str, str]:
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape")
    return dict(one.partition("=")[::2] for one in raw.split("\0") if one)


def command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")


def descriptors(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            continue
    return found


def unix_paths(pid: int) -> set[str]:
    """The paths of the bound Unix sockets that a process holds open."""
    inodes = {match[1] for target in descriptors(pid).values() if (match := re.fullmatch(r"socket:\[(\d+)\]", target))}
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {row[7] for row in rows if len(row) > 7 and row[6] in inodes}


def connections(path: str) -> int:
    """How many connections there are to a Unix socket, by its path: those of the server's side (proc_pid_net(5))."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    connected = "03"
    return sum(words[5] == connected and words[-1] == path for words in lines if len(words) == 8)
