"""Keeps the development front door alive, and tells it where the vassals are.

The door is a child without rights: it imports its libraries as we are, then becomes the web user for good before it
accepts. We speak and never listen. It is restarted with the same backoff as everybody else.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emperor.errors import EmperorError, SpawnError
from emperor.journal import Journal
from emperor.model import Identity
from emperor.supervision import backoff
from emperor.supervision.record import Vassal, state
from emperor.system import processes
from emperor.system.eventloop import Loop, Timer
from emperor.system.logs import LineCutter
from emperor.system.processes import Child

SUBJECT = "front"
MERCY = 5.0
"""Seconds between TERM and KILL."""
REAP_AGAIN = 1.0


def listen(where: str) -> socket.socket:
    """HOST:PORT; a port alone is on loopback. Raises EmperorError."""
    host, _, port = where.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise EmperorError(f"--http {where}: expected HOST:PORT, as 127.0.0.1:8000")
    host = host.strip("[]") or "127.0.0.1"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as error:
        raise EmperorError(f"--http {where}: bind: {error.strerror}") from None


@dataclass(frozen=True)
class FrontState:
    """What is handed over of a door: its listener; ``pid``, ``pidfd``: who stands there, 0 and -1 if nobody does."""

    listener: int
    pid: int
    pidfd: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        return self.listener, self.pidfd


def adopt_listener(state: FrontState) -> socket.socket:
    os.set_inheritable(state.listener, False)
    return socket.socket(fileno=state.listener)


class FrontKeeper:
    """``become``: whom the door turns into; None: it stays who we are."""

    def __init__(
        self, loop: Loop, journal: Journal, listener: socket.socket, own: Identity, become: Identity | None
    ) -> None:
        self._loop, self._journal, self._listener = loop, journal, listener
        self._own, self._become = own, become
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd = self._output = -1
        self._dismissed: set[int] = set()
        self._channel: socket.socket | None = None
        self._cutter = LineCutter()
        # What is left of a line whose beginning was sent, and the line after it.
        self._table, self._rest, self._next = b"[]\n", b"", b""
        self._killing: Timer | None = None
        self._failures, self._closing = 0, False
        self._gone: Callable[[], None] = lambda: None

    @property
    def running(self) -> bool:
        return self._popen is not None

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all its processes that are not reaped."""
        return (*self._dismissed, *((self._popen.pid,) if self._popen is not None else ()))

    def export(self) -> FrontState:
        pid = self._popen.pid if self._popen is not None else 0
        return FrontState(self._listener.fileno(), pid, self._pidfd if pid else -1)

    def dismiss(self, state: FrontState) -> None:
        """Who stood at the door before us finishes and goes."""
        if state.pidfd < 0:
            return
        os.set_inheritable(state.pidfd, False)
        old = Child(state.pid, state.pidfd, None, -1, self._loop.now())
        self._dismissed.add(old.pid)
        processes.drain(old, retire=False)
        killing = self._loop.call_at(self._loop.now() + MERCY, lambda: processes.kill_group(old))

        def ended() -> None:
            self._loop.unwatch(old.pidfd)
            if processes.reap(old):
                self._dismissed.discard(old.pid)
                killing.cancel()
            else:
                self._loop.call_at(self._loop.now() + REAP_AGAIN, ended)

        self._loop.watch(old.pidfd, ended)

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        command = [sys.executable, "-m", "emperor.front"]
        command += ["--listener", str(self._listener.fileno()), "--channel", str(theirs.fileno())]
        if self._become is not None:
            who = self._become
            command += ["--become", f"{who.uid}:{who.gid}:{','.join(map(str, who.groups))}"]
        try:
            fds = [self._listener.fileno(), theirs.fileno()]
            self._popen = processes.start(command, self._own, fds, output_write)
        except SpawnError as error:
            ours.close()
            os.close(output_read)
            self._journal.warning(SUBJECT, str(error))
            self._later()
            return
        finally:
            theirs.close()
            os.close(output_write)
        ours.setblocking(False)
        os.set_blocking(output_read, False)
        self._channel, self._output, self._pidfd = ours, output_read, os.pidfd_open(self._popen.pid)
        self._loop.watch(self._pidfd, self._ended)
        self._loop.watch(self._output, self._hear)
        self._rest, self._next = b"", self._table
        self._send()

    def tell(self, table: list[dict[str, Any]]) -> None:
        """The whole table. Of older ones only a line that was begun is sent to its end, for lines must stay whole."""
        line = json.dumps(table).encode() + b"\n"
        if line == self._table:
            return
        self._table = self._next = line
        self._send()

    def stop(self, gone: Callable[[], None]) -> None:
        """TERM, KILL after ``MERCY``; ``gone`` is called when it has ended, at once if it does not run."""
        self._closing, self._gone = True, gone
        if self._popen is None:
            gone()
        else:
            self._popen.terminate()
            self._killing = self._loop.call_at(self._loop.now() + MERCY, self.kill)

    def kill(self) -> None:
        if self._popen is not None:
            self._popen.kill()

    def _send(self) -> None:
        if self._channel is None:
            return
        words = self._rest + self._next
        try:
            sent = self._channel.send(words) if words else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._rest = self._next = b""
            return
        if sent > len(self._rest):
            self._rest, self._next = words[sent:], b""
        else:
            self._rest = self._rest[sent:]
        if self._rest or self._next:
            self._loop.watch(self._channel.fileno(), self._send, write=True)
        else:
            self._loop.unwatch(self._channel.fileno())

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._output, 65536)
            for line in self._cutter.feed(data) if data else self._cutter.flush():
                self._journal.line(SUBJECT, line)
            if not data:
                self._loop.unwatch(self._output)

    def _ended(self) -> None:
        assert self._popen is not None and self._channel is not None
        self._hear()
        code = self._popen.poll()
        if code is None:
            # Its last thread is on its way out, or a debugger holds it: nobody waits for that.
            self._loop.unwatch(self._pidfd)
            self._loop.call_at(self._loop.now() + REAP_AGAIN, self._ended)
            return
        if self._killing is not None:
            self._killing.cancel()
        for fd in (self._pidfd, self._output, self._channel.fileno()):
            self._loop.unwatch(fd)
        os.close(self._pidfd)
        os.close(self._output)
        self._channel.close()
        self._popen, self._channel = None, None
        if self._closing:
            self._gone()
            return
        self._journal.warning(SUBJECT, f"ended with {code} -- starting another")
        self._later()

    def _later(self) -> None:
        self._failures += 1
        pause = backoff.delay(self._failures, False, random.random())
        self._loop.call_at(self._loop.now() + pause, lambda: None if self._closing else self.start())


def route(vassal: Vassal) -> dict[str, Any]:
    """A row of the door's table."""
    spec = vassal.proven or vassal.spec
    assert spec is not None
    first = spec.sockets[0]
    return {
        "name": vassal.name,
        "state": state(vassal),
        "protocol": first.protocol,
        "address": str(first.address),
        "mounts": [target.mount for target in spec.targets if target.mount],
    }
