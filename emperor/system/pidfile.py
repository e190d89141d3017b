"""The file that tells other programs our pid.

It promises: no link is followed; what is removed at the end is our own word, never that of another emperor.
Errors: EmperorError.
"""

from __future__ import annotations

import contextlib
import os

from emperor.errors import EmperorError

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def write(path: str) -> None:
    """0644. To be called once it is sure that this emperor, and no other, is the one."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o644)
        try:
            os.write(fd, _words())
        finally:
            os.close(fd)
    except OSError as error:
        raise EmperorError(f"--pidfile {path}: {error.strerror}") from None


def remove(path: str) -> None:
    """If it still holds our pid."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | _FLAGS)
        try:
            ours = os.read(fd, 64) == _words()
        finally:
            os.close(fd)
        if ours:
            os.unlink(path)


def _words() -> bytes:
    return b"%d\n" % os.getpid()
