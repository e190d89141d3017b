"""Log lines: cut from a stream, stamped, written to a file.

It promises: lines are bounded and escaped; writing never raises and never waits for a reader; what is lost is counted;
a file that could not be opened or was removed is opened again as soon as that works.
It never opens a path: the caller decides who may, and hands over a way to do it.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable, Sequence
from typing import Callable, Optional

from emperor.system import rotation
from emperor.system.rotation import Rotation
from emperor.text import printable

MAX_LINE = 4000
"""Bytes. With who printed it a line is no longer than ``MOST_TOLD``."""
MOST_TOLD = 4096
"""Characters of a line that a message to the emperor may have (``supervision.channel``)."""
STANDARD_ERROR = 2
LOOK_EVERY = 1.0
"""Seconds between two looks whether a file is there again."""
BARRED = 2.0
"""Seconds that a lock of another process of ours may keep a log from being moved; it is a stranger's after that."""
TURN_EVERY = 10.0
"""Seconds after a file could not be moved until that is tried again."""
PIPE_ATOMIC = 4096
"""pipe(7): poll says writable when this much fits, and a write of this much is not split (PIPE_BUF)."""


class LineCutter:
    """Bytes in, whole lines out. A line over ``MAX_LINE`` bytes is cut there."""

    def __init__(self, rest: bytes = b"") -> None:
        self._rest = rest

    @property
    def rest(self) -> bytes:
        """The beginning of a line whose end is still to come."""
        return self._rest

    def feed(self, data: bytes) -> list[str]:
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [text for line in whole for text in _pieces(line)]
        # A last carriage return may belong to a newline that is still to come.
        while len(rest.removesuffix(b"\r")) > MAX_LINE:
            lines.append(_text(rest[:MAX_LINE]))
            rest = rest[MAX_LINE:]
        self._rest = rest
        return lines

    def flush(self) -> list[str]:
        """What is left when the stream ends without a newline."""
        rest, self._rest = self._rest, b""
        return _pieces(rest) if rest else []


def _pieces(line: bytes) -> list[str]:
    line = line.removesuffix(b"\r")
    return [_text(line[start : start + MAX_LINE]) for start in range(0, len(line), MAX_LINE)] or [""]


def _text(piece: bytes) -> str:
    return printable(piece.decode("utf-8", "backslashreplace"))


def fitting(lines: Sequence[str]) -> list[str]:
    """Escapes make lines longer; none of what they say is left out for that."""
    return [line[at : at + MOST_TOLD] for line in lines for at in range(0, len(line) or 1, MOST_TOLD)]


def stamp(seconds: Optional[float] = None) -> str:
    """Local time to the millisecond with its offset, as journalctl's short-iso-precise does."""
    seconds = time.time() if seconds is None else seconds
    local = time.localtime(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{int(seconds * 1000) % 1000:03d}" + time.strftime("%z", local)


def told_of(lost: int) -> str:
    """The line that stands in the place of those that were lost."""
    return f"{stamp()} [{lost} lines lost]"


def word_on(path: str, trouble: str) -> str:
    """A vassal's word to its emperor on the log that it keeps itself, a line like others."""
    return f"logto {path}: {trouble}"


def written_again(path: str) -> str:
    return word_on(path, "is written again")


class LogFile:
    """A file that lines are appended to. ``opener`` gives a descriptor, at first and at every ``reopen``.

    ``rotation``: how it makes room for a new one; None: it grows. ``dropped``: how many lines were lost so far. Once
    there is room again, ``tell`` says in the file how many were. ``error``: why it is not open, or not opened anew;
    ``stuck``: why it is not rotated.
    """

    def __init__(
        self,
        opener: Callable[[], int],
        tell: Callable[[int], str] = told_of,
        rotation: Optional[Rotation] = None,
    ) -> None:
        self._opener, self._tell, self._rotation = opener, tell, rotation
        self._fd = -1
        self._untold = 0
        self._torn = self._closed = False
        self._look_at = self._turn_at = 0.0
        self._barred_at: Optional[float] = None
        self._refusal = ""
        self.dropped = 0
        self.error = self.stuck = ""
        self.reopen()

    @property
    def trouble(self) -> str:
        """What is wrong with it now, in words that stay the same as long as it is; "": nothing."""
        if self.error:
            return self.error
        if self._untold:
            return f"{self._refusal or 'it takes no more'} -- lines are lost"
        return f"cannot be rotated: {self.stuck} -- it grows" if self.stuck else ""

    def reopen(self) -> None:
        """Open anew, for logrotate. If that fails the old file stays in use, and ``error`` says why."""
        self._look_at = time.monotonic() + LOOK_EVERY
        try:
            fd = self._opener()
        except OSError as error:
            self.error = error.strerror or str(error)
            return
        self._drop()
        self._fd, self.error, self._torn = fd, "", False

    def write(self, line: str) -> bool:
        """False: it is lost."""
        return self._write([_bytes(line)])

    def write_all(self, lines: Iterable[str]) -> None:
        """The same with fewer system calls. With a line that the disk or a reader does not take whole, those that were
        to be written together with it are lost too: at most ``PIPE_ATOMIC`` bytes."""
        most = PIPE_ATOMIC if self._rotation is None else min(PIPE_ATOMIC, self._rotation.most)
        piece: list[bytes] = []
        size = 0
        for data in map(_bytes, lines):
            if piece and size + len(data) > most:
                self._write(piece)
                piece, size = [], 0
            piece.append(data)
            size += len(data)
        if piece:
            self._write(piece)

    def _write(self, piece: Sequence[bytes]) -> bool:
        data = b"".join(piece)
        if not self._closed:
            self.heal()
            self._make_room(len(data))
        self._tell_lost()
        lost = len(piece) - (0 if self._untold else _whole(piece, self._put(data)))
        self.dropped += lost
        self._untold += lost
        return not lost

    def catch_up(self) -> None:
        """Without a line of anybody's: is there room again for the word on those that were lost?"""
        if not self._closed:
            self.heal()
            self._tell_lost()

    def _tell_lost(self) -> None:
        if self._untold:
            told = _bytes(self._tell(self._untold))
            if self._put(told) == len(told):
                self._untold = 0

    def heal(self) -> None:
        """Open it again if it is not there, once in ``LOOK_EVERY`` seconds at most."""
        if time.monotonic() < self._look_at or self._closed:
            return
        self._look_at = time.monotonic() + LOOK_EVERY
        if self._fd > STANDARD_ERROR and rotation.is_removed(self._fd):
            # What is written to it from now on is lost, and is to be counted as that.
            self._drop()
            self.reopen()
        elif self.error:
            self.reopen()

    def _make_room(self, size: int) -> None:
        if self._rotation is None or self._fd <= STANDARD_ERROR or time.monotonic() < self._turn_at:
            return
        try:
            if not self._rotation.due(self._fd, size):
                return
            old = os.fstat(self._fd)
            now = time.monotonic()
            if not self._rotation.turn(self._fd, self._barred_at is None or now < self._barred_at + BARRED):
                self._barred_at = self._barred_at or now
                return
        except OSError as error:
            self.stuck, self._turn_at = error.strerror or str(error), time.monotonic() + TURN_EVERY
            return
        self.stuck, self._barred_at = "", None
        self.reopen()
        if self.error:
            # Or each line would be a trial.
            self._turn_at = self._look_at
        else:
            rotation.make_alike(self._fd, old)

    def _put(self, data: bytes) -> int:
        """How many bytes of it were written."""
        mend = b"\n" if self._torn else b""
        done, self._refusal = _append(self._fd, mend + data)
        if done:
            # A disk that is nearly full takes the beginning of a line: the next one is not to be glued to it.
            self._torn = not (mend + data).endswith(b"\n", 0, done)
        return max(0, done - len(mend))

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        if self._fd > STANDARD_ERROR:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1


def append(fd: int, line: str) -> bool:
    """Write one line without ever waiting; False: it is lost (full disk, dead or slow reader)."""
    data = _bytes(line)
    return _append(fd, data)[0] == len(data)


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _whole(lines: Sequence[bytes], size: int) -> int:
    """How many of these lines the first ``size`` bytes of them hold."""
    for number, line in enumerate(lines):
        size -= len(line)
        if size < 0:
            return number
    return len(lines)


def _append(fd: int, data: bytes) -> tuple[int, str]:
    """How many bytes of it were written, and why not all, as far as the kernel says."""
    done = 0
    try:
        while done < len(data):
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if not poll.poll(0):
                break
            done += os.write(fd, data[done : done + PIPE_ATOMIC])
    except OSError as error:
        return done, error.strerror or str(error)
    except ValueError:
        pass
    return done, ""


def open_for_append(path: str) -> int:
    """As the user who runs us; never through a symbolic link at the end of the path, never a FIFO that would block."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags, 0o640)
