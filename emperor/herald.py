"""When the service manager is told what: ready, reloading, stopping, alive (sd_notify(3)).

It promises: READY comes once every vassal of the first look has come to rest, or ``LONGEST_START`` after it; the
watchdog hears of the main loop only, for nothing else can say that it turns; whoever waits for us is told in time to
wait longer.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection

from emperor.supervision import wording
from emperor.supervision.record import Vassal, state
from emperor.system import processes
from emperor.system.eventloop import Loop
from emperor.system.notify import Notifier
from emperor.system.threads import deaf_to_signals

LONGEST_START = 30.0
"""Seconds after which one app that imports for ever no longer makes everybody else wait for READY."""

LONGER, EVERY = 15.0, 5.0
"""Seconds more that we ask for while we start or drain, and how often."""

STATUS_EVERY = 0.5
"""Seconds between two of the service manager's status lines at least: each is a look at all vassals."""

ASKING = 3.0
"""Seconds that the service manager may take to say what it is doing with us."""


class Herald:
    """``vassals``: those that there are now."""

    def __init__(self, loop: Loop, notifier: Notifier, vassals: Callable[[], Collection[Vassal]]) -> None:
        self._loop, self._notifier, self._vassals = loop, notifier, vassals
        self._starting = self._reloading = self._stopping = False
        self._ready: Callable[[], None] = lambda: None
        self._status, self._status_from, self._status_waits = "", 0.0, False
        if notifier.watchdog is not None:
            self._ping(notifier.watchdog / 2)

    def begin(self, ready: Callable[[], None]) -> None:
        """The first look is over: call ``ready`` and say READY once everybody has come to rest."""
        self._starting, self._ready = True, ready
        self._loop.call_at(self._loop.now() + LONGEST_START, self._announce)
        self._ask_for_time()
        self.look()

    def reloading(self) -> None:
        """Everybody was told to reload: over once everybody has come to rest again."""
        if self._starting or self._stopping:
            return
        self._reloading = True
        self._notifier.reloading()
        self._ask_for_time()
        self.look()

    def reexecuting(self) -> None:
        """The next word will be the new program's."""
        self._notifier.alive()

    def stopping(self) -> None:
        self._stopping, self._starting, self._reloading = True, False, False
        self._notifier.stopping()
        self._notifier.extend(LONGER)
        self._loop.call_at(self._loop.now() + EVERY, self._ask_for_time)

    def look(self) -> None:
        """Something has become of a vassal."""
        if (self._starting or self._reloading) and not any(map(_moving, self._vassals())):
            self._announce()
        if self._loop.now() >= self._status_from:
            self._tell_status()
        elif not self._status_waits:
            self._status_waits = True
            self._loop.call_at(self._status_from, self._tell_status)

    def _tell_status(self) -> None:
        self._status_waits, self._status_from = False, self._loop.now() + STATUS_EVERY
        status = wording.summary(self._vassals())
        if status != self._status:
            self._status = status
            self._notifier.status(status)

    def _announce(self) -> None:
        if not (self._starting or self._reloading):
            return
        first, self._starting, self._reloading = self._starting, False, False
        self._notifier.ready(wording.summary(self._vassals()))
        if first:
            self._ready()

    def _ask_for_time(self) -> None:
        """While there is an end in sight: of one that even KILL does not end, nobody should wait for ever."""
        if not (self._starting or self._reloading or self._stopping):
            return
        if not self._stopping or any(one.deadline is not None for each in self._vassals() for one in each.alive):
            self._notifier.extend(LONGER)
        self._loop.call_at(self._loop.now() + EVERY, self._ask_for_time)

    def _ping(self, every: float) -> None:
        self._notifier.alive()
        self._loop.on_the_beat(every, lambda: self._ping(every))


def _moving(vassal: Vassal) -> bool:
    """Is it on its way, for the first time or to another generation?"""
    return state(vassal) in ("STARTING", "RELOADING") or (vassal.reload_wanted and bool(vassal.alive))


def comes_back(unit: str) -> bool:
    """Is this unit about to be started again, with the listeners that its fd store keeps?

    From inside ``systemctl stop``, ``restart`` and a mere TERM look the same, so the manager is asked: does it keep
    anything, and is its job with us to stop? False where it does not say: then we clean up behind us.
    """
    kept = _ask("show", "--property=NFileDescriptorStore", "--value", unit).strip()
    if not kept.isdigit() or kept == "0":
        return False
    jobs = [line.split() for line in _ask("list-jobs", "--no-legend", "--plain", "--full").splitlines()]
    return not any(row[1:3] == [unit, "stop"] for row in jobs)


def _ask(*words: str) -> str:
    scope = [] if os.geteuid() == 0 else ["--user"]
    # Where a user's manager is found.
    runtime = {name: value for name, value in os.environ.items() if name == "XDG_RUNTIME_DIR"}
    try:
        # The TERM that ends us goes to every process of the unit, and would end this one before it has answered.
        with deaf_to_signals():
            return subprocess.run(
                ["systemctl", *scope, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=ASKING,
                env={"PATH": processes.PATH, "LANG": "C", **runtime},
            ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def own_unit() -> str:
    """The service that we run in, or ""."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            return unit_of(file.read())
    except (OSError, UnicodeDecodeError):
        return ""


def unit_of(cgroup: str) -> str:
    """The service that /proc/PID/cgroup names (cgroups(7)), or ""."""
    for line in cgroup.splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if part.endswith(".service"):
                return part
    return ""
