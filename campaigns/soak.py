"""Everything at once, for hours: does anything grow, become slow, get lost?

One site is left alone, so that its processes grow old; two are reloaded, killed, broken, mended and scaled all the
time; one comes and goes; one dies at its import; one sleeps most of the time. Slow clients are in everybody's way. In
the second half the emperor replaces itself once a minute.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from campaigns import reload, samples, tally, upgrade
from campaigns.processes import children, kill, wait_for
from campaigns.samples import Sample, Sampler
from campaigns.scene import Places, Scene, Vassal
from campaigns.slow import SlowClients, slow_crowd
from campaigns.tally import Answer, Figure, Kill, Result, Trouble
from campaigns.visitors import Visitors

_PATIENCE = 120.0
"""Seconds. A reload waits until the generation before the last one has no visitors left, slow ones too."""
_PAUSE = 0.1
_EVERY = 10.0
"""Seconds between two samples."""
_REST = 2.0
"""Seconds between two deeds, about."""
_STABLE = 15.0
"""Seconds that a vassal is let live before it is killed again: in ten it is forgiven an earlier death."""
_UPGRADES = 60.0
"""Seconds between two upgrades."""
GROWTH = 4.0
"""MiB, at most."""
_BROKEN = "raise RuntimeError('not today')\n"

Say = Callable[[str], None]


@dataclass
class _Soak:
    scene: Scene
    steady: Vassal
    busy: Sequence[Vassal]
    guest: Vassal
    visitors: Visitors
    kills: list[Kill] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    killed: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def order(self, *words: str, code: int = 0) -> None:
        done = self.scene.ctl(*words)
        if done.returncode != code:
            self.wrong.append(f"emperorctl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[:200]}")

    def upgrade(self) -> None:
        try:
            upgrade.replace(self.scene, self.done["upgrades"])
        except Trouble as trouble:
            self.wrong.append(str(trouble))
        self.done["upgrades"] += 1

    def answered(self, site: Vassal, good: Callable[[Answer], bool], what: str) -> None:
        prober = site.probe().name
        if self.visitors.answer(lambda one: one.client == prober and good(one), _PATIENCE) is None:
            raise Trouble(f"{site.name}: no answer within {_PATIENCE:g} s after {what}: {self.scene.last_words()}")


# Deeds ----------------------------------------------------------------------------------------------------------


def _reload(soak: _Soak, site: Vassal) -> None:
    way = random.choice(("touch", "code", "order"))
    begin = time.monotonic()
    version = reload.WAYS[way](site)
    soak.answered(site, lambda one: one.stamp.begun >= begin and version in ("", one.stamp.version), way)


def _kill_worker(soak: _Soak, site: Vassal) -> None:
    crew = children(soak.scene.vassal_pid(site.name))
    if crew:
        _kill(soak, site, random.choice(crew), site.socket)


def _kill_vassal(soak: _Soak, site: Vassal) -> None:
    if time.monotonic() - soak.killed.get(site.name, -_STABLE) < _STABLE:
        return
    _kill(soak, site, soak.scene.vassal_pid(site.name), None)
    wait_for(lambda: soak.scene.row(site.name)["state"] == "RUNNING", f"{site.name} runs again", _PATIENCE, _PAUSE)
    soak.killed[site.name] = time.monotonic()


def _kill(soak: _Soak, site: Vassal, pid: int, counted: Path | None) -> None:
    try:
        death = kill(pid, counted)
    except ProcessLookupError:
        return
    soak.kills.append(death)
    soak.answered(site, lambda one: one.start > death.dead, "a kill")


def _broken_app(soak: _Soak, site: Vassal) -> None:
    path = site.folder / "app.py"
    good = path.read_text()
    path.write_text(_BROKEN)
    soak.order("reload", site.name, code=1)
    moment = time.monotonic()
    soak.answered(site, lambda one: one.start > moment, "a broken reload")
    path.write_text(good)
    soak.order("reload", site.name)


def _broken_ini(soak: _Soak, site: Vassal) -> None:
    with site.ini.open("a") as file:
        file.write("no-such-option = 1\nprocesses = many\n")
    wait_for(lambda: soak.scene.row(site.name)["error"], f"{site.name}'s problems", _PATIENCE, _PAUSE)
    begin = time.monotonic()
    site.order()
    soak.answered(site, lambda one: one.stamp.begun >= begin, "a mended ini")


def _scale(soak: _Soak, site: Vassal) -> None:
    soak.order("scale", site.name, str(random.choice((1, 3, 4))))
    soak.order("scale", site.name, "2")


def _guest(soak: _Soak, site: Vassal) -> None:
    """Another vassal comes and goes."""
    guest = soak.guest
    guest.order()
    wait_for(lambda: _state(soak, guest) == "RUNNING", "the guest runs", _PATIENCE, _PAUSE)
    guest.ini.unlink()
    wait_for(lambda: _state(soak, guest) == "" and not guest.socket.exists(), "the guest is gone", _PATIENCE, _PAUSE)


def _state(soak: _Soak, site: Vassal) -> str:
    return next((str(row["state"]) for row in soak.scene.status() if row["name"] == site.name), "")


def _look(soak: _Soak, site: Vassal) -> None:
    for words in (("metrics",), ("logs", site.name), ("config", site.name), ("events",), ("status", site.name)):
        soak.order(*words)


def _rotate(soak: _Soak, site: Vassal) -> None:
    soak.scene.signal(signal.SIGUSR1)


_DEEDS: dict[str, tuple[Callable[[_Soak, Vassal], None], int]] = {
    "reloads": (_reload, 10),
    "workers killed": (_kill_worker, 5),
    "vassals killed": (_kill_vassal, 2),
    "apps broken and mended": (_broken_app, 1),
    "inis broken and mended": (_broken_ini, 1),
    "scalings, up and back": (_scale, 2),
    "guests that came and went": (_guest, 2),
    "looks (metrics, logs, config, events, status)": (_look, 2),
    "logs reopened": (_rotate, 1),
}
"""What is done to a busy site, and how often in comparison."""


# The campaign ---------------------------------------------------------------------------------------------------


def play(key: str, seconds: int, places: Places, say: Say) -> Result:
    """``seconds`` of it. What was sampled is ``soak.csv`` in the places' folder, written as it is taken."""
    begin = time.monotonic()
    with Scene(places) as scene:
        steady, busy, sleeper, guest = _sites(scene)
        clients = [one for site in (steady, *busy) for one in (site.probe(0.05), *site.customers(3, pause=0.05))]
        crowd = [one for site in (steady, *busy) for one in slow_crowd(_wire(site), site.socket, site.port, 2)]
        with SlowClients(crowd) as slow, Visitors([*clients, *sleeper.customers(1, pause=12.0)]) as visitors:
            soak = _Soak(scene, steady, busy, guest, visitors)
            for site in (steady, *busy):
                soak.answered(site, lambda one: True, "the start")
            found = _go_on(soak, seconds, places.folder / "soak.csv", say)
        return _result(key, soak, found, slow.served, time.monotonic() - begin)


def _wire(site: Vassal) -> str:
    return site.way.partition("-")[0]


def _sites(scene: Scene) -> tuple[Vassal, Sequence[Vassal], Vassal, Vassal]:
    """Those that are visited, and the guest, that is not there yet. One more dies at its import."""
    steady = scene.vassal("steady", "bare", "uwsgi", "processes = 2", "threads = 4")
    busy = (
        scene.vassal("quick", "bare", "uwsgi", "processes = 2", "threads = 4"),
        scene.vassal("flask", "flask_app", "fastcgi-kept", "processes = 2", "threads = 4", "max-requests = 20000"),
    )
    sleeper = scene.vassal("sleeper", "bare", "uwsgi", "on-demand = true", "idle = 3")
    scene.start(wait=False)
    wait_for(lambda: all(one.socket.exists() for one in scene.vassals), "the sockets", _PATIENCE)
    scene.open_gates()
    guest = scene.vassal("guest")
    guest.ini.unlink()
    dying = scene.vassal("dying", "dies")
    starts = dying.folder / "starts"
    starts.write_bytes(b"")
    starts.chmod(0o666)
    return steady, busy, sleeper, guest


def _go_on(soak: _Soak, seconds: int, path: Path, say: Say) -> list[Sample]:
    begin = time.monotonic()
    pid, steady = soak.scene.pid, soak.scene.vassal_pid(soak.steady.name)

    def look(since: float) -> Sample:
        fresh = soak.visitors.since(soak.steady.probe().name, since)
        return samples.take(begin, pid, steady, fresh, len(soak.visitors.failures), soak.done["upgrades"])

    upgraded = begin + seconds / 2
    with Sampler(look, min(_EVERY, seconds / 20), path) as sampler:
        # A deed may take long: of the second half there is something to compare in any case.
        while (now := time.monotonic()) < begin + seconds or (
            now < begin + 4 * seconds and sum(one.upgrades > 0 for one in sampler.found) < 2
        ):
            say(f"{now - begin:.0f} of {seconds} s, {soak.done.total()} deeds, {len(soak.visitors.failures)} failures")
            if now >= upgraded:
                soak.upgrade()
                upgraded = now + min(_UPGRADES, seconds / 8)
            done = _one_deed(soak)
            _note(path.with_suffix(".log"), f"{now - begin:.1f} {done} {time.monotonic() - now:.2f}")
            time.sleep(random.uniform(0.5, 1.5) * min(_REST, seconds / 40))
    soak.wrong += sampler.faults
    return sampler.found


def _one_deed(soak: _Soak) -> str:
    """Which one, and to whom."""
    name = random.choices(tuple(_DEEDS), [weight for _, weight in _DEEDS.values()])[0]
    site = random.choice(soak.busy)
    try:
        _DEEDS[name][0](soak, site)
    except Trouble as trouble:
        soak.wrong.append(f"{name}, {site.name}: {trouble}")
    soak.done[name] += 1
    return f"{site.name} {name}"


def _note(path: Path, text: str) -> None:
    """When, to whom, what, and how many seconds it took."""
    with path.open("a") as file:
        file.write(text + "\n")


def _result(key: str, soak: _Soak, found: list[Sample], slow: int, seconds: float) -> Result:
    visitors, news = soak.visitors, soak.scene.gazette()
    failures = visitors.tally.failures
    unexcused = tally.unexcused(failures, soak.kills)
    of_steady = [one for one in failures if soak.steady.name in one.client]
    figures = (
        tally.count("refused", visitors.tally.refused + len(news.refused), 0),
        tally.count("failures of requests that no kill hit", len(unexcused), 0),
        tally.count("failures at the site that was left alone", len(of_steady), 0),
        tally.count("deeds that did not end as they should", len(soak.wrong), 0),
        tally.count("zombies at most, for a moment", max(one.zombies for one in found)),
        tally.count("slow clients that were answered or sent away", slow),
        *_changes([one for one in found if not one.upgrades], "first half"),
        *_changes([one for one in found if one.upgrades], "second half, with upgrades"),
        *(tally.count(name, times) for name, times in sorted(soak.done.items())),
    )
    notes = [f"{number} × {why}" for why, number in tally.reasons(failures).items()]
    notes += [f"no kill hit it: {one}" for one in unexcused[:5]] + soak.wrong[:5]
    did = "reloads, kills, breakages, scalings and slow clients, upgrades in the second half; uwsgi and FastCGI"
    return Result(key, did, soak.done.total(), visitors.tally, news, seconds, figures, tuple(notes))


_GROWTHS = {
    "emperor": ("resident size of the emperor", "MiB"),
    "vassal": ("of a vassal left alone", "MiB"),
    "workers": ("of its workers", "MiB"),
    "emperor_descriptors": ("descriptors of the emperor", ""),
    "emperor_threads": ("threads of the emperor", ""),
    "vassal_descriptors": ("descriptors of a vassal left alone", ""),
    "workers_descriptors": ("descriptors of its workers", ""),
    "processes": ("processes in all", ""),
    "p50": ("its prober's p50", "ms"),
    "p99": ("its prober's p99", "ms"),
}


def _changes(found: Sequence[Sample], when: str) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    for name, (title, unit) in _GROWTHS.items():
        first, last = samples.change(found, name)
        digits = 2 if unit == "ms" else 1
        must = GROWTH if unit == "MiB" else None
        figures.append(Figure(f"{when}: {title}, first tenth", first, unit, digits=digits))
        figures.append(Figure(f"{when}: {title}, change to the last tenth", last - first, unit, must,
                              counted=unit == "MiB", digits=digits))  # fmt: skip
    return tuple(figures)
