"""A whole vassal: started as the emperor starts it, heard on its channel, asked as a web server asks."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emperor.model import Address, VassalSpec
from emperor.supervision import channel
from emperor.supervision.channel import Message
from emperor.supervision.commission import SERVE, Commission
from emperor.supervision.reports import WorkerReport, Workers
from emperor.system import processes
from tests.integration.kernel_world import PATIENCE, readable
from tests.integration.serving_world import PARAMS, Answer, encode, read_answer

Kind = TypeVar("Kind", bound=Message)

APP = """
import atexit, json, os, sys

IMPORTED_BY = os.getpid()
atexit.register(lambda: os.write(2, b"atexit of %d\\n" % os.getpid()))


def slow():
    entered = os.open("entered", os.O_WRONLY)
    os.write(entered, b"x")
    os.close(entered)
    return os.read(os.open("release", os.O_RDONLY), 1)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"ok"
    if path == "/slow":
        body = slow()
    elif path == "/print":
        print("printed", environ["QUERY_STRING"])
    elif path == "/garbage":
        os.write(1, bytes(range(128, 256)) * 100 + bytes(9000) + b"\\nafter it\\n")
    elif path == "/die":
        os.kill(os.getpid(), 9)
    elif path == "/facts":
        body = json.dumps({
            "pid": os.getpid(), "ppid": os.getppid(), "imported_by": IMPORTED_BY, "cwd": os.getcwd(),
            "argv": sys.argv, "path": sys.path, "environ": dict(os.environ), "executable": sys.executable,
            "modules": {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())},
            "multiprocess": environ["wsgi.multiprocess"], "multithread": environ["wsgi.multithread"],
        }).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Vassal:
    """One process of the vassal side, and what it has said so far."""

    def __init__(self, spec: VassalSpec, launcher: str, listeners: dict[int, int], **more: Any) -> None:
        self.spec = spec
        order = Commission(more.pop("role", SERVE), spec, listeners, **{"parent": os.getpid(), **more})
        self.child = processes.spawn(order, launcher)
        assert self.child.channel is not None
        self.channel = self.child.channel
        self.said: list[Message] = []
        self.fds: list[int] = []
        self.output = b""
        self.deaf = self.buried = False

    def wait(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        """Listen until it holds."""
        deadline = time.monotonic() + patience
        while not condition():
            self.listen()
            if condition():
                break
            left = deadline - time.monotonic()
            assert left > 0, f"waited {patience:g} s in vain; it said {self.said[-5:]}, {self.output.decode()}"
            if not self.deaf:
                readable(self.channel.fileno(), min(left, 0.02))
            else:
                readable(self.child.pidfd, min(left, 0.02))

    def listen(self) -> None:
        """Take what there is to hear now, as strictly as the emperor does."""
        while not self.deaf:
            try:
                data, fds, flags, _ = socket.recv_fds(self.channel, channel.MAX_DATAGRAM + 1, 1)
            except BlockingIOError:
                break
            self.fds += fds
            self.deaf = not data
            if data:
                assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
                self.said.append(channel.decode(data))
        try:
            while data := os.read(self.child.output, 65536):
                self.output += data
        except BlockingIOError:
            pass

    def heard(self, kind: type[Kind]) -> list[Kind]:
        return [message for message in self.said if isinstance(message, kind)]

    def lines(self) -> list[str]:
        """What was printed, by whichever worker."""
        return [text for _, text in self.told()]

    def told(self) -> list[tuple[str, str]]:
        """With the worker's number; "": a line of its own."""
        lines = [line for message in self.heard(channel.Lines) for line in message.lines]
        found = [re.fullmatch(r"(?:\[(\d+)\] )?(.*)", line, re.DOTALL) for line in lines]
        return [(one.group(1) or "", one.group(2)) for one in found if one is not None]

    def serving(self) -> Vassal:
        self.wait(lambda: self.heard(channel.Serving) or self.ended())
        assert self.heard(channel.Serving), (self.said, self.output.decode())
        return self

    def workers(self) -> tuple[WorkerReport, ...]:
        """As last reported."""
        reports = self.heard(Workers)
        return reports[-1].workers if reports else ()

    def ended(self) -> bool:
        return readable(self.child.pidfd, 0)

    def code(self, patience: float = PATIENCE) -> int | None:
        """Wait for its end; its exit code, None if it was a signal's."""
        self.wait(self.ended, patience)
        self.listen()
        return processes.how_it_ended(self.child).code

    def hang_up(self) -> None:
        """What it sees of the emperor's death."""
        self.channel.close()
        self.deaf = True

    def bury(self) -> None:
        if not self.buried:
            self.buried = True
            processes.bury(self.child)
            for fd in self.fds:
                os.close(fd)


def connect(address: Address, patience: float = PATIENCE) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(patience)
    peer.connect(address.path)
    return peer


def request(protocol: str, path: str, query: str = "") -> bytes:
    changed: Sequence[tuple[str, str]] = [("PATH_INFO", path), ("QUERY_STRING", query)]
    return encode(protocol, list(dict(PARAMS, **dict(changed)).items()))


def ask(spec: VassalSpec, path: str = "/", query: str = "", index: int = 0) -> Answer:
    """One request on a connection of its own."""
    wanted = spec.sockets[index]
    with connect(wanted.address) as peer:
        peer.sendall(request(wanted.protocol, path, query))
        return read_answer(peer, wanted.protocol)


class Gate:
    """Two FIFOs in the app's folder: a slow request says that it has begun, and ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        for name in ("entered", "release"):
            os.mkfifo(folder / name)
        self._entered = os.open(folder / "entered", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._release = os.open(folder / "release", os.O_RDWR | os.O_CLOEXEC)

    def wait_for_entry(self) -> None:
        assert readable(self._entered)
        assert os.read(self._entered, 1) == b"x"

    def release(self) -> None:
        os.write(self._release, b"!")

    def close(self) -> None:
        os.close(self._entered)
        os.close(self._release)
