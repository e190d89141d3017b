"""A vassal that serves: its loop, its crew, its log, and what it says to its emperor.

It promises: TERM means drain, and so does the emperor's end; HUP means drain for one that has a successor; it says
*serving* when its first worker accepts, and ends when all that it or its app has started is gone.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

from emperor.crew.crew import Crew
from emperor.crew.ears import Ears
from emperor.orphans import Orphans
from emperor.supervision import idleness
from emperor.supervision.channel import Crewed, Failed, Idle, Serving, Stale
from emperor.supervision.commission import Commission
from emperor.supervision.generation import Event
from emperor.supervision.idleness import Idleness
from emperor.supervision.reports import WorkerReport, Workers
from emperor.system import prctl
from emperor.system.eventloop import Loop
from emperor.system.logs import LogFile, append, fitting, stamp, word_on, written_again
from emperor.system.openings import Openings
from emperor.system.scoreboard import Scoreboard
from emperor.system.uplink import Uplink
from emperor.worker import prepare, work

if TYPE_CHECKING:
    from emperor.crew.stats import Stats

BOOT_FAILED = 22
"""uWSGI's code for "the app could not be loaded"."""

ORPHAN_MERCY = 1.5
"""Seconds that workers may take to finish once the emperor is gone."""

REPORT_EVERY = 1.0
REPORT_SOON = 0.05

SPARE_CELLS = 4
"""On the scoreboard, for workers that replace others or are on their way out; more are made when they are needed."""

LOOK_EVERY = 2.0
"""Seconds between two looks at the socket files that this user's vassals bound."""


class Duty:
    """``application`` None: the workers import it themselves. ``lookout``: who looks whether the app has changed."""

    def __init__(
        self,
        commission: Commission,
        uplink: Uplink,
        openings: Openings,
        application: Optional[Any],
        log: Optional[LogFile],
        lookout: Optional[Any],
    ) -> None:
        self._spec = commission.spec
        self._commission, self._uplink, self._log = commission, uplink, log
        self._openings, self._application, self._lookout = openings, application, lookout
        self._announced, self._pid = False, os.getpid()
        self._reported: tuple[WorkerReport, ...] = ()
        self._log_trouble = log.trouble if log is not None else ""
        self._telling = False
        self._idleness = Idleness()
        self._loop = Loop(_bug)
        self._orphans = Orphans(self._loop)
        self._board = Scoreboard(SPARE_CELLS + self._spec.processes, self._spec.threads)
        ears = Ears(self._lines, self._serving, self._failed, self._empty, self._crewed)
        most = commission.workers
        self._crew = Crew(self._spec, self._loop, self._board, self._work, ears, self._close_ours, most)
        self._stats: Optional[Stats] = None

    def run(self) -> None:
        loop, pid = self._loop, self._commission.parent
        loop.on_signal(signal.SIGCHLD, self._reap)
        loop.on_signal(signal.SIGTERM, self._drain)
        # systemd's watchdog ends an emperor that hangs by a signal to all of us (WatchdogSignal= of the unit).
        loop.on_signal(signal.SIGQUIT, self._drain)
        loop.on_signal(signal.SIGHUP, lambda: self._drain(Event.RETIRE))
        loop.on_signal(signal.SIGINT, lambda: None)
        loop.on_signal(signal.SIGUSR1, self._reopen)
        loop.watch(self._uplink.fileno(), self._on_uplink)
        # From here on there may be requests in flight: the emperor's death is a reason to drain, not to die.
        if not prctl.die_with_parent(signal.SIGTERM, pid):
            sys.exit(0)
        self._prepare_numbers()
        prepare(self._spec)
        if hasattr(gc, "freeze"):
            # What was imported is garbage to nobody; the collector need not touch (and so copy) its pages.
            gc.collect()
            gc.freeze()
        if self._lookout is not None:
            self._lookout.app_is_loaded(loop)
        self._limit_requests()
        self._crew.start()
        self._tell_workers()
        loop.run()
        # The app's own atexit functions ran in every worker; here they would run once too often.
        os._exit(0)

    def _limit_requests(self) -> None:
        if self._spec.harakiri:
            # Whoever does without it does not load it.
            from emperor.crew.harakiri import Harakiri

            Harakiri(self._spec.harakiri, self._loop, self._board, self._crew, self._lines).start()

    def _drain(self, how: Event = Event.DRAIN, most: float = float("inf")) -> None:
        try:
            if self._stats is not None:
                # First of all: whoever comes after us wants the address.
                self._stats.close()
        finally:
            self._crew.drain(min(most, self._spec.reload_mercy), how)

    def _prepare_numbers(self) -> None:
        if self._spec.stats is not None:
            # Whoever does without them does not load them.
            from emperor.crew.stats import Stats

            crew, listeners = self._crew, self._openings.listeners
            self._stats = Stats(self._spec, self._loop, crew, self._board, listeners, self._lines)

    def _tell_numbers(self) -> None:
        if self._stats is not None and self._crew.drain_deadline is None:
            try:
                self._stats.start()
            except Exception as error:
                # Whatever becomes of the numbers: the app serves.
                self._loop.report(error)

    def _work(self, cell: int, number: int, report: int) -> int:
        tally = self._board.tally(cell)
        # wsgi.multiprocess is about how many there may be, not about what the ini said.
        spec = replace(self._spec, processes=max(self._spec.processes, self._crew.most))
        return work(spec, self._openings.listeners, self._application, tally, report, self._pid, number)

    def _close_ours(self) -> None:
        self._uplink.close()
        if self._log is not None:
            self._log.close()
        if self._lookout is not None:
            self._lookout.in_worker()
        if self._stats is not None:
            self._stats.in_worker()

    def _lines(self, index: int, lines: list[str]) -> None:
        if self._log is not None:
            # What was read at once has one time.
            now = stamp()
            self._log.write_all([f"{now} {line}" for line in lines])
        self._uplink.lines(fitting(lines))

    def _tell_of_log(self) -> None:
        """Once when it becomes ill, once when it is well again; what is wrong is looked at no more often than that."""
        if self._log is None:
            return
        self._log.heal()
        trouble = self._log.trouble
        if trouble != self._log_trouble:
            self._log_trouble = trouble
            self._uplink.lines([word_on(self._spec.logto, trouble) if trouble else written_again(self._spec.logto)])

    def _serving(self) -> None:
        if not self._announced:
            self._announced = True
            # Only now: as long as this generation might fail, the sockets are the older one's.
            self._openings.adjust()
            # With that word the older one goes, and takes its numbers along: somebody is to answer all the time.
            self._tell_numbers()
            self._uplink.say(Serving())
            # Before that USR1 was for older generations: the log that we opened may have been rotated since.
            self._reopen()
            self._loop.call_at(self._loop.now() + LOOK_EVERY, self._look_at_files)
            if self._lookout is not None:
                self._lookout.start(self._loop, self._stale)
        if not self._telling:
            # A whole crew that comes up is one report, not one for each of them.
            self._telling = True
            self._loop.call_at(self._loop.now() + REPORT_SOON, self._tell_soon)

    def _crewed(self, workers: int, leaving: int) -> None:
        self._uplink.say(Crewed(workers, leaving))

    def _tell_soon(self) -> None:
        self._telling = False
        self._tell_workers(again=False)

    def _look_at_files(self) -> None:
        self._openings.look()
        self._loop.call_at(self._loop.now() + LOOK_EVERY, self._look_at_files)

    def _stale(self, reason: str) -> None:
        # One that drains has been replaced already, or is to end; and without an emperor nobody would replace it.
        if self._crew.drain_deadline is None:
            with contextlib.suppress(OSError):
                self._uplink.say(Stale(reason))

    def _failed(self, reason: str, text: str) -> None:
        """A worker could not import the app: the whole generation has failed, unless it served already."""
        self._lines(0, [line for line in text.splitlines()] or [reason])
        if not self._announced:
            self._uplink.say(Failed(reason, text))
            os._exit(BOOT_FAILED)

    def _tell_workers(self, again: bool = True) -> None:
        reports = self._crew.reports()
        if reports != self._reported:
            self._reported = reports
            self._uplink.mention(Workers(reports, self._crew.totals))
        if self._spec.idle:
            self._perhaps_idle(reports)
        if again:
            self._tell_of_log()
            # Or the lines that were lost at the end of a flood would never be told.
            self._uplink.lines(())
            if self._lookout is not None:
                self._lookout.tick()
            self._crew.look()
            self._loop.call_at(self._loop.now() + REPORT_EVERY, self._tell_workers)

    def _perhaps_idle(self, reports: Sequence[WorkerReport]) -> None:
        requests, busy = self._crew.answered, any(one.state == "busy" for one in reports)
        self._idleness, over = idleness.look(self._idleness, requests, busy, self._spec.idle, self._loop.now())
        if over and self._announced:
            self._uplink.mention(Idle())

    def _on_uplink(self) -> None:
        orders = self._uplink.hear()
        if orders is None:
            self._orphaned()
        elif orders:
            # Each replaces the one before.
            self._crew.resize(orders[-1].workers)

    def _reap(self) -> None:
        self._crew.reap()
        self._orphans.heard()

    def _empty(self) -> None:
        """All workers are gone; what they or the app have left behind goes before us."""
        # Between two reports they may have answered a lot.
        self._uplink.mention(Workers(self._crew.reports(), self._crew.totals))
        self._orphans.end(self._loop.stop)

    def _orphaned(self) -> None:
        self._loop.unwatch(self._uplink.fileno())
        self._drain(most=ORPHAN_MERCY)

    def _reopen(self) -> None:
        if self._log is not None:
            self._log.reopen()


def _bug(error: BaseException) -> None:
    append(2, "".join(traceback.format_exception(type(error), error, error.__traceback__)))
