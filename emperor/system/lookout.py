"""Looks whether what an app was made of has changed: ``touch-reload`` and ``py-autoreload``.

A thread of the vassal looks, not its loop: a stat(2) on a network share whose server is gone does not return, and a
vassal that hangs in it would hear neither a TERM nor its workers, whose output would pile up until they hang too. With
nothing but ``touch-reload`` the thread has no clock of its own: the vassal's tick wakes it.

The vassal forks while the thread is there. That is safe as long as the thread holds no lock of Python's at any moment:
it imports nothing, prints nothing, and is no ``threading.Thread``. It hears no signal. In the fork it does not exist.

It promises: what was changed after the app began to read it is told, within the time that the ini promises; what is
told is told at most once a second. After the first word it looks at every Python file in the app's own folders: the
generation that was to follow may have failed in one that this one has never read, and its mending is to be noticed.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from typing import Callable, Optional

from emperor.model import VassalSpec
from emperor.supervision import modified
from emperor.supervision.modified import Known, Words
from emperor.system import sources
from emperor.system.eventloop import Loop
from emperor.system.witness import Witness

WALK_SHARE = 10
"""A walk that takes a second is followed by so many seconds without one."""

SAME_AGAIN = 10.0
"""Seconds for which a file that was told of is not told of again if only its date is another. The generation that was
to follow may write it while it is imported, and would be ended by our word each time, just before it serves."""

FOR_EVER = -1.0


class Lookout:
    """From before the app is imported: ``app_is_loaded``, then ``start`` once it serves."""

    def __init__(self, spec: VassalSpec) -> None:
        self._touched = modified.learn(Known(absence=True), {path: sources.place(path) for path in spec.touch_reload})
        self._sources, self._links = Known(absence=False), Known(absence=False)
        self._span = spec.py_autoreload
        self._pace, self._due = modified.pace(self._span), 0.0
        self._witness: Optional[Witness] = None
        self._wide = False
        self._walked: dict[str, Optional[sources.Mark]] = {}
        self._walk_at = 0.0
        self._words = Words()
        self._told: dict[str, tuple[float, Optional[int]]] = {}
        self._kick, self._reason = _thread.allocate_lock(), ""
        self._kick.acquire()
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._span:
            self._witness = Witness()
            files = [sources.absolute(one.where) for one in spec.targets if one.kind == "file"]
            # Such a file is read past the import system, and nobody else has looked at it before.
            self._learn_sources(dict.fromkeys([*files, *sources.loaded()]))
            self._homes = [spec.chdir or spec.folder]
            self._learn_links([*self._homes, spec.virtualenv, spec.python, *files])
            self._witness.stand_in_front()

    def app_is_loaded(self, loop: Loop) -> None:
        """Before the first worker is forked: what the workers tell is heard from now on."""
        if self._witness is None:
            return
        self._take_notes()
        self._learn_sources(dict.fromkeys(sources.loaded()))
        self._homes += sources.own_entries()
        self._learn_links(self._homes)
        self._witness.knows(self._sources.files)
        loop.watch(self._witness.read_end, self._witness.hear)

    def start(self, loop: Loop, tell: Callable[[str], object]) -> None:
        """From now on ``tell`` hears, in the loop's thread, why a reload is wanted."""
        loop.watch(self._read_end, lambda: tell(self._hear()))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            _thread.start_new_thread(self._run, (loop,))
        except RuntimeError as error:
            loop.report(error)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def tick(self) -> None:
        """Once a second: time to look at what ``touch-reload`` names."""
        if self._touched.files and self._kick.locked():
            self._kick.release()

    def in_worker(self) -> None:
        """After the fork: nothing of it looks any more, but imports are still told of."""
        os.close(self._read_end)
        os.close(self._write_end)
        if self._witness is not None:
            self._witness.in_worker()

    def _hear(self) -> str:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 4096)
        return self._reason

    def _run(self, loop: Loop) -> None:
        pause = 0.0
        while True:
            self._kick.acquire(True, pause)
            try:
                pause = self._look(time.monotonic())
            except Exception as error:
                loop.report(error)
                pause = modified.SAY_EVERY

    def _look(self, now: float) -> float:
        """Seconds until the next one."""
        self._touched, touched = modified.look(
            self._touched, {path: sources.place(path) for path in self._touched.files}, now
        )
        self._words = modified.note(self._words, map(modified.touched, touched))
        if self._span and now >= self._due:
            self._look_at_sources(now)
            moving = self._links.moving or self._sources.moving
            self._due = now + (modified.LOOK_AGAIN if moving else self._pace)
        pauses = [self._due - now] if self._span else []
        if self._touched.moving:
            pauses.append(modified.LOOK_AGAIN)
        self._perhaps_say(now)
        if self._words.unsaid:
            pauses.append(self._words.wait(now))
        return max(0.0, min(pauses)) if pauses else FOR_EVER

    def _look_at_sources(self, now: float) -> None:
        self._take_notes()
        self._links, links = modified.look(self._links, {path: sources.end(path) for path in self._links.files}, now)
        if self._wide and now >= self._walk_at:
            self._walk()
        seen = {**self._walked, **{path: sources.mark(path) for path in self._sources.files}}
        self._pass_over_the_same(seen, now)
        self._sources, files = modified.look(self._sources, seen, now)
        self._told.update({one.path: (now + SAME_AGAIN, sources.content(one.path)) for one in files})
        self._words = modified.note(self._words, map(modified.led_elsewhere, links))
        self._words = modified.note(self._words, map(modified.written, files))

    def _pass_over_the_same(self, seen: dict[str, Optional[sources.Mark]], now: float) -> None:
        self._told = {path: told for path, told in self._told.items() if now < told[0]}
        for path, (_, content) in self._told.items():
            known = self._sources.files.get(path)
            if seen.get(path) not in (None, known) and sources.content(path) == content:
                seen[path] = known  # type: ignore[assignment]  # files of this kind have no other signature

    def _perhaps_say(self, now: float) -> None:
        words, reason = modified.say(self._words, now)
        if reason:
            if self._span:
                # Before anybody is told: what the next generation then reads is no older than what is seen here.
                self._widen()
            self._words, self._reason = words, reason
            os.write(self._write_end, b"\0")

    def _widen(self) -> None:
        self._wide = True
        self._walk()
        self._sources = modified.learn(self._sources, self._walked)

    def _walk(self) -> None:
        began = time.monotonic()
        folders = sources.own_folders(self._sources.files) | set(sources.own_entries()) | {sources.here()}
        # A release that a link has been switched to, and that does not run, is to be mended there.
        folders |= {end for end in map(self._links.files.get, self._homes) if isinstance(end, str)}
        self._walked, whole = sources.python_files(modified.outermost(folders))
        if not whole:
            # Where it ends is chance: what one walk has and the one before had not need not be new.
            self._sources = modified.learn(self._sources, self._walked)
        took = time.monotonic() - began
        self._walk_at = began + took * WALK_SHARE if took > self._pace / WALK_SHARE else 0.0

    def _take_notes(self) -> None:
        notes = self._witness.notes if self._witness is not None else ()
        found: dict[str, Optional[sources.Mark]] = {}
        while notes:
            path, mark = notes.popleft()
            found.setdefault(path, mark)
        if found:
            self._sources = modified.learn(self._sources, found)

    def _learn_sources(self, paths: dict[str, None]) -> None:
        fresh = {path: sources.mark(path) for path in paths if path not in self._sources.files}
        self._sources = modified.learn(self._sources, fresh)

    def _learn_links(self, paths: Iterable[str]) -> None:
        self._links = modified.learn(self._links, {path: sources.end(path) for path in paths if path})
