"""The same inputs, into a daemon of root's and its users' workers: none may die, grow, or stop to answer."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing import grammars, live_inis, live_told, live_wires
from fuzzing.mutation import Grammar, mutant
from fuzzing.scene import Scene, Trouble, Weight, wait_for
from fuzzing.trial import MOST_GROWTH, Failure, Keeping, Result, Say, told

SHARE = 50
"""Pure inputs for each live one."""

LAST = 40
"""Inputs that are saved when something goes wrong: one of them did it."""

Play = Callable[[Scene, str, Iterator[bytes], Callable[[str], None]], None]
"""(scene, key, inputs, who counts what came of one). Raises Trouble, OSError."""

_PLAYS: dict[str, tuple[Play, Callable[[], Grammar]]] = {
    "ini": (live_inis.play, grammars.ini),
    "control": (live_told.play_control, grammars.control),
    "channel": (live_told.play_channel, grammars.channel),
    "uwsgi": (live_wires.play, grammars.uwsgi),
    "fastcgi": (live_wires.play, grammars.fastcgi),
    "http": (live_wires.play, grammars.http),
}


@dataclass(frozen=True)
class Places:
    """``venv``: where emperor is installed. ``user``: whose the vassals are."""

    venv: Path
    user: str
    keeping: Keeping


@dataclass
class _Watch:
    """The inputs on their way, of which the last are remembered, and the weight after the first tenth."""

    scene: Scene
    result: Result
    grammar: Grammar
    count: int
    say: Say
    last: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=LAST))
    first: Weight | None = None

    def inputs(self) -> Iterator[bytes]:
        moment = time.monotonic()
        for number in range(self.count):
            if number == self.count // 10:
                self.first = self.scene.weight()
            data = mutant(self.result.key, self.grammar, self.result.seed, number)
            self.last.append((number, data))
            self.result.inputs += 1
            if number % 100 == 0:
                self.scene.alive()
                self.say(f"live: {number} of {self.count}")
            yield data
            now = time.monotonic()
            self.result.slowest, moment = max(self.result.slowest, now - moment), now


def play(key: str, count: int, seed: int, places: Places, say: Say) -> Result:
    """``count`` inputs. As root only."""
    result = Result(key, "live", seed)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.chmod(0o755)
    start = time.monotonic()
    try:
        with Scene(folder, places.venv / "bin", places.user) as scene:
            _play(scene, result, count, places.keeping, say)
        code = scene.exit_code
        if code != 0:
            result.failures.append(Failure(-1, f"the emperor ends with {code}: {scene.last_words()}"))
    except (Trouble, OSError) as error:
        result.failures.append(Failure(-1, told(error)))
    finally:
        result.seconds = time.monotonic() - start
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _play(scene: Scene, result: Result, count: int, keeping: Keeping, say: Say) -> None:
    deed, grammar = _PLAYS[result.key]
    watch = _Watch(scene, result, grammar(), count, say)
    paths = {name: scene.serve(name, name) for name in ("uwsgi", "fastcgi", "http")}
    live_wires.canaries(paths)
    scene.keep(*paths)
    try:
        deed(scene, result.key, watch.inputs(), lambda word: result.outcomes.update((word,)))
        result.inputs -= result.outcomes.pop(live_told.LEFT_OUT, 0)
        live_wires.canaries(paths)
        why = scene.troubles() or _grown(watch, result)
    except (Trouble, OSError) as error:
        why = [told(error), *scene.troubles()]
    if why:
        saved = [keeping.keep(f"live-{result.key}", result.seed, number, data) for number, data in watch.last]
        where = f" -- the last inputs: {os.path.dirname(saved[0])}" if saved and saved[0] else ""
        result.failures.append(Failure(-1, "; ".join(why) + where))


def _grown(watch: _Watch, result: Result) -> list[str]:
    """Descriptors and threads go a moment after their use; memory is as it is."""
    before = watch.first
    if before is None:
        return []
    seen = [before]

    def small() -> bool:
        seen[:] = [watch.scene.weight()]
        return seen[0].descriptors <= before.descriptors + 2 and seen[0].threads <= before.threads + 2

    found = []
    try:
        wait_for(small, "descriptors and threads are as they were")
    except Trouble:
        found.append(f"then {before}, now {seen[0]}")
    now = seen[0]
    result.resident = (before.resident, now.resident)
    result.notes.append(f"descriptors {before.descriptors}, then {now.descriptors}")
    if now.resident - before.resident > 2 * MOST_GROWTH:
        found.append(f"memory grows: {before.resident >> 10} KiB, then {now.resident >> 10} KiB")
    return found
