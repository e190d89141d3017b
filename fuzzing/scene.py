"""A daemon of root's with workers of somebody else's, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from fuzzing.trial import resident

_BUG = re.compile(r"Traceback|(?:connection|flup|access log): [A-Z]\w*: |emperor: bug|\w+Warning: ")
"""What only an error of ours writes: a worker names it on a line of its own."""

APPS = Path(__file__).resolve().parent / "apps"
PATIENCE = 60.0
"""Seconds for whatever must come true; a busy machine may take most of them."""

PROCESSES = 2
THREADS = 8


class Trouble(Exception):
    """What must hold does not; the text says what."""


def wait_for(look: Callable[[], Any], what: str) -> Any:
    """Raises Trouble when it does not come true."""
    end = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > end:
            raise Trouble(f"{what}: not within {PATIENCE:g} s")
        select.select([], [], [], 0.01)
    return seen


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@dataclass(frozen=True)
class Weight:
    """Of all processes that must stay: bytes in memory, open descriptors, threads."""

    resident: int
    descriptors: int
    threads: int


@dataclass
class Scene:
    """``programs``: where ``emperor`` lies. ``user``: whose the vassals are. All ends with the ``with`` block."""

    folder: Path
    programs: Path
    user: str
    kept: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The vassals that must not be touched, each with its processes."""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.inis, self.control = self.folder / "vassals.d", self.folder / "run" / "control.sock"
        self.log, self.account = self.folder / "log", pwd.getpwnam(self.user)

    def __enter__(self) -> Scene:
        for name in ("vassals.d", "run", "apps", "s"):
            (self.folder / name).mkdir(mode=0o755)
        for name in ("apps", "s"):
            os.chown(self.folder / name, self.account.pw_uid, self.account.pw_gid)
        command = [str(self.programs / "emperor"), "--control-socket", str(self.control)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # A liar seldom says that it serves, and would keep others from starting.
                [*command, "--vassal-set", "on-demand=true", "--max-starting", "100", str(self.inis)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
            )
        wait_for(lambda: self.alive() and self.answers(), "the control socket answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.returncode

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Raises Trouble when the daemon is gone."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise Trouble(f"the emperor is gone (exit {self._process.returncode}): {self.last_words()}")
        return True

    def last_words(self) -> str:
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])[-800:]

    # --- what it is told and asked ---

    def ask(self, verb: str, *names: str, **options: bool) -> dict[str, Any]:
        """The last line of the answer."""
        request = json.dumps({"verb": verb, "names": names, "options": options}).encode() + b"\n"
        with self.visitor(str(self.control)) as peer:
            peer.sendall(request)
            answer = b"".join(iter(lambda: peer.recv(65536), b""))
        lines = [json.loads(line) for line in answer.splitlines()]
        if not lines:
            raise Trouble(f"{verb}: no answer")
        rows = [row for line in lines for row in line.get("data", ()) if isinstance(row, dict)]
        return {**lines[-1], "rows": rows}

    def answers(self) -> bool:
        try:
            return bool(self.ask("version"))
        except OSError:
            return False

    def rows(self) -> dict[str, dict[str, Any]]:
        self.alive()
        return {row["name"]: row for row in self.ask("status")["rows"]}

    @contextlib.contextmanager
    def visitor(self, path: str) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(path)
            yield peer

    def write(self, name: str, data: bytes) -> None:
        """An ini of the user's, at once."""
        fresh = self.inis / f".{name}.new"
        fresh.write_bytes(data)
        os.chown(fresh, self.account.pw_uid, self.account.pw_gid)
        fresh.rename(self.inis / f"{name}.ini")

    def serve(self, name: str, protocol: str) -> str:
        """A vassal that is to live through it all; its socket. It sleeps until somebody asks."""
        folder, path = self.folder / "apps" / name, str(self.folder / "s" / f"{name}.sock")
        folder.mkdir(mode=0o755)
        shutil.copy(APPS / "echo.py", folder / "echo.py")
        lines = ["[uwsgi]", f"{protocol}-socket = {path}", f"chdir = {folder}", "wsgi-file = echo.py"]
        lines += ["chmod-socket = 666", f"processes = {PROCESSES}", f"threads = {THREADS}", "buffer-size = 32768"]
        self.write(name, "\n".join([*lines, ""]).encode())
        wait_for(lambda: name in self.rows() and Path(path).exists(), f"{name}'s socket")
        return path

    # --- what must stay ---

    def keep(self, *names: str) -> None:
        """From now on their processes must be the same."""

        def running() -> bool:
            rows = self.rows()
            return all(self._processes(rows[name]) and rows[name]["state"] == "RUNNING" for name in names)

        wait_for(running, "the vassals run")
        rows = self.rows()
        self.kept = {name: self._processes(rows[name]) for name in names}
        workers = [pid for pids in self.kept.values() for pid in pids[1:]]
        # Else what a busy machine has not started yet would look like growth.
        wait_for(lambda: all(_threads(pid) > THREADS for pid in workers), "the workers have all their threads")

    @staticmethod
    def _processes(row: dict[str, Any]) -> tuple[int, ...]:
        workers = sorted(int(one["pid"]) for one in row.get("workers") or () if one["pid"])
        return (int(row["pid"] or 0), *workers) if len(workers) == PROCESSES else ()

    def weight(self) -> Weight:
        """Once it rests: descriptors are closed a moment later."""
        pids = [self.pid, *(pid for some in self.kept.values() for pid in some)]
        return Weight(
            sum(resident(str(pid)) for pid in pids),
            sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            sum(map(_threads, pids)),
        )

    def troubles(self) -> list[str]:
        """What does not hold that must."""
        found = []
        rows = self.rows()
        for name, pids in self.kept.items():
            now = self._processes(rows[name])
            if now != pids:
                found.append(f"{name}: its processes were {pids}, now {now}")
        text = self.log.read_text(errors="replace")
        if bug := _BUG.search(text):
            found.append(f"a bug of ours in the log: {text[bug.start() : bug.start() + 600]!a}")
        return found
