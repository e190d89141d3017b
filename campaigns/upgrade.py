"""The daemon replaces itself under load, by order and by signal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from campaigns import tally
from campaigns.processes import children, descriptors, rss, wait_for
from campaigns.scene import Places, Scene
from campaigns.tally import Result, Trouble
from campaigns.visitors import Visitors

CLIENTS = 8
_PATIENCE = 30.0

Say = Callable[[str], None]


def play(key: str, way: str, times: int, places: Places, say: Say) -> Result:
    """``times`` upgrades, ``emperorctl upgrade`` and USR2 taking turns."""
    begin = time.monotonic()
    with Scene(places) as scene:
        site = scene.vassal("site", "bare", way, "processes = 2")
        scene.start()
        scene.open_gates()
        pid, vassal, workers = scene.pid, scene.vassal_pid(site.name), children(scene.vassal_pid(site.name))
        took: list[float] = []
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            # The first one may open or close what stays so from then on.
            replace(scene, 0)
            held, size = _settled(scene), rss((pid,))
            for number in range(times):
                say(f"upgrade {number + 1} of {times}, {len(visitors.failures)} failures")
                took.append(replace(scene, number))
            grown, bigger = _settled(scene) - held, rss((pid,)) - size
        now = scene.row(site.name)
        news, failures = scene.gazette(), visitors.tally.failures
        changed = int(now["pid"] != vassal) + len(set(workers) - set(children(vassal)))
        figures = (
            tally.count("failed GETs", visitors.tally.failed("GET"), 0),
            tally.count("failed POSTs", visitors.tally.failed("POST"), 0),
            tally.count("refused", visitors.tally.refused + len(news.refused), 0),
            tally.count("processes of the vassal that changed", changed, 0),
            tally.count("descriptors that the emperor has more", grown, 0),
            tally.count("restarts that status tells", now["restarts"], 0),
            tally.Figure("growth of the emperor", bigger, "MiB", 4.0, digits=1),
            tally.milliseconds("longest wait for an answer", tally.spread(visitors.latencies).most),
            *tally.spread_figures("an upgrade, from its order to the new program's first word", took),
        )
        did = f"upgrades (emperorctl upgrade, USR2), {CLIENTS} clients, bare, {way}"
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(failures).items())
        return Result(key, did, times, visitors.tally, news, time.monotonic() - begin, figures, notes)


def replace(scene: Scene, number: int) -> float:
    """By order or by signal, in turn. Seconds until the control socket answers in another image, under the same pid."""
    image, begin = _image(scene.pid), time.monotonic()
    if number % 2:
        scene.signal(signal.SIGUSR2)
    else:
        done = scene.ctl("upgrade")
        if done.returncode:
            raise Trouble(f"emperorctl upgrade: exit {done.returncode}: {(done.stdout + done.stderr).strip()}")
    wait_for(lambda: _image(scene.pid) != image, f"another program (upgrade {number + 1})", _PATIENCE)
    # 3: some vassal is down, and it may be meant to be.
    wait_for(lambda: scene.ctl("status").returncode in (0, 3), f"status after upgrade {number + 1}", _PATIENCE)
    return time.monotonic() - begin


def _image(pid: int) -> bytes:
    """Differs after every execve(2): where the kernel put the program (proc_pid_auxv(5))."""
    return Path(f"/proc/{pid}/auxv").read_bytes()


def _settled(scene: Scene) -> int:
    """The emperor's descriptors once their number stays the same for a second."""
    last, since = -1, time.monotonic()
    deadline = since + _PATIENCE
    while time.monotonic() - since < 1:
        now = descriptors(scene.pid)
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() > deadline:
            raise Trouble(f"the emperor's descriptors come and go, {now} at the end")
        time.sleep(0.02)
    return last
