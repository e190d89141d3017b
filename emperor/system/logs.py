"""Log lines: cut from a stream, stamped, kept in a ring, written to a file.

It promises: lines are bounded and escaped; writing never raises and never waits for a reader; what is lost is counted.
It never opens a path: the caller decides who may, and hands over a way to do it.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import time
from collections.abc import Iterable
from typing import Callable, Optional

from emperor.text import printable

MAX_LINE = 4096
STANDARD_ERROR = 2
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


class Ring:
    """The last lines, for ``status`` and ``logs``; numbered, so that a follower knows where it was."""

    def __init__(self, size: int = 500) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=size)
        self.count = 0

    def refill(self, lines: Iterable[str], count: int) -> None:
        """As another ring was when ``count`` lines had gone through it."""
        self._lines.extend(lines)
        self.count = count

    def add(self, line: str) -> None:
        self._lines.append(line)
        self.count += 1

    def clear(self) -> None:
        self._lines.clear()

    def last(self, wanted: int) -> list[str]:
        return list(self._lines)[-wanted:] if wanted > 0 else []

    def tail(self, size: int) -> tuple[str, ...]:
        """As many of the last lines as ``size`` characters hold."""
        found: list[str] = []
        for line in reversed(self._lines):
            size -= len(line)
            if size < 0:
                break
            found.append(line)
        return tuple(reversed(found))

    def since(self, number: int) -> list[str]:
        """The lines after the ``number``-th that are still there."""
        return self.last(min(self.count - number, len(self._lines)))


def stamp(seconds: Optional[float] = None) -> str:
    """Local time to the millisecond with its offset, as journalctl's short-iso-precise does."""
    seconds = time.time() if seconds is None else seconds
    local = time.localtime(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{int(seconds * 1000) % 1000:03d}" + time.strftime("%z", local)


def told_of(lost: int) -> str:
    """The line that stands in the place of those that were lost."""
    return f"{stamp()} [{lost} lines lost]"


class LogFile:
    """A file that lines are appended to. ``opener`` gives a descriptor, at first and at every ``reopen``.

    ``dropped``: how many lines were lost so far. Once there is room again, ``tell`` says in the file how many were.
    """

    def __init__(self, opener: Callable[[], int], tell: Callable[[int], str] = told_of) -> None:
        self._opener, self._tell = opener, tell
        self._fd = -1
        self._untold = 0
        self._torn = False
        self.dropped = 0
        self.error = ""
        self.reopen()

    def reopen(self) -> None:
        """Open anew, for logrotate. If that fails the old file stays in use, and ``error`` says why."""
        try:
            fd = self._opener()
        except OSError as error:
            self.error = error.strerror or str(error)
            return
        self.close()
        self._fd, self.error, self._torn = fd, "", False

    def write(self, line: str) -> bool:
        """False: it is lost."""
        if self._untold and self._put(self._tell(self._untold)):
            self._untold = 0
        written = not self._untold and self._put(line)
        if not written:
            self.dropped += 1
            self._untold += 1
        return written

    def _put(self, line: str) -> bool:
        data = _bytes(f"\n{line}" if self._torn else line)
        done = _append(self._fd, data)
        if done:
            # A disk that is nearly full takes the beginning of a line: the next one is not to be glued to it.
            self._torn = done < len(data)
        return done == len(data)

    def close(self) -> None:
        if self._fd > STANDARD_ERROR:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1


def append(fd: int, line: str) -> bool:
    """Write one line without ever waiting; False: it is lost (full disk, dead or slow reader)."""
    data = _bytes(line)
    return _append(fd, data) == len(data)


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _append(fd: int, data: bytes) -> int:
    """How many bytes of it were written."""
    done = 0
    with contextlib.suppress(OSError, ValueError):
        while done < len(data):
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if not poll.poll(0):
                break
            done += os.write(fd, data[done : done + PIPE_ATOMIC])
    return done


def open_for_append(path: str) -> int:
    """As the user who runs us; never through a symbolic link at the end of the path, never a FIFO that would block."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags, 0o640)
