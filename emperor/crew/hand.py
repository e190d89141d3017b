"""One worker as its vassal has it: a process from its fork until it was reaped, what it prints, its word, its deadline.

It promises: an end of it that is not told by anybody else is heard, and what it printed before is heard first.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Callable, NamedTuple, NoReturn, Optional

from emperor.supervision.generation import Action
from emperor.system import forks
from emperor.system.eventloop import Loop, Timer
from emperor.system.logs import LineCutter
from emperor.worker import LEAVE

if TYPE_CHECKING:
    from emperor.supervision.lastwords import LastWords

SIGNALS = {Action.RETIRE: LEAVE, Action.TERM: signal.SIGTERM, Action.KILL: signal.SIGKILL}
DRAINING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

MAX_READS = 16
"""A pipe holds at most 1 MiB (pipe(7)); what is written while we read may never end."""

BLOCK = 65536

REST = 0.005
"""Seconds that what a busy worker prints waits for more of it: lines that are read, stamped, written and told one by
one cost a multiple of those that come together. Not where it prints so fast that it would soon have to wait for us."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))


def confession(data: bytes) -> tuple[str, str]:
    """Why a worker cannot serve: the reason, and a traceback. A lazy app may have written into the pipe itself."""
    try:
        reason, text = json.loads(data)
        return str(reason), str(text)
    except (ValueError, TypeError, RecursionError):
        return "the app has written into the pipe on which its worker reports", ""


class Hearers(NamedTuple):
    """Who hears a worker: its lines, its one word on the report, that its deadline has passed."""

    lines: Callable[[int, list[str]], None]
    word: Callable[[Hand, bytes], None]
    overdue: Callable[[Hand], None]


class Hand:
    """``number``: that of its generation, of no other in its crew. ``cell``: its own on the scoreboard.

    ``luck``: drawn once, in [0, 1). ``how``: what its death is to be called, where a signal says too little.
    ``judged``: its request took too long. ``spared``: it was overdue, and had a request.
    ``fresh``: bytes of address space, and of them resident, when it began to serve.
    """

    def __init__(self, loop: Loop, hearers: Hearers, number: int, seat: int, cell: int, luck: float) -> None:
        self._loop, self._hearers = loop, hearers
        self.number, self.seat, self.cell, self.luck = number, seat, cell, luck
        self.pid, self.how, self.fresh = 0, "", (0, 0)
        self.spared = self.judged = False
        self._output = self._report = -1
        self._heard_at = float("-inf")
        self._cutter = LineCutter()
        self._last_words: Optional[LastWords] = None
        self._overdue: Optional[Timer] = None

    def fork(self, become: Callable[[int, int], NoReturn]) -> None:
        """``become``: in the child, with the ends it writes its output and its report to. Raises OSError."""
        sys.stdout.flush()
        sys.stderr.flush()
        pipes: list[int] = []
        try:
            pipes += os.pipe2(os.O_CLOEXEC)
            pipes += os.pipe2(os.O_CLOEXEC)
            pid = forks.fork(DRAINING)
        except OSError:
            for fd in pipes:
                os.close(fd)
            raise
        output_read, output_write, report_read, report_write = pipes
        if pid == 0:
            # Its output's other end stays open in it: should the vassal be killed, no print raises EPIPE in the middle
            # of a request that is still to be answered.
            os.close(report_read)
            become(output_write, report_write)
        os.close(output_write)
        os.close(report_write)
        os.set_blocking(output_read, False)
        os.set_blocking(report_read, False)
        self.pid, self._output, self._report = pid, output_read, report_read
        self._loop.watch(output_read, self._listen)
        self._loop.watch(report_read, self._word)

    def send(self, action: Action) -> None:
        forks.send(self.pid, SIGNALS[action])

    def hurry(self) -> None:
        """One that was told to retire has no longer than anybody else for what it has in flight."""
        forks.send(self.pid, signal.SIGHUP)

    def expect(self, deadline: Optional[float]) -> None:
        """Monotonic seconds; None: it has all the time it wants."""
        if self._overdue is not None:
            if self._overdue.when == deadline:
                return
            # A thousand deaths would leave a thousand timers waiting for their hour.
            self._overdue.cancel()
            self._overdue = None
        if deadline is not None:
            self._overdue = self._loop.call_at(deadline, lambda: self._hearers.overdue(self))

    def _listen(self) -> None:
        before, self._heard_at = self._heard_at, self._loop.now()
        size = self.hear()
        if self._output >= 0 and size < BLOCK // 2 and self._heard_at - before < 2 * REST:
            self._loop.unwatch(self._output)
            self._loop.call_at(self._heard_at + REST, self._listen_again)

    def _listen_again(self) -> None:
        if self._output >= 0:
            self._loop.watch(self._output, self._listen)

    def hear(self, cut: bool = False) -> int:
        """``cut``: what is there is read as lines, even where it does not end as one. How many bytes there were."""
        data: Optional[bytes] = None
        if self._output >= 0:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._output, BLOCK)
        lines = self._cutter.feed(data) if data else []
        if cut or data == b"":
            lines += self._cutter.flush()
        self._tell(lines)
        if data == b"":
            self.deafen()
        return len(data or b"")

    def expect_stacks(self, wanted: bool) -> None:
        """What it prints from now on are its last words. ``wanted`` False: it lives on, and they are not."""
        from emperor.supervision.lastwords import LastWords

        self.hear(cut=True)
        if not wanted and self._last_words is not None:
            rest, self._last_words = self._last_words.end(), None
            self._tell(rest)
        elif wanted and self._last_words is None:
            self._last_words = LastWords(_PACKAGE, _LIBRARY)

    def _tell(self, lines: list[str]) -> None:
        if self._last_words is not None:
            lines = self._last_words.feed(lines)
        if lines:
            # What it printed, and not what is said of it.
            self._hearers.lines(self.seat, [f"[{self.seat + 1}] {line}" for line in lines])

    def _word(self) -> None:
        try:
            data = os.read(self._report, BLOCK)
        except BlockingIOError:
            return
        self._report = self._closed(self._report)
        self._hearers.word(self, data)

    def ended(self) -> None:
        """Its last words, then all of it is let go, even if a process of the app's still holds the other end."""
        self.expect(None)
        for _ in range(MAX_READS if self._output >= 0 else 0):
            try:
                data = os.read(self._output, BLOCK)
            except BlockingIOError:
                break
            if not data:
                break
            self._tell(self._cutter.feed(data))
        self._tell(self._cutter.flush())
        if self._last_words is not None:
            rest, self._last_words = self._last_words.end(), None
            self._tell(rest)
        self.deafen()
        if self._report >= 0:
            self._word()
        self._report = self._closed(self._report)

    def deafen(self) -> None:
        """Nothing that it prints is read any more."""
        self._output = self._closed(self._output)

    def close_inherited(self) -> None:
        """In another's fork: none of its business."""
        for fd in (self._output, self._report):
            if fd >= 0:
                os.close(fd)

    def _closed(self, fd: int) -> int:
        if fd >= 0:
            self._loop.unwatch(fd)
            os.close(fd)
        return -1
