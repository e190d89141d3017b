"""Reads inis without a wait for anybody: one that lies where there may be no answer is read by a scout.

So is every ini where users and groups come from a directory service. What a scout has read is kept: it is what an order
goes by, and what ``config`` shows, until a newer reading is there.

It promises: an ini that cannot be read to its end keeps no other from being read, but those of whoever it belongs to.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from emperor.intake.reading import DIRECTORY_SERVICE, Reader, Study
from emperor.system import trust
from emperor.system.eventloop import Timer
from emperor.system.mounts import Elsewhere, Mounts
from emperor.system.scout import Scouts

MOST = 200
"""Inis that one scout reads, one after another; each is told as soon as it is read."""

PATIENCE = 2.0
"""Seconds until somebody is told that there is no answer, and until another scout reads those that wait behind it."""

Key = tuple[int, str]
"""The mount, or what else has to be waited for, and the ini's folder."""

Wanted = tuple[str, bool]
"""An ini's path, and whether it was written."""


@dataclass
class Out:
    """A scout that is on its way. ``left``: what it has not read yet; the first is what it reads now."""

    key: Key
    left: dict[str, Wanted]
    answered: bool = False


class Apart:
    """``arrived``: scouts have read them. ``silent``: nobody answers for this one; told once until that is over."""

    def __init__(
        self,
        reader: Reader,
        scouts: Scouts,
        arrived: Callable[[Mapping[str, tuple[str, Study, bool]]], None],
        silent: Callable[[str], None],
    ) -> None:
        self._reader, self._scouts, self._arrived, self._silent = reader, scouts, arrived, silent
        self._told: set[str] = set()
        self._timer: Timer | None = None
        self._waiting: dict[Key, dict[str, Wanted]] = {}
        self._out: dict[Hashable, Out] = {}
        self._numbers = itertools.count()
        self.studies: dict[str, Study] = {}
        """Of those that only a scout can read: what they said last."""

    def read(self, name: str, path: str, written: bool) -> Study | None:
        """None: it arrives later. ``written``: to be told then."""
        try:
            study = self._reader.study(name, path, near=True)
        except Elsewhere as error:
            self._queue((error.mount, os.path.dirname(path)), name, path, written)
            return None
        self.forget(name)
        return study

    def forget(self, name: str) -> None:
        """It is gone, or near now: what a scout may still say of it counts no more."""
        self.studies.pop(name, None)
        self._drop(name)

    def awaited(self, name: str) -> bool:
        return any(name in queue for queue in self._waiting.values())

    @property
    def unanswered(self) -> set[str]:
        """All that are awaited."""
        return set().union(*self._waiting.values())

    def last(self, name: str) -> Study | None:
        """What a scout has read last of one that only a scout can read."""
        return self.studies.get(name)

    def _drop(self, name: str) -> bool:
        """It is waited for no more; whether it was written."""
        written = False
        for key in [key for key, queue in self._waiting.items() if name in queue]:
            written = self._waiting[key].pop(name)[1] or written
            if not self._waiting[key]:
                del self._waiting[key]
        return written

    def _queue(self, key: Key, name: str, path: str, written: bool) -> None:
        written = self._drop(name) or written
        self._waiting.setdefault(key, {})[name] = path, written
        self._send(key)
        if self._timer is None:
            self._look_again_soon()

    def _look_again_soon(self) -> None:
        loop = self._scouts.loop
        self._timer = loop.call_at(loop.now() + PATIENCE, self._look_again)

    def _look_again(self) -> None:
        """Perhaps no scout could be sent, or one did not come back."""
        self._timer = None
        waiting = {name for queue in self._waiting.values() for name in queue}
        news, self._told = waiting - self._told, waiting
        for name in sorted(news):
            self._silent(name)
        for key in list(self._waiting):
            self._send(key)
        if waiting:
            self._look_again_soon()

    def _send(self, key: Key) -> None:
        """Whoever is still on the way brings the next ones with it when it is back; who does not come back is left
        behind, with the one that it reads."""
        stuck = set[str]()
        # Those that were dismissed tell nobody that they are over.
        self._out = {number: out for number, out in self._out.items() if self._scouts.looks(number)}
        for number, out in self._out.items():
            if out.key == key and self._scouts.waits(number) < PATIENCE:
                return
            stuck.update(itertools.islice(out.left, 1))
        queue = self._waiting.get(key, {})
        asked = dict(itertools.islice(((one, queue[one]) for one in queue if one not in stuck), MOST))
        if not asked:
            return
        number = ("read", next(self._numbers))
        questions = {name: functools.partial(self._reader.study, name, path) for name, (path, _) in asked.items()}
        out = Out(key, dict(asked))
        if self._scouts.ask_each(
            number, questions, lambda found: self._hear(out, found), lambda: self._over(number), whose_is(*key)
        ):
            self._out[number] = out

    def _hear(self, out: Out, studies: Mapping[str, Study | None]) -> None:
        found = dict[str, tuple[str, Study, bool]]()
        out.answered = True
        for name, study in studies.items():
            asked = out.left.pop(name)
            # One that was asked for once more meanwhile may have been written meanwhile.
            if self._waiting.get(out.key, {}).get(name) is asked:
                self._drop(name)
                if study is not None:
                    self.studies[name] = study
                    found[name] = asked[0], study, asked[1]
        self._arrived(found)

    def _over(self, number: Hashable) -> None:
        out = self._out.pop(number, None)
        if out is None:
            return
        queue = self._waiting.get(out.key, {})
        for name in itertools.islice(out.left, 1):
            # It was its end: the others come first.
            if queue.get(name) is out.left[name]:
                queue[name] = queue.pop(name)
        for key in list(self._waiting) if out.answered else ():
            self._send(key)


def whose_is(mount: int, folder: str) -> Hashable:
    """Who may keep an answer from coming: whose program answers for it, or whose inis they are."""
    if mount != DIRECTORY_SERVICE:
        return Mounts().answers_for(mount) or ("mount", mount)
    try:
        return trust.end_of(folder).st_uid
    except (OSError, Elsewhere):
        return ("folder", folder)
