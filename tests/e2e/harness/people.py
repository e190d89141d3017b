"""Real users for the time of a test run: ``emp-alice-PID`` and ``emp-bob-PID``.

The process id keeps two runs on one machine apart; what a killed run left behind is swept by the next one.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness.waiting import HUNG, wait_for

OURS = re.compile(r"emp-(?:alice|bob|crew)-(\d+)")
CANNOT_LOCK = (1, 10)
"""Exit codes of useradd and groupadd while somebody else holds the lock on the account files (useradd(8))."""
SWEPT = (0, 6)
"""6: another run, which sweeps at the same time, was faster (userdel(8), groupdel(8))."""


@dataclass(frozen=True)
class Person:
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path

    def popen_arguments(self) -> dict[str, Any]:
        """For ``subprocess``: become this person. Nothing, if we are."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as this person. One that hangs is killed: ``subprocess.TimeoutExpired``."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environ,
            cwd="/",
            timeout=HUNG,
            **self.popen_arguments(),
        )
        assert not check or done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done


@dataclass(frozen=True)
class Users:
    """``alice`` is in the supplementary group ``crew`` too; ``bob`` is in no group but his own."""

    alice: Person
    bob: Person
    crew: int


def current() -> Person:
    """Whoever runs the tests."""
    entry = pwd.getpwuid(os.geteuid())
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(sorted(os.getgroups())), Path(entry.pw_dir))


def account(name: str) -> Person:
    entry = pwd.getpwnam(name)
    groups = tuple(sorted(os.getgrouplist(name, entry.pw_gid)))
    return Person(name, entry.pw_uid, entry.pw_gid, groups, Path(entry.pw_dir))


def create(homes: Path) -> Users:
    """Two users with homes (0755, empty) below a folder, and one more group."""
    suffix = str(os.getpid())
    crew = f"emp-crew-{suffix}"
    _accounts("groupadd", crew)
    for name, more in ((f"emp-alice-{suffix}", ["--groups", crew]), (f"emp-bob-{suffix}", [])):
        home = homes / name.split("-")[1]
        _accounts(
            *("useradd", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/sh", "--user-group"),
            *(*more, name),
        )
        home.mkdir(mode=0o755)
        person = account(name)
        os.chown(home, person.uid, person.gid)
    return Users(account(f"emp-alice-{suffix}"), account(f"emp-bob-{suffix}"), grp.getgrnam(crew).gr_gid)


def sweep() -> None:
    """Remove our users and groups, this run's and those of runs that are no more."""
    gone = [entry for entry in pwd.getpwall() if _is_over(entry.pw_name)]
    for entry in gone:
        kill_all_of(entry.pw_uid)
        _accounts("userdel", "--force", entry.pw_name, well=SWEPT)
    for group in grp.getgrall():
        if _is_over(group.gr_name):
            _accounts("groupdel", group.gr_name, well=SWEPT)


def kill_all_of(uid: int) -> None:
    """Kill what runs as one of our users: all at once, for some fork faster than they can be listed (kill(2), -1)."""

    assert uid >= 1000, uid

    def strike() -> list[int]:
        code = "import os, signal, contextlib\nwith contextlib.suppress(OSError): os.kill(-1, signal.SIGKILL)"
        subprocess.run(["/usr/bin/python3", "-I", "-c", code], user=uid, extra_groups=[], check=False, timeout=HUNG)
        return processes_of(uid)

    wait_for(strike, lambda pids: not pids, f"no process of uid {uid}")


def processes_of(uid: int) -> list[int]:
    """The pids of a user's processes, dead ones that nobody has reaped left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = (entry / "status").read_text()
                mine = re.search(r"^Uid:\t(\d+)", text, re.M)
                if mine and int(mine.group(1)) == uid and "\nState:\tZ" not in text:
                    found.append(int(entry.name))
    return found


def _is_over(name: str) -> bool:
    match = OURS.fullmatch(name)
    if not match:
        return False
    return int(match[1]) == os.getpid() or not Path(f"/proc/{match[1]}").exists()


def _accounts(*command: str, well: tuple[int, ...] = (0,)) -> None:
    done = wait_for(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=HUNG),
        lambda one: one.returncode not in CANNOT_LOCK,
        "the lock on the account files",
    )
    assert done.returncode in well, f"{' '.join(command)}: {done.stderr}"
