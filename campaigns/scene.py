"""What a campaign is played on: a folder with apps and inis, the installed emperor (or uWSGI's), and nginx.

Black box: files, signals and commands go in; answers, the status and /proc come out.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import measure, parsing
from benchmarks.front import Gate, Nginx, free_port
from campaigns.crowd import Client
from campaigns.processes import children, wait_for
from campaigns.tally import Gazette, Trouble, gazette

APPS = Path(__file__).resolve().parent / "apps"
_START = 60.0
_MERCY = 30.0
_VERSION = re.compile(r'^VERSION = "\w+"$', re.M)


@dataclass(frozen=True)
class Places:
    """``folder``: where everything is written; short, and open to other users. ``venv``: what is tested. ``user``:
    whose the apps are; "" if nobody can be chosen."""

    folder: Path
    venv: Path
    user: str = ""

    @property
    def peer(self) -> Path:
        return self.venv / "bin" / "uwsgi"


def choose_user(name: str, venv: Path) -> str:
    """``name`` if we may become that user and it can reach the interpreter; else ""."""
    if os.geteuid() != 0:
        return ""
    who = pwd.getpwnam(name)
    reach = ("test", "-x", f"{venv}/bin/python")
    done = subprocess.run(reach, user=who.pw_uid, group=who.pw_gid, extra_groups=[])
    return name if done.returncode == 0 else ""


@dataclass
class Vassal:
    """One app with its ini. ``way`` is a key of ``benchmarks.front.WAYS``."""

    scene: Scene
    name: str
    app: str
    way: str = "uwsgi"
    options: tuple[str, ...] = ()
    version: int = 1
    port: int = 0

    @property
    def folder(self) -> Path:
        return self.scene.folder / "apps" / self.name

    @property
    def ini(self) -> Path:
        return self.scene.inis / f"{self.name}.ini"

    @property
    def socket(self) -> Path:
        return self.scene.folder / "s" / f"{self.name}.sock"

    def probe(self, pause: float = 0.002, **more: Any) -> Client:
        """A client straight at the socket, each of whose answers is told."""
        way = self.way.partition("-")[0]
        return Client(f"{self.name}-direct", way, str(self.socket), pause=pause, told=True, **more)

    def customers(self, number: int, posts: float = 0.25, pause: float = 0.004) -> list[Client]:
        """Clients with kept connections to nginx."""
        address = f"127.0.0.1:{self.port}"
        names = [f"http-{self.name}-{one}" for one in range(number)]
        return [Client(name, "http", address, posts=posts, bigs=0.05, pause=pause) for name in names]

    def write(self) -> Vassal:
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(APPS / "echo.py", self.folder / "echo.py")
        _replace(self.folder / "app.py", (APPS / f"{self.app}.py").read_text())
        return self.order()

    def order(self) -> Vassal:
        """The ini, anew."""
        lines = ["[uwsgi]", f"{self.way.partition('-')[0]}-socket = {self.socket}", f"chdir = {self.folder}"]
        lines += ["wsgi-file = app.py", *self.scene.common, *self.options]
        _replace(self.ini, "\n".join(lines) + "\n")
        return self

    def deploy(self) -> str:
        """New code: its version."""
        self.version += 1
        path = self.folder / "app.py"
        _replace(path, _VERSION.sub(f'VERSION = "{self.version}"', path.read_text()))
        return str(self.version)

    def touch(self) -> None:
        os.utime(self.ini)


def _replace(path: Path, text: str) -> None:
    """At once, as deployment tools do."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


@dataclass
class Scene:
    """One daemon and one nginx; everything that they started ends with the ``with`` block."""

    places: Places
    server: str = "ours"
    options: Sequence[str] = ()
    vassals: list[Vassal] = field(default_factory=list)
    _ends: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None
    _nginx: Nginx | None = None

    def __post_init__(self) -> None:
        self.folder = self.places.folder / self.server
        self.inis = self.folder / "vassals.d"
        self.control = self.folder / "run" / "control.sock"

    def __enter__(self) -> Scene:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for name in ("", "vassals.d", "run", "s", "apps", "nginx"):
            (self.folder / name).mkdir(mode=0o755)
        if self.server == "uwsgi" and self.places.user:
            os.chown(self.folder / "s", pwd.getpwnam(self.places.user).pw_uid, -1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    @property
    def common(self) -> list[str]:
        """What every ini says here."""
        user = self.places.user
        lines = ["enable-threads = true", "chmod-socket = 666"]
        lines += [f"uid = {user}", f"gid = {pwd.getpwnam(user).pw_gid}"] if user else []
        if self.server == "uwsgi":
            lines += ["master = true", "need-app = true", "disable-logging = true", "buffer-size = 65535"]
            lines += [f"virtualenv = {self.places.venv}", "die-on-term = true"]
        return lines

    def vassal(self, name: str, app: str = "bare", way: str = "uwsgi", *options: str) -> Vassal:
        one = Vassal(self, name, app, way, options)
        taken = {other.port for other in self.vassals}
        one.port = next(port for port in iter(free_port, None) if port not in taken)
        self.vassals.append(one)
        return one.write()

    def start(self, wait: bool = True) -> None:
        """The daemon, and nginx before all vassals there are."""
        command = _COMMANDS[self.server](self)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
            )
        self._ends.callback(self.stop)
        if wait:
            for one in self.vassals:
                self._wait_for_socket(one)
            if self.server == "ours":
                wait_for(self.all_running, "all vassals are RUNNING")

    def open_gates(self, vassals: Sequence[Vassal] | None = None) -> None:
        """nginx before these; before all that there are."""
        chosen = self.vassals if vassals is None else vassals
        gates = [Gate(one.name, str(one.port), one.socket, one.way) for one in chosen]
        self._nginx = Nginx(self.folder / "nginx", gates, streamed=False)
        self._ends.callback(self._nginx.stop)
        self._nginx.start()

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def gazette(self) -> Gazette:
        return gazette((self.folder / "nginx" / "error.log").read_text(errors="replace"))

    def last_words(self) -> str:
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])[-800:]

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = (f"{self.places.venv}/bin/emperorctl", "--control-socket", str(self.control), *words)
        return subprocess.run(command, capture_output=True, text=True)

    def status(self) -> list[dict[str, Any]]:
        done = self.ctl("status", "--json")
        if done.returncode not in (0, 3):
            raise Trouble(f"emperorctl status: exit {done.returncode}: {done.stderr.strip()}")
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.status() if row["name"] == name)

    def all_running(self) -> bool:
        return self.all_in("RUNNING")

    def all_in(self, state: str) -> bool:
        self._alive()
        done = self.ctl("status", "--json")
        if done.returncode not in (0, 3):
            return False
        rows = json.loads(done.stdout)
        return len(rows) == len(self.vassals) and all(row["state"] == state for row in rows)

    def _wait_for_socket(self, one: Vassal) -> None:
        wait_for(lambda: self._alive() and one.socket.exists(), f"{one.name}'s socket")

    def vassal_pid(self, name: str) -> int:
        """With uWSGI there may be but one."""
        if self.server == "ours":
            return int(self.row(name)["pid"])
        first: int = wait_for(lambda: children(self.pid), "a vassal")[0]
        return first

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        """TERM, and KILL for what is left after that."""
        if self._process is None:
            return
        left = parsing.tree(measure.parents(), self.pid)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM if self.server == "ours" else signal.SIGINT)
        try:
            self._process.wait(_MERCY)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process = None

    def _alive(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Trouble(f"the daemon is gone: {self.last_words()}")
        return True


def _ours(scene: Scene) -> tuple[str, ...]:
    root = ("--allow-root",) if os.geteuid() == 0 and not scene.places.user else ()
    return (f"{scene.places.venv}/bin/emperor", "--control-socket", str(scene.control), *root, *scene.options,
            str(scene.inis))  # fmt: skip


def _uwsgi(scene: Scene) -> tuple[str, ...]:
    return f"{scene.places.venv}/bin/uwsgi", "--emperor", str(scene.inis), *scene.options


_COMMANDS = {"ours": _ours, "uwsgi": _uwsgi}
