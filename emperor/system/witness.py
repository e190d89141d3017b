"""Sees every import as it begins, in the vassal and in its workers, and tells of the file before it is read.

So there is no moment between an import and the first look at its file: whoever saves a module while, or just after, it
is imported is noticed. And no thread has to search the workers' modules: lazy apps and imports within requests are told
of like all others, through a pipe that is as old as the vassal.

It promises: the app imports what it would import without us, asked of the same finders in the same order (for what
none of them has, they are asked twice); no import ever fails, or waits for long, because of us. A module that a worker
loads by hand from its file, past ``sys.meta_path``, is told of with the next import there.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from typing import Any, Optional

from emperor.system.sources import Mark, absolute, is_theirs, loaded, mark

JUST_NOW = 10.0
"""Seconds. Of a source that was written so recently the cache is not believed: Python compares whole seconds and the
size alone, so that of two saves within a second the second would never be seen."""

WHOLE = 4096
"""PIPE_BUF: so many bytes are written all at once or not at all (pipe(7))."""

ROOM = 0.2
"""Seconds to wait for room in the pipe; what finds none goes with the next."""

SEARCH_EVERY = 0.5

Note = tuple[str, Optional[Mark]]


class Witness:
    """A finder for ``sys.meta_path`` that finds nothing itself. ``notes``: what the vassal's process has seen."""

    def __init__(self) -> None:
        self.notes: deque[Note] = deque()
        self._pid = os.getpid()
        self._rest = b""
        self._told: set[str] = set()
        self._untold: deque[bytes] = deque()
        self._searched = 0.0
        self.read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def stand_in_front(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Any = None) -> Optional[ModuleSpec]:
        """What those behind us find, as the import system would ask them."""
        for finder in self._behind():
            find = getattr(finder, "find_spec", None)
            if find is None:
                # A finder of an older kind: the import system knows how to ask it.
                return None
            spec: Optional[ModuleSpec] = find(name, path, target)
            if spec is not None:
                with contextlib.suppress(Exception):
                    self._see(spec)
                return spec
        return None

    def knows(self, paths: Iterable[str]) -> None:
        """The vassal has seen them: no worker need tell of them."""
        self._told.update(paths)

    def hear(self) -> None:
        """What the workers have told, to the notes. Called when ``read_end`` is readable."""
        with contextlib.suppress(BlockingIOError):
            *lines, self._rest = (self._rest + os.read(self.read_end, 65536)).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, TypeError):
                    path, found = json.loads(line)
                    self.notes.append((str(path), None if found is None else Mark(*found)))

    def in_worker(self) -> None:
        """After the fork: whoever reads is the vassal."""
        os.close(self.read_end)
        self.notes.clear()

    def _behind(self) -> Iterator[Any]:
        met = False
        for finder in list(sys.meta_path):
            if met:
                yield finder
            met = met or finder is self

    def _see(self, spec: ModuleSpec) -> None:
        if not spec.has_location or not spec.origin:
            return
        path = absolute(spec.origin)
        if not is_theirs(path):
            return
        found = mark(path)
        if found is not None and path.endswith(".py") and spec.cached and spec.cached.endswith(".pyc"):
            _distrust(spec.cached, found)
        if os.getpid() == self._pid:
            self.notes.append((path, found))
        else:
            self._tell(path, found)

    def _tell(self, path: str, found: Optional[Mark]) -> None:
        self._put(path, found)
        now = time.monotonic()
        if now >= self._searched + SEARCH_EVERY:
            self._searched = now
            for other in loaded():
                if other not in self._told:
                    self._put(other, mark(other))
        waited = False
        while self._untold:
            try:
                os.write(self._write_end, self._untold[0])
                self._untold.popleft()
            except BlockingIOError:
                if waited or not select.select([], [self._write_end], [], ROOM)[1]:
                    return
                waited = True

    def _put(self, path: str, found: Optional[Mark]) -> None:
        line = json.dumps([path, found]).encode("ascii") + b"\n"
        if path in self._told or len(line) > WHOLE:
            return
        self._told.add(path)
        if self._untold and len(self._untold[-1]) + len(line) <= WHOLE:
            line = self._untold.pop() + line
        self._untold.append(line)


def _distrust(cache: str, source: Mark) -> None:
    if time.time() - source.mtime / 1e9 < JUST_NOW:
        with contextlib.suppress(OSError):
            os.unlink(cache)
