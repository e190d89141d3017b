"""A machine of its own for systemd: namespaces in which a real one is process 1, with the units of ``contrib/systemd``.

It promises: the machine that runs the tests keeps its /run, /etc, /dev, /sys, its cgroups and its own systemd; when the
machine is stopped, or the tests die, no process, mount or cgroup of it is left. The network is shared, so is every
folder that is not named in ``_INSIDE``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.e2e.harness import procfs
from tests.e2e.harness.environments import CHECKOUT
from tests.e2e.harness.waiting import HUNG, wait_for

UNITS = CHECKOUT / "contrib" / "systemd"
TARGETS = ("sysinit", "basic", "shutdown", "sockets", "network", "multi-user")
"""What Debian's own units would bring in, and udev and getty with it."""

_OUTSIDE = """
set -eu
mount -n --make-rprivate /
mount -n -t cgroup2 cgroup2 "$FOLDER/stage"
mkdir "$FOLDER/stage/$NAME"
echo $$ >"$FOLDER/stage/$NAME/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --mount-proc sh -c "$INSIDE"
"""
"""Into a cgroup that becomes the root of the namespace's: systemd then writes nothing above it."""

_INSIDE = """
set -eu
stage="$FOLDER/stage"
mount -n --make-rprivate /
umount -n "$stage"
fresh() { mount -n -t tmpfs -o "mode=$1" tmpfs "$stage"; }
put() { mount -n --move "$stage" "$1"; }

fresh 755
cp -a /etc/. "$stage"
rm -rf "$stage/systemd" "$stage/emperor"
mkdir -p "$stage/systemd"
cp -r "$FOLDER/units" "$stage/systemd/system"
put /etc

fresh 755
mkdir "$stage/shm" "$stage/pts"
for one in null zero full random urandom tty; do
    touch "$stage/$one"
    mount -n --bind "/dev/$one" "$stage/$one"
done
ln -s /proc/self/fd "$stage/fd"
ln -s pts/ptmx "$stage/ptmx"
mount -n -t tmpfs -o mode=1777 tmpfs "$stage/shm"
mount -n -t devpts -o newinstance,ptmxmode=0666 devpts "$stage/pts"
put /dev

for one in /run /srv /home /var/log /usr/local/bin; do
    fresh 755
    put "$one"
done
fresh 1777
put /var/tmp
ln -s "$PROGRAMS/emperor" "$PROGRAMS/emperorctl" /usr/local/bin

mount -n --bind /proc/sys /proc/sys
mount -n -o remount,bind,ro /proc/sys
fresh 755
mkdir -p "$stage/fs/cgroup"
mount -n -t cgroup2 cgroup2 "$stage/fs/cgroup"
put /sys

fresh 1777
mkdir "$stage/${SHARED##*/}"
mount -n --bind "$SHARED" "$stage/${SHARED##*/}"
put /tmp
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=tests SYSTEMD_UNIT_PATH=/etc/systemd/system \\
    /lib/systemd/systemd --system --unit=multi-user.target --show-status=no --log-target=null
"""
"""``container``: without it systemd takes the kernel's settings and the clock for its own."""

_SWEEP = """
set -eu
mount -n --make-rprivate /
mount -n -t cgroup2 cgroup2 "$FOLDER/stage"
remove() { find "$1" -depth -type d -exec rmdir {} +; }
for one in "$FOLDER/stage"/emp-*; do
    owner="${one##*/emp-}"
    [ -d "/proc/${owner%%-*}" ] || remove "$one" || true
done
[ ! -d "$FOLDER/stage/$NAME" ] || remove "$FOLDER/stage/$NAME"
"""
"""Also what runs have left that were killed themselves: their processes are gone by then, their cgroups are not."""

_LOGS = """
[Service]
StandardOutput=append:/var/log/%N.out
StandardError=append:/var/log/%N.out
"""


class Machine:
    """``shared``: a folder right below /tmp that is the same inside; ``folder``: an empty one in it."""

    def __init__(self, folder: Path, shared: Path, programs: Path) -> None:
        self._folder = folder
        self.shared = shared
        self._environ = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "FOLDER": str(folder),
            "NAME": f"emp-{os.getpid()}-{folder.name}",
            "SHARED": str(shared),
            "PROGRAMS": str(programs),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        for name in ("stage", "units"):
            (folder / name).mkdir(parents=True)
        for target in TARGETS:
            self.unit(f"{target}.target", f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
        # Where journald would be: what the services print, for whoever looks into a failed test.
        (folder / "units" / "service.d").mkdir()
        self.unit("service.d/logs.conf", _LOGS)

    def unit(self, name: str, text: str) -> None:
        """Before the boot. Afterwards: ``write`` and ``systemctl("daemon-reload")``."""
        (self._folder / "units" / name).write_text(text)

    def boot(self) -> Machine:
        """Bounded; AssertionError with what the shell said if systemd does not come up."""
        output = self._folder / "output"
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", _OUTSIDE],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**self._environ, "INSIDE": _INSIDE},
                cwd="/",
                start_new_session=True,
            )
        wait_for(self._up, what="systemd is up")
        assert self._process.poll() is None, f"systemd did not start:\n{output.read_text()}"
        state = wait_for(
            lambda: self.systemctl("is-system-running", check=False).strip(),
            lambda word: word in ("running", "degraded"),
            "systemd has started its target",
        )
        assert state == "running", self.systemctl("--failed")
        return self

    def _up(self) -> bool:
        """Is the first process of the namespace systemd by now?"""
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        for pid in procfs.children(self._process.pid)[:1]:
            # The script before it has children of its own, which may be gone by now.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if procfs.command(pid)[0] == "/lib/systemd/systemd":
                    self.pid = pid
                    return self.path("/run/systemd/private").exists()
        return False

    def path(self, inside: str) -> Path:
        """The same file, seen from outside. A link on the way that is absolute would lead back out."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, text: str) -> Path:
        path = self.path(inside)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A program inside, as root."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-C", *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check).stdout

    def show(self, unit: str, name: str) -> str:
        """A property, as ``systemctl show`` prints it."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def main_pid(self, unit: str) -> int:
        """The number outside of a service's main process; 0 without one."""
        inside = self.show(unit, "MainPID")
        return next((pid for pid in self.pids() if self._inside(pid) == inside), 0)

    def pids(self) -> list[int]:
        """Every process of the machine, by its number outside."""
        return [self.pid, *procfs.descendants(self.pid)] if procfs.alive(self.pid) else []

    def of_unit(self, unit: str) -> list[int]:
        """The processes in a unit's cgroup and those below it, by their numbers outside."""
        return [pid for pid in self.pids() if f"/{unit}/" in f"{self._cgroup(pid)}/"]

    def group(self, pid: int) -> str:
        """The last part of a process's cgroup; "": it is gone."""
        return self._cgroup(pid).rpartition("/")[2]

    def groups_below(self, unit: str) -> list[str]:
        """The cgroups that a unit has made in its own."""
        folder = self.path(f"/sys/fs/cgroup{self.show(unit, 'ControlGroup') or '/none'}")
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    @staticmethod
    def _inside(pid: int) -> str:
        try:
            return procfs.status(pid)["NSpid"].split()[-1]
        except (FileNotFoundError, ProcessLookupError):
            return ""

    @staticmethod
    def _cgroup(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()
        except OSError:
            return ""

    def log(self, unit: str) -> str:
        path = self.path(f"/var/log/{unit.removesuffix('.service')}.out")
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Everything in it dies with its first process, and its mounts with the last one."""
        if self._process is None:
            return
        everybody = self.pids() if self.pid else []
        for pid in filter(None, (self.pid, self._process.pid)):
            if procfs.alive(pid):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(20)
        wait_for(lambda: [one for one in everybody if procfs.alive(one)], lambda left: not left, "nobody is left")
        sweep = ["unshare", "--mount", "sh", "-c", _SWEEP]
        wait_for(
            lambda: subprocess.run(sweep, env=self._environ, capture_output=True, text=True, timeout=HUNG),
            lambda done: done.returncode == 0,
            "the cgroups are gone",
        )
        shutil.rmtree(self._folder)
