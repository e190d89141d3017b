"""A crew whose vassal is the test itself: real forks, each a few lines, and who hears them."""

from __future__ import annotations

import atexit
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emperor.crew.crew import Crew
from emperor.crew.ears import Ears
from emperor.supervision.reports import WorkerReport
from emperor.system.eventloop import Loop
from emperor.system.scoreboard import Scoreboard, Tally
from emperor.worker import LEAVE, READY
from tests.integration.kernel_world import drive, raise_it, vassal_spec

Act = Callable[[int, int, Tally], Any]
"""What a worker does: (its cell, its report, its tally) → exit code, or None for 0."""


def ready(report: int) -> None:
    os.write(report, READY)
    os.close(report)


def idles(index: int, report: int, tally: Tally) -> None:
    ready(report)
    signal.pause()


def answers(index: int, report: int, tally: Tally) -> None:
    tally.begin(0)
    tally.end(0, False)
    idles(index, report, tally)


def says(text: bytes) -> Act:
    def act(index: int, report: int, tally: Tally) -> None:
        os.write(1, text)
        idles(index, report, tally)

    return act


def stubborn(index: int, report: int, tally: Tally) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(LEAVE, signal.SIG_IGN)
    ready(report)
    while True:
        signal.pause()


class World:
    """A crew whose vassal is the test itself."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop(raise_it)
        self.ours, self.theirs = socket.socketpair()
        self.lines: list[tuple[int, str]] = []
        self.failures: list[tuple[str, str]] = []
        self.counted: list[tuple[int, int]] = []
        self.served = self.emptied = 0
        self.folder = folder
        self.crew: Crew
        self.board: Scoreboard

    def start(self, act: Act, processes: int = 1, workers: int = 0, **more: Any) -> Crew:
        spec = vassal_spec(self.folder, processes=processes, **more)
        self.board = Scoreboard(processes, spec.threads)

        def serve(cell: int, number: int, report: int) -> int:
            # What pytest wants done at its end is not to be done at the end of a fork.
            atexit._clear()
            return act(cell, report, self.board.tally(cell)) or 0

        ears = Ears(self._heard, self._serving, self._failed, self._empty, self._crewed)
        self.crew = Crew(spec, self.loop, self.board, serve, ears, self._close_ours, workers)
        self.loop.on_signal(signal.SIGCHLD, self.crew.reap)
        self.crew.start()
        return self.crew

    def _heard(self, index: int, lines: list[str]) -> None:
        # Those that a worker printed begin with its number.
        self.lines += [(index, line.removeprefix(f"[{index + 1}] ")) for line in lines]

    def _serving(self) -> None:
        self.served += 1

    def _failed(self, reason: str, text: str) -> None:
        self.failures.append((reason, text))

    def _empty(self) -> None:
        self.emptied += 1

    def _crewed(self, workers: int, leaving: int) -> None:
        self.counted.append((workers, leaving))

    def _close_ours(self) -> None:
        self.ours.close()
        self.theirs.close()

    def report(self, index: int = 0) -> WorkerReport:
        return self.crew.reports()[index]

    def until(self, condition: Callable[[], object], patience: float = 10.0) -> None:
        drive(self.loop, condition, patience)

    def look_often(self, every: float = 0.02) -> None:
        """As a vassal does once a second."""
        self.crew.look()
        self.loop.call_at(self.loop.now() + every, lambda: self.look_often(every))

    def until_idle(self) -> list[int]:
        """Wait until all serve; their pids."""
        self.until(lambda: {one.state for one in self.crew.reports()} == {"idle"})
        return [one.pid for one in self.crew.reports()]

    def until_replaced(self, pid: int) -> None:
        """Wait until somebody else sits in the first seat."""
        self.until(lambda: self.report().pid not in (0, pid))

    def said(self, text: str) -> Callable[[], bool]:
        return lambda: any(text in line for _, line in self.lines)

    def close(self) -> None:
        if hasattr(self, "crew"):
            self.crew.drain(0.0)
            self.until(lambda: self.emptied)
        self.loop.close()
        self._close_ours()
