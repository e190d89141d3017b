"""A user's damaged inis in the emperor's folder, a hundred at a time, each under a name of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from fuzzing.scene import Scene, wait_for

BATCH = 100


def play(scene: Scene, key: str, inputs: Iterator[bytes], count: Callable[[str], None]) -> None:
    before: list[str] = []
    for turn in range(10**9):
        names = []
        for number, data in enumerate(islice(inputs, BATCH)):
            names.append(f"f{turn}-{number}")
            scene.write(names[-1], data)
        for name in before:
            (scene.inis / f"{name}.ini").unlink()
        _read(scene, names, count)
        before = names
        if not names:
            break


def _read(scene: Scene, names: list[str], count: Callable[[str], None]) -> None:
    """Until each has been read, and those before them are forgotten."""
    wanted = {*names, *scene.kept}

    def done() -> bool:
        return {*scene.rows()} == wanted

    wait_for(done, f"{len(names)} inis are read, and others forgotten")
    rows = scene.rows()
    for name in names:
        count(str(rows[name]["state"]).lower())
