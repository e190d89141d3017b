"""A server while it runs: started by its recipe, found in the kernel's table of processes, ended as a whole."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure, parsing
from benchmarks.servers import ANYBODYS, SERVERS, Failure, Plan

_START = 60.0
_MERCY = 15.0


@dataclass
class Server:
    """A server that runs; everything that it starts ends with it."""

    plan: Plan
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def title(self) -> str:
        return SERVERS[self.plan.contender.server].title

    @property
    def has_daemon(self) -> bool:
        return SERVERS[self.plan.contender.server].daemon

    @property
    def root(self) -> int:
        """The pid of what was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits for its socket. Raises Failure with the end of its log."""
        recipe = SERVERS[self.plan.contender.server]
        for name, text in recipe.files(self.plan).items():
            path = self.plan.folder / name
            if name == ANYBODYS:
                path.mkdir()
                path.chmod(0o1777)
                continue
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                recipe.command(self.plan),
                cwd=self.plan.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START
        while not recipe.ready(self.plan).exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.title}: did not start: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of what it logged, on one line."""
        return " | ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])[-400:]

    def pids(self) -> tuple[int, ...]:
        """The whole tree of processes, the started one included."""
        return parsing.tree(measure.parents(), self.root)

    def workers(self) -> tuple[int, ...]:
        """Those processes that have no children: the ones that run the app."""
        return parsing.leaves(measure.parents(), self.pids())

    def stop(self) -> None:
        """TERM, and KILL for what is left of the tree after that."""
        if self._process is None:
            return
        left = self.pids()
        self._process.terminate()
        try:
            self._process.wait(_MERCY)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in left:
            _kill(pid)

    @property
    def _log(self) -> Path:
        return self.plan.folder / "server.log"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
