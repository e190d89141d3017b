"""A program on a terminal of its own, and what stands on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Sequence
from typing import Callable

from tests.e2e.harness.waiting import DEADLINE, wait_for

_STEERING = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])|[\x0e\x0f]")


class Terminal:
    """A terminal of ``columns`` by ``rows``. ``screen``: the words of all that was written on it, steering left out."""

    def __init__(self, command: Sequence[str], columns: int = 200, rows: int = 50) -> None:
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {**os.environ, "TERM": "linux", "LINES": str(rows), "COLUMNS": str(columns)}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        os.close(theirs)
        self.screen = ""

    def look(self) -> str:
        """What has been written until now."""
        while select.select([self._end], [], [], 0)[0]:
            try:
                data = os.read(self._end, 65536)
            except OSError:  # its program has ended
                break
            self.screen += _STEERING.sub(" ", data.decode(errors="replace"))
        return self.screen

    def shows(self, good: Callable[[str], object], what: str) -> str:
        return wait_for(self.look, good, what)

    def forget(self) -> None:
        """From now on, only what comes."""
        self.look()
        self.screen = ""

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        wait_for(lambda: (self.look(), self.process.poll())[1], lambda code: code is not None, "its end", DEADLINE)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._end)
