"""What both apps answer: the request's own number, and who answers it.

``NUMBER PID BEGUN IMPORT VERSION LENGTH SUM``: the worker's pid; when the app's import began, in seconds of the
monotonic clock, and how long it took; the version of the app's code; length and CRC-32 of the request's body.
"""

from __future__ import annotations

import os
import time
import zlib
from typing import Any

PADDING = 256 * 1024
"""Bytes behind the line where the path begins with /big/."""

WORK = float(os.environ.get("WORK", "0"))
"""Seconds that a request takes."""


def answer(path: str, body: Any, begun: float, took: float, version: str) -> bytes:
    """``body``: with ``read``, as ``wsgi.input``."""
    length, total = 0, 0
    while piece := body.read(65536):
        length, total = length + len(piece), zlib.crc32(piece, total)
    if WORK:
        time.sleep(WORK)
    kind, _, number = path.strip("/").partition("/")
    line = f"{number} {os.getpid()} {begun:.6f} {took:.6f} {version} {length} {total}\n".encode()
    return line + b"x" * PADDING if kind == "big" else line
