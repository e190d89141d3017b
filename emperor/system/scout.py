"""Somebody else looks at what may not answer: a fork that looks, tells what it saw, and ends.

It promises: the loop waits for no look. One that hangs stands in the way of its own ``key`` alone: there is one at a
time for each; and whoever makes many of them hang takes no more than a few places. Who is silent for too long, grows
too large or tells too much is killed. It holds nothing of ours open, so that what it waits for keeps neither a socket
nor a lock of an emperor that has ended, and dies with us.

The fork is made while closing and watching threads are there: it runs nothing that takes a lock of theirs, and never
comes back.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import struct
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from emperor.system import forks, prctl, title
from emperor.system.eventloop import Loop, Timer

MOST = 256
"""Looks at the same time; who comes later asks again."""

EACH = 4
"""Of these, so many for whatever one user answers for."""

CROWDED = 64
"""While there are so many looks, everybody has one place at most: some are left for who has none yet."""

DEADLINE = 60.0
"""Seconds from one answer to the next, after which a look is ended. What hangs in the kernel goes on to take its place
until it is gone."""

MOST_HEARD = 8 << 20
"""Bytes of one answer."""

MOST_MEMORY = 256 << 20
"""Bytes that a look may need besides those of the program that it is a fork of."""

REAP_AGAIN = 0.1
LINGER = 2.0
"""Seconds in which those that were sent away are expected to be gone. What hangs in the kernel may take for ever."""

Question = Callable[[], Any]
"""Its answer can be pickled, and is never None. It is asked in the fork."""

_SIZE = struct.Struct("=Q")


class Failed(NamedTuple):
    """In place of an answer: the question raised."""

    words: str


@dataclass
class Look:
    """One fork. ``since``: monotonic seconds, of its last answer."""

    pid: int
    reading: int
    whose: Hashable
    names: tuple[Hashable, ...]
    then: Callable[[dict[Any, Any]], None]
    over: Callable[[], None]
    since: float
    told: int = 0
    heard: bytearray = field(default_factory=bytearray)
    timer: Timer | None = None


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

    def ask(self, key: Hashable, question: Question, then: Callable[[Any], None], whose: Hashable = None) -> bool:
        """``then`` hears the answer, in the loop. False: somebody still looks for this ``key``, or nobody can.

        ``whose``: who may keep the look from ending; None: whoever has this key.
        """

        def told(answers: dict[Any, Any]) -> None:
            if answers[key] is not None:
                then(answers[key])

        return self.ask_each(key, {key: question}, told, lambda: None, whose)

    def ask_each(
        self,
        key: Hashable,
        questions: Mapping[Any, Question],
        then: Callable[[dict[Any, Any]], None],
        over: Callable[[], None],
        whose: Hashable = None,
    ) -> bool:
        """Many, one after another: ``then`` hears of each as soon as it is there, with None for one that failed, and
        ``over`` once that the look has ended, perhaps before all were answered."""
        whose = ("key", key) if whose is None else whose
        if key in self._looks or not self._has_place(whose):
            return False
        us, (reading, writing) = os.getpid(), os.pipe2(os.O_CLOEXEC)
        try:
            pid = forks.fork(signal.valid_signals())
        except OSError:
            os.close(reading)
            os.close(writing)
            return False
        if pid == 0:
            _look(tuple(questions.values()), writing, us)
        os.close(writing)
        os.set_blocking(reading, False)
        self._unburied.add(pid)
        look = self._looks[key] = Look(pid, reading, whose, tuple(questions), then, over, time.monotonic())
        self._wait(look)
        self.loop.watch(reading, lambda: self._hear(key))
        return True

    def looks(self, key: Hashable) -> bool:
        """Is one on its way?"""
        return key in self._looks

    def waits(self, key: Hashable) -> float:
        """For how many seconds a look has been on its way to its next answer; 0.0: there is none."""
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

    def _has_place(self, whose: Hashable) -> bool:
        theirs = sum(look.whose == whose for look in self._looks.values())
        return len(self._looks) < MOST and theirs < (EACH if len(self._looks) < CROWDED else 1)

    def _wait(self, look: Look) -> None:
        """Killed, it tells us by the end of its pipe that it is gone; until then it keeps its place."""
        if look.timer is not None:
            look.timer.cancel()
        look.since = time.monotonic()
        look.timer = self.loop.call_at(self.loop.now() + DEADLINE, lambda: _kill(look.pid))

    def _hear(self, key: Hashable) -> None:
        look = self._looks[key]
        try:
            data = os.read(look.reading, 1 << 20)
        except BlockingIOError:
            return
        look.heard += data
        answers = self._understood(look)
        if not data or look.told == len(look.names) or _announced(look.heard) > MOST_HEARD:
            self._end(key)
        elif answers:
            self._wait(look)
        self._guarded(lambda: look.then(answers) if answers else None)
        if key not in self._looks:
            self._guarded(look.over)

    def _understood(self, look: Look) -> dict[Any, Any]:
        """The answers that are there as a whole."""
        answers: dict[Any, Any] = {}
        while len(look.heard) >= _SIZE.size + (size := _announced(look.heard)) and size:
            frame = bytes(look.heard[_SIZE.size : _SIZE.size + size])
            del look.heard[: _SIZE.size + size]
            # It is our own program with our own rights that says it.
            answer = pickle.loads(frame)
            if isinstance(answer, Failed):
                self._bug(RuntimeError(answer.words))
                answer = None
            answers[look.names[look.told]] = answer
            look.told += 1
        return answers

    def _guarded(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:
            self._bug(error)

    def _end(self, key: Hashable) -> None:
        look = self._looks.pop(key)
        if look.timer is not None:
            look.timer.cancel()
        self.loop.unwatch(look.reading)
        os.close(look.reading)
        _kill(look.pid)
        self._bury(look.pid)

    def _bury(self, pid: int) -> None:
        if forks.wait(pid)[0] == pid:
            self._unburied.discard(pid)
        else:
            self.loop.call_at(self.loop.now() + REAP_AGAIN, lambda: self._bury(pid))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _announced(heard: bytearray) -> int:
    """How long the answer is that begins there; 0: that is not known yet."""
    return int(_SIZE.unpack_from(heard)[0]) if len(heard) >= _SIZE.size else 0


def _look(questions: tuple[Question, ...], writing: int, asker: int) -> NoReturn:
    """Whatever happens, this process is never again what its parent was."""
    try:
        _let_go(writing, asker)
        for question in questions:
            answer: Any
            try:
                answer = question()
            except MemoryError:
                # Whoever makes us look at so much shall not fill our log as well.
                break
            except Exception as error:
                answer = Failed(f"{type(error).__name__}: {error}")
            text = pickle.dumps(answer)
            data = memoryview(_SIZE.pack(len(text)) + text)
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
    _stay_small()


def _stay_small() -> None:
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", "rb") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        limit = now + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
