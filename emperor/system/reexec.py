"""To become another program in the same process (execve(2)), with chosen descriptors and no signal lost.

It promises: if the exec fails, everything is as it was; signals that arrive from ``hold_signals`` on wait, over the
exec as well, until ``release_signals`` lets them through to the handlers that the new program has by then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emperor.errors import EmperorError

HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What the daemon has handlers for, and whose default would end it."""


@dataclass(frozen=True)
class Program:
    """A command line and where it was typed."""

    words: tuple[str, ...]
    folder: str
    given: int
    """How many of the last words are the program's own arguments."""

    @classmethod
    def running(cls) -> Program:
        """This one. To be asked before anybody changes the folder; one that is gone is "/"."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = "/"
        return cls(tuple(sys.orig_argv), folder, len(sys.argv) - 1)

    @property
    def path(self) -> str:
        """The file to execute. EmperorError: it is gone."""
        word = self.words[0]
        found = shutil.which(os.path.join(self.folder, word) if "/" in word else word)
        if found is None:
            raise EmperorError(f"{word}: no such program")
        return found

    @property
    def place(self) -> str:
        """Where to start it: "/" if its folder is gone, or not for who we have become.

        If the command line names anything relative to that, the program will not find it, and says so.
        """
        return self.folder if os.path.isdir(self.folder) and os.access(self.folder, os.X_OK) else "/"

    def asked_to(self, option: str) -> list[str]:
        """The command line with one more option, before the program's own arguments."""
        cut = len(self.words) - self.given
        return [*self.words[:cut], option, *self.words[cut:]]


def hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)


def release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def send_again(signums: Iterable[int]) -> None:
    """Signals that were taken and not answered yet."""
    for signum in signums:
        os.kill(os.getpid(), signum)


def become(program: Program, keep: frozenset[int], environ: dict[str, str]) -> None:
    """Never returns if it works; OSError: it did not, and nothing has changed."""
    with _only(keep), _in(program.place):
        os.execve(program.path, program.words, environ)


@contextlib.contextmanager
def _only(keep: frozenset[int]) -> Iterator[None]:
    """Over an exec these descriptors and the standard ones stay, whatever some library has opened."""
    before = {fd: os.get_inheritable(fd) for fd in _open_descriptors()}
    try:
        for fd in before:
            os.set_inheritable(fd, fd in keep or fd <= 2)
        yield
    finally:
        for fd, inheritable in before.items():
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, inheritable)


def _open_descriptors() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        # The folder's own descriptor is closed by now.
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found.append(int(name))
    return found


@contextlib.contextmanager
def _in(folder: str) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
