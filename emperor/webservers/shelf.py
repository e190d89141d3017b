"""The files of one web server's configuration, read within bounds.

Whoever wrote them: a device, a pipe, a file without end, a folder that is its own descendant end in one line of
``flaws``, never in an exception and never in a wait. Nothing is executed.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from collections.abc import Callable, Iterator

LARGEST = 1024 * 1024
"""Bytes of one file."""
MOST_BYTES = 8 * LARGEST
MOST_FILES = 2000
MOST_FLAWS = 50
DEEPEST = 20
"""Includes within includes, and blocks within blocks are bounded elsewhere alike."""
PATIENCE = 10.0
"""Seconds for the whole."""

_MAGIC = re.compile(r"[*?\[]")


class Shelf:
    """What was read is in ``files``, what could not be is in ``flaws``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.files: list[str] = []
        self.folders: list[str] = []
        self.flaws: list[str] = []
        self._clock = clock
        self._until = clock() + PATIENCE
        self._bytes = MOST_BYTES
        self._stopped = False

    def flaw(self, where: object, what: str) -> None:
        line = f"{where}: {what}"
        if len(self.flaws) < MOST_FLAWS and line not in self.flaws:
            self.flaws.append(line)

    def text(self, path: str, asked: object = "") -> str | None:
        """None: it could not be read, which is a flaw. ``asked``: who names it."""
        if not self.goes_on(path):
            return None
        try:
            data = self._read(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            self.flaw(asked or path, f"cannot be read: {reason}" if not asked else f"{path}: {reason}")
            return None
        self.files.append(path)
        if len(data) > LARGEST or len(data) > self._bytes:
            self.flaw(path, "too long to be read whole")
            return None
        self._bytes -= len(data)
        return data.decode("utf-8", "replace")

    def goes_on(self, path: str = "") -> bool:
        """Is there time and room for more? What is left out is a flaw, once."""
        if self._stopped:
            return False
        if self._clock() > self._until or len(self.files) >= MOST_FILES:
            self._stopped = True
            self.flaw(path or "the configuration", "too much to be read whole -- what comes from here on is not known")
        return not self._stopped

    def matching(self, pattern: str) -> list[str]:
        """As glob(3): sorted, and without those that begin with a dot. One without a wildcard is itself."""
        if not _MAGIC.search(pattern):
            return [pattern]
        found = [""]
        for part in pattern.split("/"):
            found = [path for base in found for path in self._below(base, part)][:MOST_FILES]
        return sorted(one for one in found if one)

    def _below(self, base: str, part: str) -> Iterator[str]:
        here = f"{base}/" if base else "/"
        if not part:
            yield base
        elif not _MAGIC.search(part):
            yield here + part
        elif self.goes_on(here):
            self.folders.append(here)
            for name in self._names(here):
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
                    yield here + name

    @staticmethod
    def _names(folder: str) -> list[str]:
        try:
            return os.listdir(folder)
        except (OSError, ValueError):
            return []

    @staticmethod
    def _read(path: str) -> bytes:
        # To open a device does something to some of them; what is held is looked at, and that very file is opened.
        held = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(held).st_mode):
                raise OSError(0, "not a file")
            descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        finally:
            os.close(held)
        with open(descriptor, "rb") as file:
            return file.read(LARGEST + 1)
