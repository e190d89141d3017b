"""A web server's place at the command ``emperor run``: it hands over a listening socket as descriptor 0, and asks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.kernel_world import PATIENCE
from tests.integration.serving_world import PARAMS, Answer, encode, read_answer

ROOT = Path(__file__).resolve().parents[2]

APP = """
import json, os, sys, threading, time

print("imported")

def application(environ, start_response):
    query = environ["QUERY_STRING"]
    if query == "hold":
        open("started", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    mask = os.umask(0)
    os.umask(mask)
    facts = {
        "pid": os.getpid(), "cwd": os.getcwd(), "umask": mask, "env": dict(os.environ), "argv": sys.argv,
        "path": sys.path, "python": sys.implementation.name, "threads": threading.active_count(),
        "files": [module.__file__ for name, module in list(sys.modules.items()) if name.split(".")[0] == "emperor"],
        "multiprocess": environ["wsgi.multiprocess"], "stdin": os.fstat(0).st_rdev,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
"""


class Web:
    """A web server's place: it listens, hands the socket over, and asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "web.sock"))
        self.listener.listen(16)
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "app.py").write_text(APP)

    def listen_on_tcp(self) -> None:
        self.listener.close()
        self.listener = socket.create_server(("127.0.0.1", 0))

    def start(self, *words: object, before: Callable[[], object] | None = None, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                # As root the app would be another user's, who need not be able to run this interpreter.
                [sys.executable, "-m", "emperor.cli", "run", *map(str, words), "--allow-root"],
                cwd=self.folder,
                env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(self.folder), **env},
                stdin=self.listener.fileno(),
                stdout=log,
                stderr=log,
                preexec_fn=before,
            )
        self.started.append(process)
        return process

    def ini(self, **options: object) -> Path:
        lines = [f"{key.replace('_', '-')} = {value}" for key, value in options.items()]
        path = self.folder / "site.ini"
        path.write_text("\n".join(["[uwsgi]", *lines, ""]))
        return path

    def connect(self) -> socket.socket:
        peer = socket.socket(self.listener.family)
        peer.settimeout(PATIENCE)
        peer.connect(self.listener.getsockname())
        return peer

    def ask(self, query: str = "") -> Answer:
        with self.connect() as peer:
            peer.sendall(encode("fastcgi", [*PARAMS, ("QUERY_STRING", query)]))
            return read_answer(peer, "fastcgi")

    def facts(self) -> dict[str, Any]:
        answer = self.ask()
        assert answer.status == 200, self.log
        found: dict[str, Any] = json.loads(answer.body)
        return found

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def fails(self, *words: object, code: int = 1, **env: str) -> str:
        """It ends at once; what it said."""
        assert self.start(*words, before=None, **env).wait(PATIENCE) == code
        return self.log
