"""Reads many inis while somebody waits for all of it: those that only scouts can read for so long and no longer.

It promises: what hangs costs ``SILENCE`` seconds, however much of it there is; everything together ``LONGEST``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping

from emperor.intake.apart import whose_is
from emperor.intake.reading import Reader, Study
from emperor.system.eventloop import Loop
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts

SILENCE = 4.0
"""Seconds without any answer, after which no more are expected."""

LONGEST = 30.0
"""Seconds: half of what an emperor gives the program that is to replace it."""

LOOK_AGAIN = 0.05


def study_all(
    reader: Reader, inis: Mapping[str, str], bug: Callable[[BaseException], None], silence: float = SILENCE
) -> dict[str, Study]:
    """Path → what it says. ``inis``: path → name. Those are missing that nobody answered for."""
    studies: dict[str, Study] = {}
    apart: dict[tuple[int, str], list[str]] = {}
    for path, name in inis.items():
        try:
            studies[path] = reader.study(name, path, near=True)
        except Elsewhere as error:
            apart.setdefault((error.mount, os.path.dirname(path)), []).append(path)
    if apart:
        loop = Loop(bug)
        try:
            _Party(reader, inis, loop, bug, silence).go(apart, studies)
        finally:
            loop.close()
    return studies


class _Party:
    def __init__(
        self, reader: Reader, inis: Mapping[str, str], loop: Loop, bug: Callable[[BaseException], None], silence: float
    ) -> None:
        self._reader, self._inis, self._loop, self._silence = reader, inis, loop, silence
        self._scouts = Scouts(loop, bug)
        self._begun = self._heard = loop.now()
        self._out: set[tuple[int, str]] = set()

    def go(self, apart: dict[tuple[int, str], list[str]], studies: dict[str, Study]) -> None:
        self._send(apart, studies)
        self._loop.run()
        self._scouts.dismiss()

    def _send(self, apart: dict[tuple[int, str], list[str]], studies: dict[str, Study]) -> None:
        """Again and again, as only so many are on their way at a time."""
        for key, paths in list(apart.items()):
            questions = {path: functools.partial(self._reader.study, self._inis[path], path) for path in paths}
            over = functools.partial(self._out.discard, key)
            hear = functools.partial(self._hear, studies)
            if self._scouts.ask_each(key, questions, hear, over, whose_is(*key)):
                del apart[key]
                self._out.add(key)
        now = self._loop.now()
        if not (apart or self._out) or now >= self._heard + self._silence or now >= self._begun + LONGEST:
            self._loop.stop()
        else:
            self._loop.call_at(now + LOOK_AGAIN, lambda: self._send(apart, studies))

    def _hear(self, studies: dict[str, Study], found: Mapping[str, Study | None]) -> None:
        self._heard = self._loop.now()
        studies.update({path: study for path, study in found.items() if study is not None})
