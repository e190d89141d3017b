"""The installed ``emperor`` and ``emperorctl``, as a black box: files go in, status and answers come out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable

from tests.e2e.harness import procfs
from tests.e2e.harness.people import Person
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.e2e.harness.wire import Crowd, Response, Visitor, request

APPS = Path(__file__).resolve().parents[2] / "apps"
ROOTS_SECRET = "the-emperors-own-secret"
Row = dict[str, Any]


def ini(**options: object) -> str:
    """An ini's text: ``_`` in a key is ``-``, a list repeats its key, None leaves it out."""
    lines = ["[uwsgi]"]
    for key, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not None:
                lines.append(f"{key.replace('_', '-')} = {one}")
    return "\n".join(lines) + "\n"


def replace_file(path: Path, text: str) -> Path:
    """Atomically, as deployment tools and careful editors do."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)
    return path


def environ_for(person: Person, **more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(person.home), "LANG": "C.UTF-8", **more}


class Vassal:
    """One app in a folder of its owner's, and its ini."""

    def __init__(self, emperor: Emperor, name: str, owner: Person, folder: Path, options: dict[str, object]) -> None:
        self.emperor = emperor
        self.name = name
        self.owner = owner
        self.folder = folder
        self.options = options
        self.ini = emperor.vassals / f"{name}.ini"
        self.imports = folder / "imports"
        self.protocol = "uwsgi"

    @property
    def socket(self) -> str:
        named = self.options.get("socket") or self.options.get("fastcgi_socket")
        return str(named or self.emperor.control.with_name(f"{self.name}.sock"))

    def write(self, **changes: object) -> Vassal:
        """(Re)write the ini with some options changed."""
        self.options = {**self.options, **changes}
        replace_file(self.ini, ini(**self.options))
        return self

    def app(self, source: str) -> Path:
        """Copy an app of tests/apps into the folder, in place of the one there."""
        target = self.folder / "app.py"
        return self.own(replace_file(target, (APPS / source).read_text()))

    def own(self, path: Path) -> Path:
        if os.geteuid() == 0:
            os.lchown(path, self.owner.uid, self.owner.gid)
        return path

    def get(self, target: str = "/facts", data: bytes = b"", **more: str) -> Response:
        return request(self.socket, target, data, self.protocol, **more)

    def visitor(self, target: str = "/facts") -> Visitor:
        return Visitor(self.socket, target, protocol=self.protocol)

    def hold(self) -> tuple[Visitor, Path]:
        """A request in flight, and the file that lets it finish."""
        folder = self.folder / "held"
        folder.mkdir()
        self.own(folder)
        visitor = self.visitor(f"/hold?{folder}")
        wait_for((folder / "started").exists, what="a request in flight")
        return visitor, folder / "go"

    def crowd(self) -> Crowd:
        return Crowd(self.socket)

    def row(self) -> Row:
        return self.emperor.row(self.name)

    def running(self, deadline: float = DEADLINE) -> Row:
        return self.state("RUNNING", deadline=deadline)

    def state(self, *states: str, deadline: float = DEADLINE) -> Row:
        return self.until(lambda row: row.get("state") in states, " or ".join(states), deadline)

    def until(self, good: Callable[[Row], object], what: str, deadline: float = DEADLINE) -> Row:
        return wait_for(self.row, good, f"vassal {self.name}: {what}", deadline)

    def replaced(self, old: Row) -> Row:
        """Wait until another generation than ``old`` is the one that runs, alone."""
        return self.until(lambda row: row.get("state") == "RUNNING" and row["pid"] != old["pid"], "a new pid")

    def import_pids(self) -> list[int]:
        """The pids that imported the app, in order."""
        return [int(one) for one in self.imports.read_text().split()] if self.imports.exists() else []


class Emperor:
    """One daemon with its folders below ``root``. Its stderr is in ``log``."""

    def __init__(self, programs: Path, root: Path, person: Person, owner: Person) -> None:
        """``person`` runs the daemon; ``owner`` is who vassals belong to unless a test says otherwise."""
        self.programs = programs
        self.root = root
        self.person = person
        self.owner = owner
        self.vassals = root / "vassals.d"
        self.run = root / "run"
        self.control = self.run / "control.sock"
        self.log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None
        for folder in (root, self.vassals, self.run):
            folder.mkdir(mode=0o755)
            self._give(folder, person)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self, *options: str, folders: Sequence[object] | None = None, **environ: str) -> Emperor:
        """Start, and wait until the control socket answers."""
        self.launch(*options, folders=folders, **environ)
        wait_for(self.answers, what="the control socket answers")
        return self

    def launch(self, *options: str, folders: Sequence[object] | None = None, **environ: str) -> None:
        where = [str(one) for one in ([self.vassals] if folders is None else folders)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "emperor"), "--control-socket", str(self.control), *options, *where],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environ_for(self.person, ROOTS_SECRET=ROOTS_SECRET, **environ),
                start_new_session=True,
                **self.person.popen_arguments(),
            )

    def answers(self) -> bool:
        self.still_runs()
        return self.ctl("status").returncode in (0, 3)

    def still_runs(self) -> None:
        assert self.process and self.process.poll() is None, f"the emperor is gone:\n{self.log_text}"

    def ctl(self, *words: str, person: Person | None = None) -> subprocess.CompletedProcess[str]:
        """``emperorctl``, as the person who runs the daemon or as somebody else."""
        program = str(self.programs / "emperorctl")
        who = person or self.person
        return who.run(program, "--control-socket", str(self.control), *words, check=False)

    @contextmanager
    def ctl_started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """``emperorctl`` while it waits for something; ended with the block."""
        command = [str(self.programs / "emperorctl"), "--control-socket", str(self.control), *words]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ_for(self.person),
            **self.person.popen_arguments(),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def status(self) -> list[Row]:
        self.still_runs()
        done = self.ctl("status", "--json")
        assert done.returncode in (0, 3), f"emperorctl status: exit {done.returncode}: {done.stdout}{done.stderr}"
        rows: list[Row] = json.loads(done.stdout)
        return rows

    def row(self, name: str) -> Row:
        """What status says of one vassal; {} while it does not know it."""
        return next((row for row in self.status() if row["name"] == name), {})

    def wait_for(self, good: Callable[[list[Row]], object], what: str = "", deadline: float = DEADLINE) -> list[Row]:
        return wait_for(self.status, good, what, deadline)

    def wait_for_log(self, words: str) -> None:
        wait_for(lambda: self.log_text, lambda text: words in text, f"{words!r} in the log")

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.status())

    def place(self, name: str, owner: Person | None = None, app: str = "facts.py", **options: object) -> Vassal:
        """An app in its owner's folder; its ini is not written yet."""
        who = owner or self.owner
        folder = self.root / "apps" / name
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        folder.mkdir(mode=0o755)
        self._give(folder, who)
        named = {"uid": who.name, "gid": who.gid} if who.uid != self.person.uid else {}
        chosen = {
            **named,
            "chdir": folder,
            "wsgi_file": "app.py",
            "env": f"IMPORTS={folder}/imports",
            **options,
        }
        vassal = Vassal(self, name, who, folder, chosen)
        vassal.app(app)
        return vassal

    def add(self, name: str, owner: Person | None = None, app: str = "facts.py", **options: object) -> Vassal:
        """The same, with its ini."""
        return self.place(name, owner, app, **options).write()

    def signal(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def stop(self) -> int:
        """TERM; the exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(DEADLINE)

    def dispose(self) -> None:
        """The end of a test: a daemon that still runs must stop well. The log is shown if the test fails."""
        try:
            if self.process and self.process.poll() is None:
                below = procfs.descendants(self.pid)
                try:
                    assert self.stop() == 0, "the emperor's exit code after TERM"
                finally:
                    self._end(below)
        finally:
            print(f"--- {self.log} ---\n{self.log_text}")
            shutil.rmtree(self.root / "apps", ignore_errors=True)

    def _end(self, pids: Sequence[int]) -> None:
        for pid in (self.pid, *pids):
            if procfs.alive(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert self.process
        self.process.wait(DEADLINE)

    def _give(self, path: Path, person: Person) -> None:
        if os.geteuid() == 0:
            os.chown(path, person.uid, person.gid)


def chown(path: Path, person: Person) -> Path:
    """Give a file, a link or a folder away."""
    os.lchown(path, person.uid, person.gid)
    return path
