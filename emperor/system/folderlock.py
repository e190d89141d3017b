"""One emperor for each folder of inis: flock(2) on the folder itself.

It promises: nobody is waited for, and nothing is written. Whoever can read a folder can lock it, so a lock counts only
if a living process of root's, or of our own user, has it in its hands; anybody else's is told, and does not stand in
our way. The kernel names who took it, which somebody else may hold since, and the number be another process's by now.
It does not see an emperor in another PID namespace, nor one on a filesystem that has no locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emperor.system import acl, trust

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC

Key = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True)
class Holder:
    """Who took a lock; ``control``: where it answers, as far as can be told."""

    pid: int
    control: str = ""

    def __str__(self) -> str:
        return (
            f"the emperor with pid {self.pid} ({self.control})" if self.control else f"the program with pid {self.pid}"
        )


@dataclass(frozen=True)
class Verdict:
    """``holder``: another emperor, whose folder it is. ``warning``: why it could not be locked, though it is free."""

    holder: Holder | None = None
    warning: str = ""


FREE = Verdict()


class FolderLocks:
    """``held``: path → descriptor of the locks that an earlier program of this process took (``export``)."""

    def __init__(self, held: Mapping[str, int] | None = None) -> None:
        self._held: dict[str, tuple[int, Key]] = {}
        self._others: dict[str, Holder] = {}
        for path, fd in (held or {}).items():
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, False)
                self._held[path] = (fd, _key(fd))

    def take(self, folder: str) -> Verdict:
        """Hold ``folder``, or what has taken its place. OSError: it is not there, or cannot be opened; Elsewhere, if
        somebody would have to be waited for."""
        with trust.hold(folder) as there:
            key = _key(there.descriptor)
            if any(known == key for _, known in self._held.values()):
                return FREE
            fd = os.open(acl.by_descriptor(there.descriptor), _FLAGS)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            verdict = _refused(fd, error)
            os.close(fd)
            return self._as_before(folder, verdict)
        self._others.pop(folder, None)
        self._drop(folder)
        self._held[folder] = (fd, key)
        return FREE

    def _as_before(self, folder: str, verdict: Verdict) -> Verdict:
        """One that is about to end has no control socket any more, and is still the same one."""
        if verdict.holder is None:
            return verdict
        before = self._others.get(folder)
        if before is None or before.pid != verdict.holder.pid:
            before = self._others[folder] = verdict.holder
        return Verdict(before)

    def keep(self, folders: Iterable[str]) -> None:
        """Let go of all others."""
        for folder in set(self._held).difference(folders):
            self._drop(folder)

    def export(self) -> dict[str, int]:
        """Path → descriptor, for the program that this process is about to become; they are not inheritable yet."""
        return {folder: fd for folder, (fd, _) in self._held.items()}

    def close(self) -> None:
        self.keep(())

    def _drop(self, folder: str) -> None:
        held = self._held.pop(folder, None)
        if held is not None:
            os.close(held[0])


def _key(fd: int) -> Key:
    there = os.fstat(fd)
    return there.st_dev, there.st_ino


def _refused(fd: int, error: OSError) -> Verdict:
    if error.errno != errno.EWOULDBLOCK:
        return Verdict(warning=f"{error.strerror} -- a second emperor on it would not be noticed")
    wanted = _as_in_proc_locks(fd)
    pid = _locker(wanted)
    uids = _uids(pid) if _has(pid, wanted) else set()
    if uids and uids <= {0, os.geteuid()}:
        return Verdict(Holder(pid, _control_of(pid)))
    who = f"pid {pid} of uid {min(uids)}" if uids else "somebody"
    return Verdict(warning=f"{who}, who is no emperor of ours, has locked it -- this emperor goes on without the lock")


def _locker(wanted: str) -> int:
    """Who took the flock(2) on this file, by /proc/locks (proc_locks(5)); 0: it does not tell."""
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as locks:
        for line in locks:
            # Who only waits has "->" in the second place.
            if _is_flock(line.split(), wanted):
                return int(line.split()[4])
    return 0


def _has(pid: int, wanted: str) -> bool:
    """Is the lock one of a descriptor of this process? No: another one has this number now, or we may not look.

    By proc_pid_fdinfo(5), which asks the kernel alone; to look at the files could wait for their filesystems.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fdinfo") if pid else ():
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{pid}/fdinfo/{entry}", encoding="ascii", errors="replace") as file,
            ):
                if any(line.startswith("lock:") and _is_flock(line.split()[1:], wanted) for line in file):
                    return True
    return False


def _is_flock(words: list[str], wanted: str) -> bool:
    """``1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF``"""
    return len(words) > 5 and words[1] == "FLOCK" and words[5] == wanted and words[4].isdigit()


def _as_in_proc_locks(fd: int) -> str:
    """``major:minor:inode``, with the filesystem's own device: on btrfs and overlayfs stat(2) tells another one."""
    there = os.fstat(fd)
    major, minor = os.major(there.st_dev), os.minor(there.st_dev)
    mount = _field(f"/proc/self/fdinfo/{fd}", "mnt_id:")
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f,
    ):
        for line in f:
            words = line.split(maxsplit=3)
            if [words[0]] == mount:
                major, minor = (int(number) for number in words[2].split(":"))
    return f"{major:02x}:{minor:02x}:{there.st_ino}"


def _uids(pid: int) -> set[int]:
    """Real, effective, saved and filesystem uid of a living process: a setuid program is still its caller's."""
    if not pid or _field(f"/proc/{pid}/status", "State:")[:1] in ([], ["Z"], ["X"]):
        return set()
    return {int(word) for word in _field(f"/proc/{pid}/status", "Uid:")}


def _control_of(pid: int) -> str:
    """An emperor holds the lock beside its control socket open (``control.binding``)."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                path, suffix = os.path.splitext(os.readlink(f"/proc/{pid}/fd/{entry}"))
                if suffix == ".lock" and stat.S_ISSOCK(os.lstat(path).st_mode):
                    return path
    return ""


def _field(path: str, name: str) -> list[str]:
    """The words of one line of a file in /proc; none if there is no such line, or file."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(name):
                return line.split()[1:]
    return []
