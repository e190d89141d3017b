"""Workers and vassals that the kernel ends without a warning, under load; how soon the next answer comes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaigns import tally
from campaigns.processes import children, kill, wait_for
from campaigns.scene import Places, Scene, Vassal
from campaigns.tally import Answer, Figure, Kill, Result, Trouble
from campaigns.visitors import Visitors

CLIENTS = 8
NEXT_ANSWER = 50.0
"""Milliseconds."""

_PATIENCE = 30.0
_VASSALS = 20
_STABLE = 10.5
"""Seconds after which an earlier death is forgotten, and a little more."""

_WORK = "env = WORK=0.001"
"""So that there is a request in every worker at most moments."""

_PEERS_PAUSE = 3.0
"""Seconds: uWSGI makes those wait that come back too often."""

Say = Callable[[str], None]


@dataclass
class _Seen:
    kills: list[Kill] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


def play_workers(key: str, way: str, app: str, processes: int, times: int, places: Places, say: Say) -> Result:
    begin = time.monotonic()
    with Scene(places) as scene:
        site = _site(scene, app, way, processes)
        pid = scene.vassal_pid(site.name)
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            seen = _kills(site, visitors, times, pid, processes, say)
        vassal_is_the_same = scene.vassal_pid(site.name) == pid
        did = f"kill -9 of a worker, {CLIENTS} clients, {app}, {processes} × 1 thread, {way}"
        failures = visitors.tally.failures
        figures = (
            tally.count("vassals that died with it", int(not vassal_is_the_same), 0),
            tally.count("failures beyond those in flight in the worker", tally.overdone(failures, seen.kills), 0),
            tally.count("most failures of one kill", max(tally.by_kill(failures, seen.kills).values(), default=0)),
            tally.count("most connections of a worker that was killed", max(one.held for one in seen.kills)),
        )
        return _result(key, did, visitors, scene, seen, begin, figures)


def play_vassals(key: str, way: str, app: str, times: int, places: Places, say: Say) -> Result:
    """Whole vassals, whose workers die with them, one after the other: each lives long enough in between to be
    started again without a pause."""
    begin = time.monotonic()
    with Scene(places) as scene:
        sites = [scene.vassal(f"site{number}", app, way, _WORK) for number in range(min(times, _VASSALS))]
        scene.start()
        scene.open_gates()
        seen, births = _Seen(), dict.fromkeys((site.name for site in sites), -_STABLE)
        with Visitors(
            [one for site in sites for one in (*site.customers(1, pause=0.05), site.probe(0.02))]
        ) as visitors:
            for number in range(times):
                site = sites[number % len(sites)]
                time.sleep(max(0.0, births[site.name] + _STABLE - time.monotonic()))
                _one_kill(site, visitors, scene.vassal_pid(site.name), seen)
                births[site.name] = time.monotonic()
                say(f"kill {number + 1} of {times}, {len(visitors.failures)} failures")
        did = f"kill -9 of a vassal, one of {len(sites)} in turn, 1 client each, {app}, {way}"
        return _result(key, did, visitors, scene, seen, begin, bound=None)


def beside(key: str, times: int, places: Places, say: Say) -> Result:
    """The same kills of uWSGI's only worker, with a bare app."""
    begin, did = time.monotonic(), f"uWSGI's Emperor: kill -9 of the only worker, {CLIENTS} clients, bare, uwsgi"
    if not places.peer.exists():
        return Result(key, did, skipped=f"{places.peer} is not there -- pip install uwsgi")
    with Scene(places, "uwsgi") as scene:
        site = _site(scene, "bare", "uwsgi", 1)
        pid = scene.vassal_pid(site.name)
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            seen = _kills(site, visitors, times, pid, 1, say, pause=_PEERS_PAUSE)
        figures = tally.spread_figures("next answer after the kill", seen.gaps)
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(visitors.tally.failures).items())
        return Result(key, did, times, visitors.tally, scene.gazette(), time.monotonic() - begin, figures, notes)


def _site(scene: Scene, app: str, way: str, processes: int) -> Vassal:
    site = scene.vassal("site", app, way, f"processes = {processes}", _WORK)
    scene.start()
    scene.open_gates()
    return site


def _a_worker(pid: int, processes: int) -> int:
    """Of a full crew."""

    def full() -> list[int]:
        crew = children(pid)
        return crew if len(crew) == processes else []

    crew: list[int] = wait_for(full, "the whole crew")
    return random.choice(crew)


def _kills(site: Vassal, visitors: Visitors, times: int, pid: int, processes: int, say: Say,
           pause: float = 0.05) -> _Seen:  # fmt: skip
    """Of workers of one vassal. ``pause``: seconds between an answer and the next kill."""
    seen = _Seen()
    if visitors.answer(lambda one: True, _PATIENCE) is None:
        raise Trouble(f"no first answer: {site.scene.last_words()}")
    while len(seen.kills) < times:
        say(f"kill {len(seen.kills) + 1} of {times}, {len(visitors.failures)} failures")
        _one_kill(site, visitors, _a_worker(pid, processes), seen, site.socket)
        time.sleep(pause * random.uniform(0.6, 1.6))
    return seen


def _one_kill(site: Vassal, visitors: Visitors, pid: int, seen: _Seen, counted: Path | None = None) -> None:
    """``counted``: to whose connections, of the process that dies; they are counted first."""
    try:
        death = kill(pid, counted)
    except ProcessLookupError:
        return
    seen.kills.append(death)
    fresh = visitors.answer(_begun_after(site, death.dead), _PATIENCE)
    if fresh is None:
        raise Trouble(f"no answer within {_PATIENCE:g} s of kill {len(seen.kills)}: {site.scene.last_words()}")
    seen.gaps.append(fresh.end - death.sent)


def _begun_after(site: Vassal, moment: float) -> Callable[[Answer], bool]:
    return lambda one: one.start > moment and one.client == site.probe().name


def _result(key: str, did: str, visitors: Visitors, scene: Scene, seen: _Seen, begin: float,
            more: tuple[Figure, ...] = (), bound: float | None = NEXT_ANSWER) -> Result:  # fmt: skip
    news, failures = scene.gazette(), visitors.tally.failures
    unexcused = tally.unexcused(failures, seen.kills)
    figures = (
        tally.count("refused", visitors.tally.refused + len(news.refused), 0),
        tally.count("failures of requests that no kill hit", len(unexcused), 0),
        *more,
        tally.sent_twice(failures, news),
        tally.count("lines of nginx's log without a failure, and the other way round",
                    len(tally.disagreements(failures, news)), 0),
        *tally.spread_figures("next answer after the kill", seen.gaps, bound),
    )  # fmt: skip
    notes = tuple(f"{number} × {why}" for why, number in tally.reasons(failures).items())
    notes += tuple(f"no kill hit it: {one}" for one in unexcused[:3])
    return Result(key, did, len(seen.kills), visitors.tally, news, time.monotonic() - begin, figures, notes)
