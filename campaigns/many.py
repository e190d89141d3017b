"""Many vassals at once: a start of all of them, and a storm of touches."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from campaigns import tally
from campaigns.processes import rss, wait_for
from campaigns.scene import Places, Scene, Vassal
from campaigns.tally import Figure, Result, Trouble
from campaigns.visitors import Visitors

TOUCHES = 100
"""Of each ini, in ``STORM`` seconds."""

STORM = 5.0
MOST_A_SECOND = 1
"""Reloads of one vassal, and one for the storm's end."""

GROWTH = 4.0
"""MiB of the emperor's resident size."""

_ALL_UP = 240.0

Say = Callable[[str], None]


def start(key: str, times: int, places: Places, say: Say) -> Result:
    """``times`` vassals in the folder before the emperor starts; a client for each once all sockets are there."""
    begin = time.monotonic()
    with Scene(places) as scene:
        sites = [scene.vassal(f"site{number}") for number in range(times)]
        launched = time.monotonic()
        scene.start(wait=False)
        wait_for(lambda: all(site.socket.exists() for site in sites), "all sockets", _ALL_UP)
        bound = time.monotonic() - launched
        say(f"{times} sockets after {bound:.1f} s")
        with Visitors([site.probe(pause=1.0, timeout=_ALL_UP) for site in sites]) as visitors:
            wait_for(lambda: len(visitors.heard) == times, "an answer of every vassal", _ALL_UP)
            answered = max(visitors.heard.values()) - launched
            wait_for(scene.all_running, "all RUNNING", _ALL_UP)
            running = time.monotonic() - launched
        failures = visitors.tally.failures
        figures = (
            tally.count("refused", visitors.tally.refused, 0),
            tally.count("failed requests", len(failures), 0),
            Figure("until all sockets were there", bound, "s", digits=1),
            Figure("until all had answered", answered, "s", digits=1),
            Figure("until status said RUNNING of all", running, "s", digits=1),
        )
        did = f"start of {times} vassals (bare, 1 worker) at once, a client each"
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(failures).items())
        return Result(key, did, 1, visitors.tally, seconds=time.monotonic() - begin, figures=figures, notes=notes)


def storm(key: str, times: int, places: Places, say: Say) -> Result:
    """``times`` inis, each touched ``TOUCHES`` times, with a client for every one and a busy neighbour."""
    begin = time.monotonic()
    with Scene(places) as scene:
        sites = [scene.vassal(f"site{number}") for number in range(times)]
        calm = scene.vassal("calm", "bare", "uwsgi", "processes = 2")
        scene.start()
        before, size = _generations(scene), rss((scene.pid,))
        with Visitors([calm.probe(0.01), *(site.probe(pause=0.5) for site in sites)]) as visitors:
            lasted = _touch_all(sites, say)
            after = _settled(scene)
            reloads = [after[site.name] - before[site.name] for site in sites]
            say(f"{sum(reloads)} reloads")
        growth = rss((scene.pid,)) - size
        failures = visitors.tally.failures
        figures = (
            tally.count("refused", visitors.tally.refused, 0),
            tally.count("failed requests", len(failures), 0),
            tally.count("vassals that were not reloaded", sum(not one for one in reloads), 0),
            tally.count("most reloads of one vassal", max(reloads), MOST_A_SECOND * math.ceil(lasted) + 1),
            tally.count("reloads of the one that nobody touched", after["calm"] - before["calm"], 0),
            Figure("reloads in all", sum(reloads)),
            Figure("growth of the emperor", growth, "MiB", GROWTH, digits=1),
            tally.milliseconds("the neighbour's answers, p99", tally.spread(visitors.latencies).p99),
        )
        did = f"{times * TOUCHES} touches of {times} inis in {STORM:g} s, a client for each vassal"
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(failures).items())
        return Result(key, did, times * TOUCHES, visitors.tally, seconds=time.monotonic() - begin, figures=figures,
                      notes=notes)  # fmt: skip


def _touch_all(sites: list[Vassal], say: Say) -> float:
    """Seconds that it took: more than ``STORM`` where the machine is too slow for it."""
    begin = time.monotonic()
    for number in range(TOUCHES):
        say(f"touch {number + 1} of {TOUCHES} of each")
        for site in sites:
            os.utime(site.ini)
        time.sleep(max(0.0, begin + (number + 1) * STORM / TOUCHES - time.monotonic()))
    return time.monotonic() - begin


def _generations(scene: Scene) -> Mapping[str, int]:
    return {row["name"]: row["generation"] for row in scene.status()}


def _settled(scene: Scene) -> Mapping[str, int]:
    """The generations once nothing has changed for two seconds, and everybody runs."""
    last: list[Any] = []
    since, deadline = time.monotonic(), time.monotonic() + _ALL_UP
    while True:
        rows = [(row["name"], row["generation"], row["state"]) for row in scene.status()]
        if rows != last or any(state != "RUNNING" for _, _, state in rows):
            last, since = rows, time.monotonic()
        if time.monotonic() - since > 2:
            return {name: number for name, number, _ in rows}
        if time.monotonic() > deadline:
            raise Trouble(f"no rest within {_ALL_UP:g} s: {scene.last_words()}")
        time.sleep(0.2)
