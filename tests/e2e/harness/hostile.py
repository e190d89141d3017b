"""alice's "interpreter" that speaks the channel itself (tests/apps/hostile.py), and what it must not cost others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import APPS, Emperor, Vassal, chown
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for, within

SOON = 20.0
"""Seconds in which ``emperorctl status`` must answer, whatever a vassal does: machines stall, and who hangs does so for
longer."""


def hostile(daemon: Emperor, users: Users, act: str, name: str = "hers", **options: Any) -> Vassal:
    """An ini of alice's whose interpreter is her script, written into root's folder for her."""
    vassal = daemon.place(name, users.alice, **{"uid": None, "gid": None, **options})
    program = vassal.folder / "hostile"
    shutil.copy(APPS / "hostile.py", program)
    program.chmod(0o755)
    chown(program, users.alice)
    vassal.options = {**vassal.options, "python": program, "env": f"ACT={act}"}
    return hers(vassal)


def hers(vassal: Vassal, **changes: object) -> Vassal:
    """(Re)write the ini as its owner would."""
    vassal.write(**changes)
    chown(vassal.ini, vassal.owner)
    return vassal


def roots(vassal: Vassal, **changes: object) -> Vassal:
    """(Re)write the ini as root: it names its user, and no interpreter."""
    return vassal.write(uid=vassal.owner.name, gid=vassal.owner.gid, python=None, env=None, **changes)


def go(vassal: Vassal) -> None:
    """What it has waited for."""
    (vassal.folder / "go").touch()


def answers_soon(daemon: Emperor) -> None:
    with within(SOON):
        done = daemon.ctl("status")
    assert done.returncode in (0, 3), done


def settled_descriptors(daemon: Emperor) -> int:
    """How many the emperor has open, once their number rests: closing is done in a thread, burying on a timer."""
    seen = [len(procfs.descriptors(daemon.pid))]

    def look() -> bool:
        seen.append(len(procfs.descriptors(daemon.pid)))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    wait_for(look, what="the emperor's descriptors rest")
    return seen[-1]


def zombies(pid: int) -> int:
    """Its dead children that it has not reaped."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                seen = procfs.status(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += int(seen["PPid"]) == pid and seen["State"].startswith("Z")
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time, proc_pid_stat(5)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
