"""Somebody else looks at what may not answer: a fork that looks, tells what it saw, and ends.

It promises: the loop waits for no look. One that hangs stands in the way of its own ``key`` alone: there is one at a
time for each, and it is as old as it has to become. It holds nothing of ours open, so that what it waits for keeps
neither a socket nor a lock of an emperor that has ended, and dies with us.

The fork is made while closing and watching threads are there: it runs nothing that takes a lock of theirs, and never
comes back.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from emperor.system import forks, prctl, title
from emperor.system.eventloop import Loop

MOST = 64
"""Looks at the same time; who comes later asks again."""
REAP_AGAIN = 0.1
LINGER = 2.0
"""Seconds in which those that were sent away are expected to be gone. What hangs in the kernel may take for ever."""

Question = Callable[[], Any]
"""Its answer can be pickled. It is asked in the fork."""


@dataclass
class Look:
    """One fork. ``since``: monotonic seconds."""

    pid: int
    reading: int
    then: Callable[[Any], None]
    since: float
    heard: bytearray = field(default_factory=bytearray)


class Scouts:
    """``bug``: hears what went wrong in us, or in a look."""

    def __init__(self, loop: Loop, bug: Callable[[Exception], None]) -> None:
        self.loop, self._bug = loop, bug
        self._looks: dict[Hashable, Look] = {}
        self._unburied: set[int] = set()
        self._sent_away: float | None = None

    @property
    def pids(self) -> set[int]:
        """Of all that are not reaped."""
        return self._unburied

    def ask(self, key: Hashable, question: Question, then: Callable[[Any], None]) -> bool:
        """``then`` hears the answer, in the loop. False: somebody still looks for this ``key``, or nobody can."""
        if key in self._looks or len(self._looks) >= MOST:
            return False
        us, (reading, writing) = os.getpid(), os.pipe2(os.O_CLOEXEC)
        try:
            pid = forks.fork(signal.valid_signals())
        except OSError:
            os.close(reading)
            os.close(writing)
            return False
        if pid == 0:
            _look(question, writing, us)
        os.close(writing)
        os.set_blocking(reading, False)
        self._unburied.add(pid)
        self._looks[key] = Look(pid, reading, then, time.monotonic())
        self.loop.watch(reading, lambda: self._hear(key))
        return True

    def waits(self, key: Hashable) -> float:
        """For how many seconds a look has been on its way; 0.0: there is none."""
        look = self._looks.get(key)
        return time.monotonic() - look.since if look is not None else 0.0

    def dismiss(self) -> bool:
        """Nobody waits for any of them: they are killed. Are they gone, or given up?"""
        for key in list(self._looks):
            self._end(key)
        if self._sent_away is None:
            self._sent_away = time.monotonic()
        if not self._unburied or time.monotonic() - self._sent_away > LINGER:
            self._sent_away = None
            return True
        return False

    def _hear(self, key: Hashable) -> None:
        look = self._looks[key]
        with contextlib.suppress(BlockingIOError):
            data = os.read(look.reading, 1 << 20)
            look.heard += data
            if data:
                return
            self._end(key)
            self._tell(look)

    def _tell(self, look: Look) -> None:
        if not look.heard:
            # Killed, or out of memory: whoever asks again may have more luck.
            return
        try:
            # It is our own program with our own rights that says it.
            answer = pickle.loads(look.heard)
            if isinstance(answer, Exception):
                raise answer
            look.then(answer)
        except Exception as error:
            self._bug(error)

    def _end(self, key: Hashable) -> None:
        look = self._looks.pop(key)
        self.loop.unwatch(look.reading)
        os.close(look.reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(look.pid, signal.SIGKILL)
        self._bury(look.pid)

    def _bury(self, pid: int) -> None:
        if forks.wait(pid)[0] == pid:
            self._unburied.discard(pid)
        else:
            self.loop.call_at(self.loop.now() + REAP_AGAIN, lambda: self._bury(pid))


def _look(question: Question, writing: int, asker: int) -> NoReturn:
    """Whatever happens, this process is never again what its parent was."""
    try:
        _let_go(writing, asker)
        answer: Any
        try:
            answer = question()
        except Exception as error:
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        data = memoryview(pickle.dumps(answer))
        while data:
            data = data[os.write(writing, data) :]
    finally:
        os._exit(0)


def _let_go(writing: int, asker: int) -> None:
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    if not prctl.die_with_parent(signal.SIGKILL, asker):
        os._exit(0)
    title.call_itself("emperor", "scout")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    os.closerange(3, writing)
    os.closerange(writing + 1, 1 << 20)
