"""What ``ps`` and ``top`` call this process.

It promises: a title holds a blank, so that no vassal can be named so that it passes for another program; it tells no
more than the vassal's name. Where /proc is not there, or not to be written, nothing happens.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib

MOST = 15
"""Bytes, as the kernel keeps them (proc(5), ``/proc/pid/comm``)."""


def title(name: str, role: str) -> str:
    """``blog worker 1``; of a long name the beginning."""
    return f"{name[: MOST - 1 - len(role)]} {role}"


def call_itself(name: str, role: str) -> None:
    """Of the main thread, which is what ``ps`` shows."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii", errors="replace") as file:
        file.write(title(name, role))
