"""What ``stats`` tells whoever connects: the crew's numbers of this moment, in uWSGI's words.

It promises: what a look costs is paid by the one who looks; a vassal without ``stats`` does not load this.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Callable, Optional

from emperor import __version__
from emperor.crew.crew import Crew
from emperor.model import TCP, Address, VassalSpec
from emperor.supervision.stats_word import stats_word
from emperor.supervision.uwsgi_stats import Core, Listener, Site, Worker, numbers
from emperor.system.access import DEFAULT_MODE
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Scoreboard
from emperor.system.sockdiag import queues
from emperor.system.statsserver import StatsServer

Listeners = Sequence[tuple[socket.socket, str]]


class Stats:
    """``lines``: hears the log's lines of a seat. ``listeners``: those of its app, with their protocols."""

    def __init__(
        self,
        spec: VassalSpec,
        loop: Loop,
        crew: Crew,
        board: Scoreboard,
        listeners: Listeners,
        lines: Callable[[int, list[str]], None],
    ) -> None:
        assert spec.stats is not None
        self._crew, self._board, self._listeners, self._lines = crew, board, listeners, lines
        self._address, self._apps = spec.stats, [one.address for one in spec.sockets]
        version, identity = f"mini-emperor-{__version__}", (os.getpid(), os.getuid(), os.getgid())
        mounts = tuple(one.mount for one in spec.targets)
        self._site = Site(version, *identity, _folder(), spec.processes, spec.threads, mounts)
        self._server = StatsServer(spec.stats, _mode(spec), spec.stats_http, loop, self.document, self._say)

    def start(self) -> None:
        if self._address in self._apps:
            self._say(stats_word(str(self._address), "is where the app itself serves; its numbers are told nowhere"))
        else:
            self._server.start()

    def close(self) -> None:
        self._server.close()

    def in_worker(self) -> None:
        self._server.in_worker()

    def document(self) -> bytes:
        # Both clocks are looked at each time: the wall clock may have been set.
        now = time.monotonic()
        epoch = time.time() - now
        found = numbers(self._site, self._queues(), self._workers(epoch), self._crew.gone, epoch)
        return json.dumps(found, separators=(",", ":")).encode("ascii")

    def _say(self, line: str) -> None:
        self._lines(0, [line])

    def _queues(self) -> list[Listener]:
        waiting = queues({int(one.family) for one, _ in self._listeners})
        found = []
        for one, protocol in self._listeners:
            queue = waiting.get(os.fstat(one.fileno()).st_ino)
            told = (None, 0) if queue is None else (queue.waiting, queue.most)
            found.append(Listener(_name(one), protocol, *told))
        return found

    def _workers(self, epoch: float) -> list[Worker]:
        cells = {one.pid: one.cell for one in self._crew.living()}
        return [Worker(one, self._cores(cells.get(one.pid), epoch)) for one in self._crew.reports()]

    def _cores(self, cell: Optional[int], epoch: float) -> tuple[Core, ...]:
        threads = () if cell is None else self._board.threads(cell)
        # An app can write there what it likes. Only now: a request that has just begun is not one of the future.
        now = time.monotonic()
        return tuple(Core(requests, epoch + since if 0 < since <= now else None) for requests, since in threads)


def _folder() -> str:
    with contextlib.suppress(OSError):
        return os.getcwd()
    # Somebody has removed it.
    return ""


def _mode(spec: VassalSpec) -> int:
    """chmod-socket is about this one too, as in uWSGI; silence means this user, its group and root."""
    return next((one.mode for one in spec.sockets if one.mode is not None), DEFAULT_MODE)


def _name(listener: socket.socket) -> str:
    """As uWSGI writes it: a path, @abstract, or HOST:PORT."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        return str(Address(TCP, host=str(name[0]), port=int(name[1])))
    text = os.fsdecode(name)
    return "@" + text[1:] if text.startswith("\0") else text
