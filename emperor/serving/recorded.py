"""A gateway that knows what became of each request: how many bytes have left and, if somebody asks, a line in the log.

It stands in the gateway's place only where one of them is wanted; elsewhere nothing here is imported. It promises: a
line never waits for its reader (what cannot be written is lost, counted, and told with the next), and never costs the
request. What the app makes of its environ meanwhile is not in the line, but for who the visitor is: REMOTE_ADDR, as
``proxy-fix`` and its like correct it, and REMOTE_USER, whom the app may have logged in.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable, Optional

from emperor.model import VassalSpec
from emperor.serving.limited import beneath
from emperor.serving.settings import report
from emperor.system.logs import append
from emperor.wsgi.accesslog import LONGEST_LINE, Facts, Line, Rules, line_of, rules_of
from emperor.wsgi.body import Disconnected
from emperor.wsgi.gateway import Gateway, Outcome
from emperor.wsgi.response import Send, SendFile

__all__ = ["AccessLog", "Output", "Recorded", "recorder"]

STANDARD_OUTPUT = 1

_END = b"\r\n\r\n"
_FILE_PIECE = 1 << 22
"""Bytes of a file after which it is noted how far it has come; a kernel takes less at once."""
_THE_APPS = ("REMOTE_ADDR", "REMOTE_USER")


def recorder(
    spec: VassalSpec, sent: Callable[[int], None], worker: int = 0
) -> Optional[Callable[[Gateway, str], Recorded]]:
    """What is to be put around each gateway of a worker; None: nothing. Called in the worker itself, whose threads
    all call ``sent`` then, with the bytes of each answer.
    """
    rules = rules_of(spec)
    if rules is None and spec.stats is None:
        return None
    log = None if rules is None else AccessLog(line_of(spec), rules, Output(STANDARD_OUTPUT), worker)
    return lambda gateway, line: Recorded(gateway, line, sent, log)


class Output:
    """Lines to a descriptor that others write to as well, a pipe or anything else."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._own = _never_waiting(fd)
        self._lock = threading.Lock()
        self._lost = 0

    def write(self, line: str) -> None:
        """Never raises. ``line``: at most PIPE_BUF bytes with its newline, so that it comes whole or not at all."""
        if self._lost or not self._put(line):
            self._put_late(line)

    def _put_late(self, line: str) -> None:
        """Behind what was lost, if there is room for that as well."""
        with self._lock:
            told = f"access log: {self._lost} lines lost -- they were not read fast enough"
            # In one piece: else the short line would go in where the long one does not, again and again.
            both = f"{told}\n{line}" if len(told) + len(line) < LONGEST_LINE else told
            if self._lost and self._put(both):
                self._lost = 0 if both is not told or self._put(line) else 1
            else:
                self._lost += 1

    def _put(self, line: str) -> bool:
        if self._own < 0:
            return append(self._fd, line)
        try:
            os.write(self._own, line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            return False
        return True


def _never_waiting(fd: int) -> int:
    """The same pipe once more: O_NONBLOCK on the descriptor itself would be the app's ``print`` as well. -1: it is
    none, or /proc is not there.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return -1
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


class AccessLog:
    """What all gateways of a worker share."""

    def __init__(self, line: Line, rules: Rules, output: Output, worker: int = 0) -> None:
        self._line, self._rules, self._output, self._worker = line, rules, output, worker
        self._pid = os.getpid()
        self._cores: dict[int, int] = {}
        self._number = 0

    def note(self, environ: Mapping[str, Any], way: Way, begun: float, seconds: float) -> None:
        """Never raises."""
        self._number += 1
        try:
            if self._rules.want(way.status, way.body, seconds) and os.getpid() == self._pid:
                self._output.write(self._line(self._facts(environ, way, begun, seconds)))
        except Exception as error:
            # A bug of ours: the request has been answered.
            report(f"access log: {type(error).__name__}: {error} -- a line is missing")

    def _facts(self, environ: Mapping[str, Any], way: Way, begun: float, seconds: float) -> Facts:
        thread = threading.get_ident()
        core = self._cores.get(thread)
        if core is None:
            core = self._cores.setdefault(thread, len(self._cores))
        return Facts(
            environ, way.status, way.head, way.body, way.writes, way.file, way.broken,
            begun, seconds, self._number, core, self._pid, self._worker, _memory,
        )  # fmt: skip


class Way:
    """The way out of one response: a ``Send`` that sees it pass."""

    __slots__ = ("_at", "_send", "_send_file", "body", "broken", "file", "head", "status", "writes")

    def __init__(self, send_file: Optional[SendFile], at: int) -> None:
        """``at``: where in the head the status stands."""
        self._send_file, self._at = send_file, at
        self.head = b""
        self.status = self.body = self.writes = 0
        self.file = self.broken = False

    def to(self, send: Send) -> Way:
        """Where it leads; before anything else."""
        self._send = send
        return self

    def __call__(self, data: bytes, last: bool) -> None:
        size = len(data)
        if not self.head and size:
            end = data.find(_END) + len(_END)
            self.head = data[:end]
            self.status = int(data[self._at : self._at + 3])
            size -= end
        try:
            self._send(data, last)
        except Disconnected:
            self.broken = True
            raise
        if size:
            self.body += size
            self.writes += 1

    def send_file(self, fd: int, offset: int, count: int) -> int:
        assert self._send_file is not None
        self.file = True
        left = count
        while left:
            size = min(left, _FILE_PIECE)
            try:
                sent = self._send_file(fd, offset, size)
            except Disconnected:
                self.broken = True
                raise
            self.body += sent
            self.writes += 1
            offset, left = offset + sent, left - sent
            if sent < size:
                break
        return count - left


class Recorded:
    """A ``Gateway`` to those who call it. ``line``: as the gateway's. ``log`` None: bytes are counted, that is all."""

    __slots__ = ("_at", "_log", "_respond", "_sent", "environ", "errors", "own")

    def __init__(self, gateway: Gateway, line: str, sent: Callable[[int], None], log: Optional[AccessLog]) -> None:
        self.environ, self.errors, self.own = gateway.environ, gateway.errors, gateway.own
        self._respond = gateway.respond
        self._at = len(line)
        self._sent, self._log = sent, log

    def respond(self, environ: dict[str, Any], send: Send, send_file: Optional[SendFile] = None) -> Outcome:
        """As ``Gateway.respond``."""
        way = Way(send_file, self._at)
        outer = beneath(send, way.to)
        log = self._log
        if log is None:
            outcome = self._respond(environ, outer, None if send_file is None else way.send_file)
        else:
            asked = environ.copy()
            begun, clock = time.time(), time.monotonic()
            outcome = self._respond(environ, outer, None if send_file is None else way.send_file)
            seconds = time.monotonic() - clock
            for name in _THE_APPS:
                value = environ.get(name)
                if type(value) is str:
                    asked[name] = value
            log.note(asked, way, begun, seconds)
        self._sent(len(way.head) + way.body)
        return outcome


def _memory() -> tuple[int, int]:
    """As ``Facts.memory``."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = file.read().split()
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size
