"""``wsgi.errors``: a text stream that several threads write to, and that knows whether something still waits in it.

It promises: a line reaches the log whole, in however many pieces it was written (``print`` makes one of each argument)
and whoever else writes meanwhile. Only whole lines leave by themselves, and the next request may be an hour away; to
flush after every request would cost all of them for the few that write. Source: PEP 3333 "Input and Error Streams".
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from threading import get_ident
from typing import Any, Callable, Optional, TextIO

__all__ = ["ErrorStream"]

_LONGEST = 8192
"""Characters of a line that are gathered; of a longer one the pieces leave as they come."""


class ErrorStream:
    """``pending``: who wrote since its last flush, by thread, and the beginning of a line that it has not ended. It
    needs no lock: one call takes a thread's text out, and nobody else's is touched.

    ``copy``: hears every text that leaves, too (FastCGI's STDERR).
    """

    __slots__ = ("_copy", "_stream", "pending")

    def __init__(self, stream: TextIO, copy: Optional[Callable[[str], object]] = None) -> None:
        self._stream = stream
        self._copy = copy
        self.pending: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Raises ``TypeError`` for anything but text, and what the log raises."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors: it takes str, not {type(text).__name__}")
        thread = get_ident()
        line = self.pending.pop(thread, "") + text
        end = len(line) if len(line) > _LONGEST else line.rfind("\n") + 1
        try:
            if end:
                self._let_go(line[:end])
        finally:
            self.pending[thread] = line[end:]
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """All that this thread wrote; of other threads what no flush of theirs will care for."""
        own = get_ident()
        # In this order: what another thread writes meanwhile is pending again.
        for thread in tuple(self.pending):
            if thread == own or not (self.pending.get(thread) and _lives(thread)):
                text = self.pending.pop(thread, "")
                if text:
                    self._let_go(text)
        self._stream.flush()

    def settle(self) -> None:
        """Flush. A log that cannot be written is no reason to lose a request."""
        with contextlib.suppress(Exception):
            self.flush()

    def _let_go(self, text: str) -> None:
        self._stream.write(text)
        if self._copy is not None:
            self._copy(text)

    def __getattr__(self, name: str) -> Any:
        """Libraries ask a stream for ``encoding``, ``isatty`` and more; they get the real one's."""
        return getattr(self._stream, name)


def _lives(thread: int) -> bool:
    return any(one.ident == thread for one in threading.enumerate())
