"""A vassal's workers: forked, counted, replaced. The mechanism around ``supervision.generation``.

It promises: a worker that dies is replaced at once as long as its crew answers requests and nobody else is there to do
it; what dies again and again without an answer, after a growing pause. Each worker's output is read line by line under
its own number.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from dataclasses import dataclass, field
from typing import Callable, NoReturn, Optional

from emperor.model import VassalSpec
from emperor.supervision import generation as gen
from emperor.supervision.channel import WorkerReport
from emperor.supervision.generation import Action, Event, Generation, Patience, Phase
from emperor.supervision.seat import Death, Fellows, Past, died, forked, refused, word
from emperor.system import forks
from emperor.system.eventloop import Loop, Timer
from emperor.system.logs import LineCutter
from emperor.system.scoreboard import Scoreboard
from emperor.worker import READY, ending, finish

SIGNALS = {Action.RETIRE: signal.SIGHUP, Action.TERM: signal.SIGTERM, Action.KILL: signal.SIGKILL}
DRAINING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

UNKNOWN = "ended, and was reaped by the app"

MAX_READS = 16
"""A pipe holds at most 1 MiB (pipe(7)); what is written while we read may never end."""

Serve = Callable[[int, int], int]
"""What a worker does: (its index, the descriptor to report on) → exit code."""


@dataclass
class Seat:
    """One place in the crew, and who sits there. ``output``, ``report``: read ends, -1 when closed.

    ``retry``: when the next one is forked; ``overdue``: when this one's time to start is over.
    """

    index: int
    generation: Optional[Generation] = None
    pid: int = 0
    output: int = -1
    report: int = -1
    cutter: LineCutter = field(default_factory=LineCutter)
    past: Past = field(default_factory=Past)
    spawned: int = 0
    retry: Optional[Timer] = None
    overdue: Optional[Timer] = None


@dataclass(frozen=True)
class Ears:
    """Who wants to hear what: lines of a worker, the first word that it serves, why one cannot, that all are gone."""

    lines: Callable[[int, list[str]], None]
    serving: Callable[[], None]
    failed: Callable[[str, str], None]
    empty: Callable[[], None]


class Crew:
    """The workers of one vassal. ``close_ours``: called in each fork, closes what only the vassal may hold."""

    def __init__(
        self, spec: VassalSpec, loop: Loop, board: Scoreboard, serve: Serve, ears: Ears, close_ours: Callable[[], None]
    ) -> None:
        self._spec, self._loop, self._board = spec, loop, board
        self._serve, self._ears, self._close_ours = serve, ears, close_ours
        self._seats = [Seat(index) for index in range(spec.processes)]
        self._answered = self._answered_before = self._barren = 0
        self._draining = False
        self.drain_deadline: Optional[float] = None

    def start(self) -> None:
        for seat in self._seats:
            self._fork(seat)

    def drain(self, seconds: float, how: Event = Event.DRAIN) -> None:
        """Nobody new; everybody finishes within ``seconds``. Asked again with less, less it is.

        ``how``: DRAIN, or RETIRE, which keeps idle connections open for a last request each.
        """
        self._draining = True
        for seat in self._seats:
            self._forget_pause(seat)
            self._step(seat, how)
        deadline = self._loop.now() + seconds
        if self.drain_deadline is None or deadline < self.drain_deadline:
            self.drain_deadline = deadline
            self._loop.call_at(deadline, self._kill_all)
        self._perhaps_empty()

    def reap(self) -> None:
        """SIGCHLD: take what has died. Only our own: the app's children are the app's."""
        for seat in self._seats:
            if seat.pid:
                pid, status = forks.wait(seat.pid)
                if pid:
                    self._gone(seat, status)

    def reports(self) -> tuple[WorkerReport, ...]:
        return tuple(self._report(seat) for seat in self._seats)

    def _fork(self, seat: Seat) -> None:
        self._forget_pause(seat)
        self._board.clear(seat.index)
        sys.stdout.flush()
        sys.stderr.flush()
        pipes: list[int] = []
        try:
            pipes += os.pipe2(os.O_CLOEXEC)
            pipes += os.pipe2(os.O_CLOEXEC)
            pid = forks.fork(DRAINING)
        except OSError as error:
            for fd in pipes:
                os.close(fd)
            self._cannot_fork(seat, f"fork: {error.strerror}")
            return
        output_read, output_write, report_read, report_write = pipes
        if pid == 0:
            # Its output's other end stays open in it: should the vassal be killed, no print raises EPIPE in the middle
            # of a request that is still to be answered.
            os.close(report_read)
            self._become_worker(seat, output_write, report_write)
        os.close(output_write)
        os.close(report_write)
        os.set_blocking(output_read, False)
        os.set_blocking(report_read, False)
        seat.pid, seat.output, seat.report, seat.cutter = pid, output_read, report_read, LineCutter()
        seat.spawned, seat.past = seat.spawned + 1, forked(seat.past)
        patience = Patience(self._spec.start_timeout, self._spec.reload_mercy)
        seat.generation = gen.born(seat.spawned, patience, self._loop.now())
        self._loop.watch(output_read, lambda: self._hear(seat))
        self._loop.watch(report_read, lambda: self._word(seat))
        assert seat.generation.deadline is not None
        seat.overdue = self._loop.call_at(seat.generation.deadline, lambda: self._step(seat, Event.DEADLINE))

    def _become_worker(self, seat: Seat, output: int, report: int) -> NoReturn:
        """In the fork. Never returns into the vassal's code, whatever happens."""
        code = 70
        try:
            self._loop.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAINING)
            self._close_ours()
            for other in self._seats:
                for fd in (other.output, other.report):
                    if fd >= 0:
                        os.close(fd)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            code = self._serve(seat.index, report)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            finish(code)

    def _hear(self, seat: Seat) -> None:
        try:
            data = os.read(seat.output, 65536)
        except BlockingIOError:
            return
        lines = seat.cutter.feed(data) if data else seat.cutter.flush()
        if lines:
            self._ears.lines(seat.index, lines)
        if not data:
            self._close(seat, "output")

    def _word(self, seat: Seat) -> None:
        """Its report: ready, or why not."""
        try:
            data = os.read(seat.report, 65536)
        except BlockingIOError:
            return
        self._close(seat, "report")
        if data == READY:
            self._step(seat, Event.READY)
            self._ears.serving()
        elif data:
            reason, text = json.loads(data)
            if seat.output >= 0:
                # What it printed explains it, and the vassal may not live much longer.
                self._hear(seat)
            self._ears.failed(reason, text)

    def _step(self, seat: Seat, event: Event) -> None:
        if seat.generation is None:
            return
        seat.generation, actions = gen.step(seat.generation, event, self._loop.now())
        if seat.generation.phase is not Phase.STARTING:
            self._in_time(seat)
        for action in actions:
            forks.send(seat.pid, SIGNALS[action])

    def _in_time(self, seat: Seat) -> None:
        # A thousand deaths would leave a thousand timers waiting for their hour.
        if seat.overdue is not None:
            seat.overdue.cancel()
            seat.overdue = None

    def _kill_all(self) -> None:
        for seat in self._seats:
            self._step(seat, Event.KILL)

    def _gone(self, seat: Seat, status: Optional[int]) -> None:
        """``status`` None: nobody knows how it ended."""
        assert seat.generation is not None
        before = seat.generation
        self._drain_output(seat)
        count = self._board.read(seat.index)
        self._answered += count.requests
        seat.pid, seat.generation = 0, None
        self._in_time(seat)
        if self._draining:
            self._perhaps_empty()
            return
        # A lazy app may be why it died before it served; another one was imported long ago.
        proven = before.had_served or not self._spec.lazy_apps
        death = Death(before, UNKNOWN if status is None else ending(status), count.requests > 0, proven, count.busy > 0)
        seat.past, pause = died(seat.past, death, self._fellows(), self._loop.now(), random.random())
        self._say(seat, f"{death.how} -- starting another{_when(pause)}")
        if pause:
            self._later(seat, pause)
        else:
            self._fork(seat)

    def _fellows(self) -> Fellows:
        """After a death, once for each."""
        answered = self._answered + sum(self._board.read(seat.index).requests for seat in self._seats if seat.pid)
        self._barren = 1 if answered > self._answered_before else self._barren + 1
        self._answered_before = answered
        return Fellows(self._barren, any(seat.pid for seat in self._seats))

    def _cannot_fork(self, seat: Seat, reason: str) -> None:
        seat.past, pause = refused(seat.past, reason, self._loop.now(), random.random())
        self._say(seat, f"{reason} -- trying again{_when(pause)}")
        self._later(seat, pause)

    def _say(self, seat: Seat, text: str) -> None:
        self._ears.lines(seat.index, [f"worker {seat.index + 1}: {text}"])

    def _later(self, seat: Seat, pause: float) -> None:
        seat.retry = self._loop.call_at(self._loop.now() + pause, lambda: self._fork(seat))

    def _forget_pause(self, seat: Seat) -> None:
        if seat.retry is not None:
            seat.retry.cancel()
            seat.retry = None

    def _drain_output(self, seat: Seat) -> None:
        """Its last words, then let go, even if a process of the app's still holds the other end."""
        for _ in range(MAX_READS if seat.output >= 0 else 0):
            try:
                data = os.read(seat.output, 65536)
            except BlockingIOError:
                break
            if not data:
                break
            self._ears.lines(seat.index, seat.cutter.feed(data))
        rest = seat.cutter.flush()
        if rest:
            self._ears.lines(seat.index, rest)
        self._close(seat, "output")
        if seat.report >= 0:
            self._word(seat)
        self._close(seat, "report")

    def _close(self, seat: Seat, name: str) -> None:
        fd = getattr(seat, name)
        if fd >= 0:
            self._loop.unwatch(fd)
            os.close(fd)
            setattr(seat, name, -1)

    def _perhaps_empty(self) -> None:
        if self._draining and not any(seat.pid for seat in self._seats):
            self._ears.empty()

    def _report(self, seat: Seat) -> WorkerReport:
        count = self._board.read(seat.index)
        return WorkerReport(
            id=seat.index + 1,
            pid=seat.pid,
            state=word(seat.generation, count.busy),
            requests=count.requests,
            exceptions=count.exceptions,
            rss=forks.rss(seat.pid),
            exits=seat.past.exits,
            last_exit=seat.past.last_exit,
            died_at=seat.past.died_at,
            retry_at=seat.retry.when if seat.retry is not None else None,
        )


def _when(pause: float) -> str:
    return f" in {pause:.1f} s" if pause else ""
