"""Reads inis without a wait for anybody: one that lies where there may be no answer is read by a scout.

So is every ini where users and groups come from a directory service. What a scout has read is kept: it is what an order
goes by, and what ``config`` shows, until a newer reading is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emperor.intake.reading import Reader, Study
from emperor.system.eventloop import Timer
from emperor.system.mounts import Elsewhere
from emperor.system.scout import Scouts

MOST = 200
"""Inis that one scout reads at a time."""

PATIENCE = 2.0
"""Seconds until somebody is told that there is no answer."""


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
        self._waiting: dict[int, dict[str, tuple[str, bool]]] = {}
        self.studies: dict[str, Study] = {}
        """Of those that only a scout can read: what they said last."""

    def read(self, name: str, path: str, written: bool) -> Study | None:
        """None: it arrives later. ``written``: to be told then."""
        try:
            study = self._reader.study(name, path, near=True)
        except Elsewhere as error:
            self._queue(error.mount, name, path, written)
            return None
        self.forget(name)
        return study

    def forget(self, name: str) -> None:
        """It is gone, or near now: what a scout may still say of it counts no more."""
        self.studies.pop(name, None)
        for queue in self._waiting.values():
            queue.pop(name, None)

    def awaited(self, name: str) -> bool:
        return any(name in queue for queue in self._waiting.values())

    def last(self, name: str) -> Study | None:
        """What a scout has read last of one that only a scout can read."""
        return self.studies.get(name)

    def _queue(self, mount: int, name: str, path: str, written: bool) -> None:
        written = written or any(queue.pop(name, ("", False))[1] for queue in self._waiting.values())
        self._waiting.setdefault(mount, {})[name] = path, written
        self._send(mount)
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
        for mount in list(self._waiting):
            self._send(mount)
        if waiting:
            self._look_again_soon()

    def _send(self, mount: int) -> None:
        """Whoever is still on the way brings the next ones with it when it is back."""
        waiting = dict(list(self._waiting.get(mount, {}).items())[:MOST])
        if waiting:
            self._scouts.ask(
                ("read", mount),
                lambda: {name: self._reader.study(name, path) for name, (path, _) in waiting.items()},
                lambda studies: self._hear(mount, waiting, studies),
            )

    def _hear(self, mount: int, asked: Mapping[str, tuple[str, bool]], studies: Mapping[str, Study]) -> None:
        waiting, found = self._waiting[mount], dict[str, tuple[str, Study, bool]]()
        for name, (path, written) in asked.items():
            # One that was asked for once more meanwhile may have been written meanwhile.
            if waiting.get(name) is asked[name]:
                del waiting[name]
                self.studies[name] = studies[name]
                found[name] = path, studies[name], written
        if not waiting:
            del self._waiting[mount]
        self._arrived(found)
        self._send(mount)
