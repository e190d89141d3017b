"""An app that dies at its import, for minutes: how often it is tried, and what that costs everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks import measure
from campaigns import tally
from campaigns.scene import Places, Scene
from campaigns.tally import Figure, Result, Trouble
from campaigns.visitors import Visitors

SPAWNS = 20
"""At most, in ten minutes."""

CPU = 1.0
"""Per cent of one core, at most."""

_ALONE = 30.0

Say = Callable[[str], None]


def play(key: str, seconds: int, places: Places, say: Say) -> Result:
    """``seconds`` of the loop, after some (half a minute at most) of its neighbour alone."""
    begin = time.monotonic()
    with Scene(places) as scene:
        site = scene.vassal("site", "bare", "uwsgi", "processes = 2")
        scene.start()
        scene.open_gates()
        clients = [*site.customers(2, pause=0.02), site.probe(pause=0.01)]
        with Visitors(clients) as alone:
            _sit(min(_ALONE, seconds), "the neighbour alone", say)
        broken = scene.vassal("broken", "dies", "uwsgi")
        starts = broken.folder / "starts"
        starts.write_bytes(b"")
        starts.chmod(0o666)
        spent = measure.cpu_seconds((scene.pid,))
        with Visitors(clients) as visitors:
            _sit(seconds, "the loop beside it", say)
        spent = measure.cpu_seconds((scene.pid,)) - spent
        row, spawns = scene.row(broken.name), starts.stat().st_size
        if row["state"] not in ("BACKOFF", "STARTING") or not spawns:
            raise Trouble(f"the broken vassal is {row['state']}, started {spawns} times: {scene.last_words()}")
        seen, failures = scene.gazette(), visitors.tally.failures
        figures = (
            tally.count("failed requests of the neighbour", len(failures) + len(alone.tally.failures), 0),
            tally.count(f"starts in {seconds} s", spawns, SPAWNS * max(1.0, seconds / 600)),
            Figure("CPU of the emperor", spent / seconds * 100, "% of a core", CPU, digits=2),
            *_latency("the neighbour's answers, without the loop", alone),
            *_latency("the same, with the loop", visitors),
        )
        did = f"{seconds} s of a vassal whose app dies at its import, beside one that serves 2 clients"
        both = alone.tally + visitors.tally
        return Result(key, did, spawns, both, seen, time.monotonic() - begin, figures)


def _sit(seconds: float, what: str, say: Say) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        say(f"{what}, {left:.0f} s left")
        time.sleep(min(1.0, left))


def _latency(title: str, visitors: Visitors) -> tuple[Figure, ...]:
    found = tally.spread(visitors.latencies)
    return tally.milliseconds(f"{title}, p50", found.p50), tally.milliseconds(f"{title}, p99", found.p99)
