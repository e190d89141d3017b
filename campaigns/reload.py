"""Reloads under load, in all the ways there are; how soon new code answers."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from campaigns import tally
from campaigns.scene import Places, Scene, Vassal
from campaigns.tally import Answer, Result, Trouble
from campaigns.visitors import Visitors

CLIENTS = 8
_PATIENCE = 30.0
VISIBLE = 300.0
"""Milliseconds from a touch to the first answer of the new code, the import's own time left out."""

_ALONE = 2.4
"""Seconds: a file that changes again within one second is left to rest for longer, as an editor's pieces are."""

_PEERS_PAUSE = 3.0
"""Seconds: uWSGI knows a change by its second, and makes those wait that come too often."""

Say = Callable[[str], None]


@dataclass
class _Seen:
    """``touched``, ``others``: seconds from a change to the first answer of the new code, less its import."""

    touched: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def _touch(vassal: Vassal) -> str:
    vassal.touch()
    return ""


def _code(vassal: Vassal) -> str:
    version = vassal.deploy()
    vassal.touch()
    return version


def _order(vassal: Vassal) -> str:
    done = vassal.scene.ctl("reload", vassal.name)
    if done.returncode:
        raise Trouble(f"emperorctl reload: exit {done.returncode}: {done.stderr.strip()}")
    return ""


def _hangup(vassal: Vassal) -> str:
    vassal.scene.signal(signal.SIGHUP)
    return ""


WAYS: dict[str, Callable[[Vassal], str]] = {"touch": _touch, "code": _code, "order": _order, "hangup": _hangup}
"""How a reload is asked for → the version that is to answer afterwards, "" for any."""


def play(key: str, way: str, app: str, times: int, places: Places, say: Say) -> Result:
    """``times`` reloads, taking turns; the socket's way is ``way``."""
    begin = time.monotonic()
    with Scene(places) as scene:
        site = scene.vassal("site", app, way, "processes = 2")
        scene.start()
        scene.open_gates()
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            seen = _reloads(site, visitors, times, tuple(WAYS), say)
            alone = _reloads(site, visitors, max(5, times // 10), ("touch", "code"), say, pause=_ALONE)
        news = scene.gazette()
        failures = visitors.tally.failures
        figures = (
            tally.count("failed GETs", visitors.tally.failed("GET"), 0),
            tally.count("failed POSTs", visitors.tally.failed("POST")),
            tally.count("refused", visitors.tally.refused + len(news.refused), 0),
            tally.sent_twice(failures, news),
            tally.count("reloads that nobody saw", len(seen.absent + alone.absent), 0),
            tally.count("lines of nginx's log without a failure, and the other way round",
                        len(tally.disagreements(failures, news)), 0),
            *tally.spread_figures("new code visible after a touch, less its import", alone.touched, VISIBLE),
            *tally.spread_figures("the same after touches within a second of each other", seen.touched),
            *tally.spread_figures("the same after emperorctl reload or HUP", seen.others),
            tally.milliseconds("the import itself, p50", tally.spread(seen.imports).p50),
            tally.milliseconds("longest wait for an answer", tally.spread(visitors.latencies).most),
        )  # fmt: skip
        notes = (*_told(failures), *seen.absent[:3], *tally.disagreements(failures, news)[:3])
        did = f"reloads (touch, new code and touch, emperorctl reload, HUP), {CLIENTS} clients, {app}, {way}"
        return Result(key, did, times, visitors.tally, news, time.monotonic() - begin, figures, notes)


def beside(key: str, times: int, places: Places, say: Say) -> Result:
    """The same touches with uWSGI's Emperor."""
    begin, did = time.monotonic(), f"uWSGI's Emperor: new code and touch, {CLIENTS} clients, bare, uwsgi"
    if not places.peer.exists():
        return Result(key, did, skipped=f"{places.peer} is not there -- pip install uwsgi")
    with Scene(places, "uwsgi") as scene:
        site = scene.vassal("site", "bare", "uwsgi", "processes = 2")
        scene.start()
        scene.open_gates()
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            if visitors.answer(lambda one: True, _PATIENCE) is None:
                raise Trouble(f"uWSGI does not answer: {scene.last_words()}")
            seen = _reloads(site, visitors, times, ("code",), say, pause=_PEERS_PAUSE)
        figures = tally.spread_figures("new code visible after a touch, less its import", seen.touched)
        notes = (*_told(visitors.tally.failures), *seen.absent)
        return Result(key, did, times, visitors.tally, scene.gazette(), time.monotonic() - begin, figures, notes)


def _reloads(site: Vassal, visitors: Visitors, times: int, ways: Iterable[str], say: Say,
             pause: float = 0.025) -> _Seen:  # fmt: skip
    """``pause``: seconds before each reload, about."""
    seen, turns = _Seen(), _forever(tuple(ways))
    for number in range(times):
        way = next(turns)
        say(f"reload {number + 1} of {times}: {way}, {len(visitors.failures)} failures")
        time.sleep(pause * random.uniform(0.5, 1.5))
        begin = time.monotonic()
        version = WAYS[way](site)
        fresh = visitors.answer(_fresh(begin, version), _PATIENCE)
        if fresh is None:
            seen.absent.append(f"{way}: no answer of the new code within {_PATIENCE:g} s")
            continue
        spent = fresh.end - begin - fresh.stamp.took
        (seen.touched if way in ("touch", "code") else seen.others).append(spent)
        seen.imports.append(fresh.stamp.took)
    return seen


def _fresh(begin: float, version: str) -> Callable[[Answer], bool]:
    return lambda one: one.stamp.begun >= begin and version in ("", one.stamp.version)


def _forever(ways: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from random.sample(ways, len(ways))


def _told(failures: tuple[tally.Failure, ...]) -> Iterable[str]:
    return (f"{times} × {why}" for why, times in tally.reasons(failures).items())
