"""What is known of a finished request, and the words of the log that say it: numbers and times, all of them ours.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple


class Facts(NamedTuple):
    """One finished request. ``environ``: as the app was given it.

    ``head``: as it was sent, with the line that tells the status; ``body``: bytes sent behind it, in ``writes`` pieces;
    ``broken``: the peer did not take all of it. ``begun``: seconds since 1970. ``number``: of this worker's requests.
    ``worker``: 1 is the first. ``memory``: address space and resident memory of the process, in bytes.
    """

    environ: Mapping[str, Any]
    status: int
    head: bytes
    body: int
    writes: int
    file: bool
    broken: bool
    begun: float
    seconds: float
    number: int
    core: int
    pid: int
    worker: int
    memory: Callable[[], tuple[int, int]]


Word = Callable[[Facts, int], str]
"""Of the facts, in at most so many characters."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _clf_time(second: int) -> str:
    """Whatever the app's locale is: ``%b`` would follow it."""
    at = time.localtime(second)
    month, zone = _MONTHS[at.tm_mon - 1], time.strftime("%z", at)
    return f"{at.tm_mday:02d}/{month}/{at.tm_year}:{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {zone}"


BY_THE_SECOND: Mapping[str, Callable[[int], str]] = {
    "ltime": _clf_time,
    "ftime": _clf_time,
    "ctime": time.ctime,
    "time": str,
}


def once_a_second(form: Callable[[int], str]) -> Word:
    last = (-1, "")

    def word(facts: Facts, room: int) -> str:
        nonlocal last
        second = int(facts.begun)
        # One look and one change: another thread may be here as well.
        known = last
        if known[0] != second:
            last = known = (second, form(second))
        return known[1]

    return word


def _pairs(facts: Facts) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in facts.environ.items() if not name.startswith("wsgi.")]


OWN: Mapping[str, Word] = {
    "status": lambda facts, room: str(facts.status),
    "rsize": lambda facts, room: str(facts.body),
    "bytes": lambda facts, room: str(facts.body) if facts.body else "-",
    "hsize": lambda facts, room: str(len(facts.head)),
    "size": lambda facts, room: str(len(facts.head) + facts.body),
    "cl": lambda facts, room: str(int(facts.environ.get("CONTENT_LENGTH") or 0)),
    "micros": lambda facts, room: str(int(facts.seconds * 1e6)),
    "msecs": lambda facts, room: str(int(facts.seconds * 1e3)),
    "secs": lambda facts, room: f"{facts.seconds:f}",
    "tmsecs": lambda facts, room: str(int(facts.begun * 1e3)),
    "tmicros": lambda facts, room: str(int(facts.begun * 1e6)),
    "epoch": lambda facts, room: str(int(facts.begun + facts.seconds)),
    "pid": lambda facts, room: str(facts.pid),
    "wid": lambda facts, room: str(facts.worker),
    "req": lambda facts, room: str(facts.number),
    "core": lambda facts, room: str(facts.core),
    "switches": lambda facts, room: str(facts.writes),
    "via": lambda facts, room: "via sendfile() " if facts.file else "",
    # uWSGI counts names and values, each with its length in front.
    "vars": lambda facts, room: str(2 * len(_pairs(facts))),
    "pktsize": lambda facts, room: str(sum(len(name) + len(value) + 4 for name, value in _pairs(facts))),
    "modifier1": lambda facts, room: "0",
    "modifier2": lambda facts, room: "0",
    "headers": lambda facts, room: str(max(0, facts.head.count(b"\r\n") - 2)),
    "werr": lambda facts, room: str(int(facts.broken)),
    "vsz": lambda facts, room: str(facts.memory()[0]),
    "rss": lambda facts, room: str(facts.memory()[1]),
    "vszM": lambda facts, room: str(facts.memory()[0] >> 20),
    "rssM": lambda facts, room: str(facts.memory()[1] >> 20),
}
