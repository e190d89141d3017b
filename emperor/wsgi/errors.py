"""``wsgi.errors``: a text stream that knows whether something is still waiting in it.

Only whole lines leave a buffered stream by themselves, and the next request may be an hour away; to flush after every
request would cost all of them for the few that write. Source: PEP 3333 "Input and Error Streams".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Callable, Optional, TextIO

__all__ = ["ErrorStream"]


class ErrorStream:
    """``pending``: something was written since the last flush.

    ``copy``: hears every text, too (FastCGI's STDERR).
    """

    __slots__ = ("_copy", "_stream", "pending")

    def __init__(self, stream: TextIO, copy: Optional[Callable[[str], object]] = None) -> None:
        self._stream = stream
        self._copy = copy
        self.pending = False

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self.pending = True
        if self._copy is not None:
            self._copy(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        # In this order: what another thread writes meanwhile is pending again.
        self.pending = False
        self._stream.flush()

    def settle(self) -> None:
        """Flush. A log that cannot be written is no reason to lose a request."""
        with contextlib.suppress(Exception):
            self.flush()

    def __getattr__(self, name: str) -> Any:
        """Libraries ask a stream for ``encoding``, ``isatty`` and more; they get the real one's."""
        return getattr(self._stream, name)
