"""A vassal: the process that one ini stands for, already its own user on its own interpreter.

It binds what the emperor may not, imports the app once, forks its workers, gathers their lines, and says *serving*
when the first worker accepts. TERM, or the emperor's end, means drain.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from functools import partial
from typing import Any, NoReturn, Optional

from emperor.crew import Crew, Ears
from emperor.errors import EmperorError, ListenError, LoadError
from emperor.supervision.channel import Failed, Serving, WorkerReport, Workers
from emperor.supervision.commission import CHECK, Commission
from emperor.supervision.generation import Event
from emperor.system import prctl
from emperor.system.eventloop import Loop
from emperor.system.hanging import before_the_end_of, looked_at
from emperor.system.logs import LogFile, append, open_for_append, stamp
from emperor.system.openings import Openings
from emperor.system.scoreboard import Scoreboard
from emperor.system.uplink import Uplink
from emperor.worker import settle_in, work

BOOT_FAILED = 22
"""uWSGI's code for "the app could not be loaded"."""

ORPHAN_MERCY = 1.5
"""Seconds that workers may take to finish once the emperor is gone."""

REPORT_EVERY = 1.0
REPORT_SOON = 0.05

LOOK_EVERY = 2.0
"""Seconds between two looks at the socket files that this user's vassals bound."""


def main(argv: list[str]) -> None:
    """``launch.py NAME CHANNEL PAPER``: two inherited descriptors."""
    channel, paper = int(argv[2]), int(argv[3])
    commission = _read(paper)
    for fd in (channel, *commission.descriptors):
        os.set_inheritable(fd, False)
    if not prctl.die_with_parent(signal.SIGKILL, commission.parent):
        sys.exit(0)
    uplink = Uplink(socket.socket(fileno=channel))
    sys.argv = [commission.spec.name]
    # On a pipe Python would keep back what an app prints until 8 KiB are full.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # nothing has replaced it yet
    try:
        _ROLES.get(commission.role, _serve)(commission, uplink)
    except EmperorError as error:
        text = error.traceback if isinstance(error, LoadError) else ""
        sys.stderr.write(text or f"{error}\n")
        uplink.say(Failed(str(error), text))
        _leave(BOOT_FAILED)


def _leave(code: int) -> NoReturn:
    """What was printed is heard; what the app wants done at its end is not done: it has not begun."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _read(paper: int) -> Commission:
    with os.fdopen(paper, "rb") as file:
        return Commission.from_bytes(file.read())


def _check(commission: Commission, uplink: Uplink) -> None:
    """``emperorctl check --import``: everything up to the first request, and nothing of it stays."""
    from emperor.wsgi.loading import load

    settle_in(commission.spec)
    load(commission.spec)
    uplink.say(Serving())
    _leave(0)


def _serve(commission: Commission, uplink: Uplink) -> None:
    from emperor.wsgi.loading import load

    settle_in(commission.spec)
    openings = Openings(commission, uplink)
    log = _open_log(commission)
    application: Optional[Any] = None
    try:
        if not commission.spec.lazy_apps:
            with looked_at(before_the_end_of(commission.spec.start_timeout), partial(_hangs, uplink)):
                application = load(commission.spec)
    except LoadError as error:
        if log is not None:
            for line in error.traceback.splitlines():
                log.write(f"{stamp()} {line}")
        raise
    _Vassal(commission, uplink, openings, application, log).run()


def _hangs(uplink: Uplink, where: str, stack: str) -> None:
    """A last word, should it be the last: the import goes on, and may yet come to its end in time."""
    append(2, f"start-timeout is nearly over: {where}\n{stack}")
    uplink.mention(Failed(where, stack))


def _open_log(commission: Commission) -> Optional[LogFile]:
    path = commission.spec.logto
    if not path or not commission.keeps_log:
        return None
    log = LogFile(lambda: open_for_append(path))
    if log.error:
        raise ListenError(f"logto {path}: cannot be opened as {commission.spec.identity.user}: {log.error}")
    return log


class _Vassal:
    """The running program: a loop, a crew, a log."""

    def __init__(
        self,
        commission: Commission,
        uplink: Uplink,
        openings: Openings,
        application: Optional[Any],
        log: Optional[LogFile],
    ) -> None:
        self._spec = commission.spec
        self._commission, self._uplink, self._log = commission, uplink, log
        self._openings, self._application = openings, application
        self._announced, self._pid = False, os.getpid()
        self._reported: tuple[WorkerReport, ...] = ()
        self._telling = False
        self._loop = Loop(_bug)
        self._board = Scoreboard(self._spec.processes, self._spec.threads)
        ears = Ears(self._lines, self._serving, self._failed, self._loop.stop)
        self._crew = Crew(self._spec, self._loop, self._board, self._work, ears, self._close_ours)

    def run(self) -> None:
        loop, pid = self._loop, self._commission.parent
        loop.on_signal(signal.SIGCHLD, self._crew.reap)
        loop.on_signal(signal.SIGTERM, lambda: self._crew.drain(self._spec.reload_mercy))
        # systemd's watchdog ends an emperor that hangs by a signal to all of us (WatchdogSignal= of the unit).
        loop.on_signal(signal.SIGQUIT, lambda: self._crew.drain(self._spec.reload_mercy))
        loop.on_signal(signal.SIGHUP, lambda: self._crew.drain(self._spec.reload_mercy, Event.RETIRE))
        loop.on_signal(signal.SIGINT, lambda: None)
        loop.on_signal(signal.SIGUSR1, self._reopen)
        loop.watch(self._uplink.fileno(), self._orphaned)
        # From here on there may be requests in flight: the emperor's death is a reason to drain, not to die.
        if not prctl.die_with_parent(signal.SIGTERM, pid):
            sys.exit(0)
        if hasattr(gc, "freeze"):
            # What was imported is garbage to nobody; the collector need not touch (and so copy) its pages.
            gc.collect()
            gc.freeze()
        self._crew.start()
        self._tell_workers()
        loop.run()
        # The app's own atexit functions ran in every worker; here they would run once too often.
        os._exit(0)

    def _work(self, index: int, report: int) -> int:
        tally = self._board.tally(index)
        return work(self._spec, self._openings.listeners, self._application, tally, report, self._pid)

    def _close_ours(self) -> None:
        self._uplink.close()
        if self._log is not None:
            self._log.close()

    def _lines(self, index: int, lines: list[str]) -> None:
        if self._log is not None:
            for line in lines:
                self._log.write(f"{stamp()} {line}")
        self._uplink.lines(lines)

    def _serving(self) -> None:
        if not self._announced:
            self._announced = True
            # Only now: as long as this generation might fail, the sockets are the older one's.
            self._openings.adjust()
            self._uplink.say(Serving())
            self._loop.call_at(self._loop.now() + LOOK_EVERY, self._look_at_files)
        if not self._telling:
            # A whole crew that comes up is one report, not one for each of them.
            self._telling = True
            self._loop.call_at(self._loop.now() + REPORT_SOON, self._tell_soon)

    def _tell_soon(self) -> None:
        self._telling = False
        self._tell_workers(again=False)

    def _look_at_files(self) -> None:
        self._openings.look()
        self._loop.call_at(self._loop.now() + LOOK_EVERY, self._look_at_files)

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
            self._uplink.mention(Workers(reports))
        if again:
            self._loop.call_at(self._loop.now() + REPORT_EVERY, self._tell_workers)

    def _orphaned(self) -> None:
        self._loop.unwatch(self._uplink.fileno())
        self._crew.drain(min(ORPHAN_MERCY, self._spec.reload_mercy))

    def _reopen(self) -> None:
        if self._log is not None:
            self._log.reopen()


def _bug(error: BaseException) -> None:
    append(2, "".join(traceback.format_exception(type(error), error, error.__traceback__)))


_ROLES = {CHECK: _check}
