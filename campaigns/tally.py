"""What was seen, and what it comes to: counts, percentiles, bounds. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from campaigns.wires import Stamp


class Trouble(Exception):
    """A campaign cannot go on, or its figures mean nothing; the text says why."""


class Answer(NamedTuple):
    client: str
    method: str
    number: str
    start: float
    end: float
    stamp: Stamp


class Failure(NamedTuple):
    client: str
    method: str
    number: str
    start: float
    end: float
    why: str
    refused: bool = False
    """Nobody was at the app's own socket."""


@dataclass(frozen=True)
class Tally:
    """``gets``, ``posts``: requests that were made, the failed ones among them."""

    gets: int = 0
    posts: int = 0
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.gets + other.gets, self.posts + other.posts, self.failures + other.failures)

    def failed(self, method: str) -> int:
        return sum(1 for one in self.failures if one.method == method)

    @property
    def refused(self) -> int:
        return sum(1 for one in self.failures if one.refused)


class Kill(NamedTuple):
    """``sent``: when it was sent. ``dead``: when the process was seen to be gone, and with it all its descriptors.
    ``held``: how many connections it had accepted and not closed."""

    sent: float
    dead: float
    held: int = 0


def excuses(failure: Failure, kills: Sequence[Kill]) -> tuple[int, ...]:
    """The kills, by number, that fell into the time of this request."""
    return tuple(n for n, one in enumerate(kills) if failure.start <= one.dead and one.sent <= failure.end)


def unexcused(failures: Iterable[Failure], kills: Sequence[Kill]) -> tuple[Failure, ...]:
    """Failures of requests that no kill can have hit."""
    return tuple(one for one in failures if not excuses(one, kills))


def by_kill(failures: Iterable[Failure], kills: Sequence[Kill]) -> Counter[int]:
    """How many failures each kill, by number, has to answer for.

    One that several excuse is put down to the one that has the most connections left to explain it.
    """
    found: Counter[int] = Counter()
    for failure in sorted(failures, key=lambda one: one.end):
        if excused := excuses(failure, kills):
            found[max(excused, key=lambda number: kills[number].held - found[number])] += 1
    return found


def overdone(failures: Iterable[Failure], kills: Sequence[Kill]) -> int:
    """Failures beyond the number of connections that the process held as it was killed."""
    return sum(max(0, number - kills[kill].held) for kill, number in by_kill(failures, kills).items())


class Spread(NamedTuple):
    """Of a sample, in its own unit."""

    p50: float
    p95: float
    p99: float
    most: float
    size: int


def spread(values: Iterable[float]) -> Spread:
    """By nearest rank. Raises Trouble for an empty sample."""
    ranked = sorted(values)
    if not ranked:
        raise Trouble("nothing was measured")

    def rank(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

    return Spread(rank(0.50), rank(0.95), rank(0.99), ranked[-1], len(ranked))


_LINE = re.compile(r"\[(?:error|crit|alert|emerg)\] (.*)")
_UPSTREAM = re.compile(r'upstream: "')
_REQUEST = re.compile(r'request: "\S+ /\w+/(\S+) HTTP')
_CONNECT = re.compile(r"connect\(\) to \S+ failed")
_DIGITS = re.compile(r"\d+")


class Gazette(NamedTuple):
    """What nginx's error log says. ``refused``, ``broken``: by the requests' numbers; ``other``: any other line."""

    refused: tuple[str, ...]
    broken: tuple[str, ...]
    other: tuple[str, ...]


def gazette(log: str) -> Gazette:
    """A request may stand there twice: nginx tries a GET again that failed on a kept connection."""
    refused: list[str] = []
    broken: list[str] = []
    other: list[str] = []
    for text in _LINE.findall(log):
        number = _REQUEST.search(text)
        if number is None or not _UPSTREAM.search(text):
            other.append(text)
        else:
            (refused if _CONNECT.search(text) else broken).append(number[1])
    return Gazette(tuple(refused), tuple(broken), tuple(other))


def disagreements(failures: Iterable[Failure], seen: Gazette, visited: str = "http") -> tuple[str, ...]:
    """Failures of clients named ``visited``… that nginx did not write down, and log lines that no request explains."""
    known = {*seen.refused, *seen.broken}
    missing = [one for one in failures if one.client.startswith(visited) and one.number not in known]
    lines = [f"nginx does not mention {one.method} {one.number}: {one.why}" for one in missing]
    return tuple(lines + [f"nginx: {text}" for text in seen.other])


def sent_twice(failures: Iterable[Failure], seen: Gazette) -> Figure:
    """Requests that broke on a kept connection, and that nginx sent again with success."""
    return count("requests that nginx sent again", len({*seen.broken} - {one.number for one in failures}))


class Figure(NamedTuple):
    """``must``: at most this. ``counted``: a count, whose bound decides the exit code; timings are told only."""

    title: str
    value: float
    unit: str = ""
    must: float | None = None
    counted: bool = False
    digits: int = 0

    @property
    def met(self) -> bool:
        return self.must is None or self.value <= self.must


def count(title: str, value: float, must: float | None = None) -> Figure:
    return Figure(title, value, must=must, counted=True)


def milliseconds(title: str, seconds: float, must: float | None = None) -> Figure:
    """``must`` in milliseconds."""
    return Figure(title, seconds * 1000, "ms", must, digits=1)


def spread_figures(title: str, seconds: Iterable[float], must: float | None = None) -> tuple[Figure, ...]:
    """p50, p95 and the worst, in milliseconds; the bound is the p95's."""
    found = spread(seconds)
    return (
        milliseconds(f"{title}, p50", found.p50),
        milliseconds(f"{title}, p95", found.p95, must),
        milliseconds(f"{title}, worst of {found.size}", found.most),
    )


_NOTHING = Tally()
_SILENCE = Gazette((), (), ())


@dataclass(frozen=True)
class Result:
    """One row of the report. ``faults``: why it means nothing, or what it found that no figure shows."""

    key: str
    did: str
    times: int = 0
    tally: Tally = _NOTHING
    seen: Gazette = _SILENCE
    seconds: float = 0.0
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    fault: str = ""
    skipped: str = ""

    @property
    def refused(self) -> int:
        """Seen by clients at the socket itself, and by nginx."""
        return self.tally.refused + len(self.seen.refused)

    @property
    def broken(self) -> bool:
        """A count's bound does not hold, or there are no figures."""
        return bool(self.fault) or any(one.counted and not one.met for one in self.figures)


def reasons(failures: Iterable[Failure]) -> Mapping[str, int]:
    """How often what went wrong, the commonest first."""
    return dict(Counter(f"{_DIGITS.sub('', one.client)} {one.method}: {one.why}" for one in failures).most_common())
