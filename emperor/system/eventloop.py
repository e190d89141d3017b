"""One thread that waits: descriptors, deadlines and signals. The only clock of the emperor and of a vassal.

It promises: callbacks run one after another in the thread that called ``run``; one that raises is reported and
costs nobody else anything; a signal is a callback like any other, never code between two bytecodes.
It never waits without being woken by what it was asked to watch.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import selectors
import signal
import time
from typing import Any, Callable, Optional

Callback = Callable[[], object]
"""What it returns is nobody's business."""

LONGEST_WAIT = 3600.0
"""Seconds: poll(2) and its like count milliseconds in an int, and Python raises OverflowError beyond."""


FEW_TIMERS = 1000

WAKEUPS = 65536
"""Bytes: as many as a pipe holds (pipe(7))."""


class Timer:
    """A deadline that can be taken back."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Optional[Callback] = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """``on_error`` hears of a callback's exception (a bug of ours); the loop goes on."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._tidy_at = FEW_TIMERS
        self._order = itertools.count()
        self._signals: dict[int, Callback] = {}
        self._noted: set[int] = set()
        self._restore: dict[int, Any] = {}
        self._running = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wakeups)
        self._previous_wakeup = -1

    @staticmethod
    def now() -> float:
        """Monotonic seconds: a step of the wall clock changes nothing here."""
        return time.monotonic()

    def watch(self, fd: int, callback: Callback, write: bool = False) -> None:
        """Call back while ``fd`` is readable (or writable); watching it again replaces what was asked."""
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        """Stop watching; to be called before the descriptor is closed. Not watched: nothing happens."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def call_at(self, when: float, callback: Callback) -> Timer:
        if len(self._timers) >= self._tidy_at:
            # Those that were taken back lie here until they are due, which may be long after a storm of orders.
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._tidy_at = max(FEW_TIMERS, 2 * len(self._timers))
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def on_the_beat(self, every: float, callback: Callback) -> Timer:
        """At the next whole multiple of ``every`` seconds: who looks around as often as others wakes us with them."""
        return self.call_at((self.now() // every + 1) * every, callback)

    def call_soon(self, callback: Callback) -> Timer:
        return self.call_at(self.now(), callback)

    def on_signal(self, signum: int, callback: Callback) -> None:
        """From now on the signal is delivered as a callback; only the main thread may ask for it."""
        if not self._signals:
            self._previous_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._signals[signum] = callback
        self._restore.setdefault(signum, signal.getsignal(signum))
        signal.signal(signum, self._note)
        # A system call that a signal interrupts is taken up again by Python (PEP 475); the C library need not.
        signal.siginterrupt(signum, False)

    def take_signals(self) -> list[int]:
        """Those that have come and were not called back for: they are the caller's now."""
        noted, self._noted = self._noted, set()
        with contextlib.suppress(BlockingIOError):
            noted.update(os.read(self._wake_read, WAKEUPS))
        return sorted(noted.intersection(self._signals))

    def wake(self) -> None:
        """From any thread: look again. What to look at must have been stored before."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def report(self, error: BaseException) -> None:
        """A bug of ours that was caught elsewhere, where it could be answered for."""
        self._on_error(error)

    def run(self) -> None:
        """Until ``stop``: from then on no timer fires; one that is due stays for the next ``run``."""
        self._running = True
        while self._running:
            for key, _ in self._selector.select(self._patience()):
                # An earlier callback of this round may have closed the descriptor, or given its number away.
                now_watched = self._selector.get_map().get(key.fd)
                if now_watched is not None and now_watched.data is key.data:
                    self._guarded(key.data)
            if not self._running:
                break
            self._fire_timers()

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        """Give signals back as they were, and every descriptor of the loop's own."""
        if self._signals:
            signal.set_wakeup_fd(self._previous_wakeup)
            for signum, handler in self._restore.items():
                signal.signal(signum, handler)
            self._signals.clear()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _patience(self) -> Optional[float]:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0][0] - self.now()), LONGEST_WAIT)

    def _fire_timers(self) -> None:
        # Only what is due now: a callback that asks for "soon" again must not starve the descriptors.
        now = self.now()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers))
        for entry in due:
            if not self._running:
                heapq.heappush(self._timers, entry)
            elif entry[2].callback is not None:
                self._guarded(entry[2].callback)

    def _drain_wakeups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, WAKEUPS)
        noted, self._noted = self._noted, set()
        for signum in sorted(noted):
            callback = self._signals.get(signum)
            if callback is not None:
                self._guarded(callback)

    def _note(self, signum: int, frame: Any) -> None:
        """Between any two bytecodes. The byte that came before it may be read already, or have found the pipe full."""
        self._noted.add(signum)
        self.wake()

    def _guarded(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:
            self._on_error(error)
