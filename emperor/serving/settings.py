"""What a server is told, and whom it tells of its work."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

__all__ = ["Settings", "Tally", "report"]


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes. ``limit_post`` 0: no limit.

    ``drain_seconds``: after ``drain()`` the server returns within that time, whatever is still open.
    ``kept_seconds``: how long of it an idle kept connection stays open for one more request; never until the
    very end. ``header_seconds``: how long a request may take to arrive. ``patience``: how long a peer may be silent
    within a body or a response. ``connections``: how many are held at once, idle ones counted. ``stderr``: does
    ``wsgi.errors`` also go to a FastCGI web server? ``recorder``: what is put around each gateway, with what stands in
    front of its status; None: nothing.
    """

    threads: int = 1
    multiprocess: bool = False
    buffer_size: int = 65536
    limit_post: int = 0
    drain_seconds: float = 30.0
    kept_seconds: float = 3600.0
    header_seconds: float = 10.0
    patience: float = 60.0
    connections: int = 1000
    stderr: bool = False
    recorder: Optional[Callable[[Any, str], Any]] = None

    @property
    def patience_with_kept(self) -> float:
        return min(self.kept_seconds, self.drain_seconds * 0.9)


class Tally(Protocol):
    """Hears of each request, from the thread that serves it (0 to threads - 1).

    ``request``: method and URI, for whoever wants to know what a thread is busy with.
    """

    def begin(self, thread: int, request: str = "") -> None: ...

    def end(self, thread: int, failed: bool) -> None: ...


def report(text: str) -> None:
    """One line on stderr. Never raises: a log that cannot be written is no reason to stop serving."""
    try:
        sys.stderr.write(f"worker: {ascii(text)[1:-1]}\n")
        sys.stderr.flush()
    except Exception:
        return
