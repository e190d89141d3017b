"""Hints that something changed in a folder. The only module that knows watchdog.

It promises hints, not truth: events may be missing, doubled or late, so whoever is woken looks for himself.
watchdog's threads do nothing here but wake the loop; an exception in a handler would end its thread silently.
"""

from __future__ import annotations

import functools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from watchdog import events
from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_CREATED,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MOVED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from emperor.system import acl, trust
from emperor.system.eventloop import Loop, Timer
from emperor.system.mounts import Elsewhere
from emperor.system.threads import deaf_to_signals

PAUSE = 0.05
"""Seconds between two hints at least: whoever can write a watched folder could keep the emperor busy with looking."""

STORM = 250
"""Events of one folder from one hint to the next: more, and it is not watched for ``CALM`` seconds. Hearing of each
event costs more than whoever makes them pays, and the parent of a watched folder may be /tmp."""
CALM = 1.0

MOST_LINKED = 32
"""Folders that are watched because a link leads there: each costs a thread of ours, and whoever may put an ini down may
put many. What changes in the others is seen by the rescan."""

READING = frozenset({EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE})
"""Our own look at a file must not be a reason for the next one."""

NAMING = frozenset({EVENT_TYPE_CREATED, EVENT_TYPE_DELETED, EVENT_TYPE_MOVED})

Kinds = tuple[type[FileSystemEvent], ...]

_KINDS: Kinds = tuple(
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, FileSystemEvent) and kind is not FileSystemEvent
)

ANY_CHANGE: Kinds = tuple(kind for kind in _KINDS if kind.event_type not in READING)
"""What the kernel is asked for. What it tells wakes threads of watchdog's, wanted or not, and our own look at a folder,
every few seconds, is an opening."""

NEW_NAMES: Kinds = tuple(kind for kind in _KINDS if kind.event_type in NAMING)
"""The same of a folder in which nothing but a folder's coming and going matters: a log that lies there grows often."""


class _Key(NamedTuple):
    """Which folder it is, and what is to be heard of it: another one is watched anew."""

    device: int
    inode: int
    kinds: Kinds


class _Waker(FileSystemEventHandler):
    """``over``: the folder was removed, and nothing more will be heard of a new one, which may have its inode.

    ``events``: how many since the last hint. ``mute``: what is still on its way is nobody's business any more.
    ``arrived``: the names that were given by a rename, the newest.
    """

    def __init__(self, ring: Callable[[], None], folder: str) -> None:
        self._ring, self._folder = ring, folder
        self.over = self.mute = False
        self.events = 0
        self.arrived: deque[str] = deque(maxlen=STORM)

    def on_any_event(self, event: FileSystemEvent) -> None:
        if self.mute:
            return
        self.events += 1
        if event.event_type == EVENT_TYPE_DELETED and event.src_path == self._folder:
            self.over = True
        if event.event_type == EVENT_TYPE_MOVED:
            self.arrived.append(os.path.basename(os.fsdecode(event.dest_path)))
        if event.event_type not in READING:
            self._ring()


class Watch:
    """Calls ``hint`` in the loop's thread, once for any number of events since it last did."""

    def __init__(self, loop: Loop, hint: Callable[[], None], complain: Callable[[str], None]) -> None:
        self._loop, self._hint, self._complain = loop, hint, complain
        self._observer: BaseObserver | None = None
        self._watches: dict[str, tuple[ObservedWatch, _Key, _Waker]] = {}
        self._failed: set[str] = set()
        self._told_of_links = False
        self._calm: dict[str, Timer] = {}
        self._pause: Timer | None = None
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.watch(self._read, self._heard)

    def follow(self, folders: Iterable[str], linked: Iterable[str] = (), parents: Iterable[str] = ()) -> None:
        """Watch exactly these folders. One that was replaced is watched anew; one that is missing is left out.

        ``linked``: more of them, of which ``MOST_LINKED`` are watched, and those the longest that are by now.
        ``parents``: of these only what is made, removed and renamed in them.
        """
        wanted = self._there(folders)
        more = self._there(set(linked).difference(wanted))
        chosen = sorted(more, key=lambda folder: (folder not in self._watches and folder not in self._calm, folder))
        wanted.update((folder, more[folder]) for folder in chosen[:MOST_LINKED])
        if len(chosen) > MOST_LINKED and not self._told_of_links:
            self._told_of_links = True
            self._complain(
                f"watch: links lead to {len(chosen)} folders -- {MOST_LINKED} of them are watched, "
                "changes in the others are seen by the rescan"
            )
        # The kernel knows one mask for each inode (inotify_add_watch(2)).
        whole = {key[:2] for key in wanted.values()}
        wanted.update((folder, key) for folder, key in self._there(parents, NEW_NAMES).items() if key[:2] not in whole)
        for folder in list(self._watches):
            _, key, waker = self._watches[folder]
            if waker.over or wanted.get(folder) != key:
                self._drop(folder)
        for folder, key in wanted.items():
            if folder not in self._watches and folder not in self._calm:
                self._add(folder, key)

    def _there(self, folders: Iterable[str], kinds: Kinds = ANY_CHANGE) -> dict[str, _Key]:
        return {folder: key for folder in folders if (key := _key(folder, kinds)) is not None}

    def arrivals(self) -> set[str]:
        """The names, without their folders, that were given by a rename within one since the last call: a hint too."""
        return {waker.arrived.popleft() for _, _, waker in self._watches.values() for _ in range(len(waker.arrived))}

    def close(self) -> None:
        for timer in (self._pause, *self._calm.values()):
            if timer is not None:
                timer.cancel()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(2)
        self._loop.unwatch(self._read)
        os.close(self._read)
        os.close(self._write)

    def _add(self, folder: str, key: _Key) -> None:
        try:
            if self._observer is None:
                # It would write to standard error that events were lost, which hints may be.
                logging.getLogger("watchdog").addHandler(logging.NullHandler())
                with deaf_to_signals():
                    observer = Observer()
                    observer.start()
                self._observer = observer
            # The path may lead elsewhere by now: to what is no folder, or where somebody would have to be waited for.
            with trust.hold(folder) as there:
                if _key_of(there.descriptor, key.kinds) != key:
                    return
                path = self._unheard(there.descriptor)
                waker = _Waker(self._ring, path)
                with deaf_to_signals():
                    observed = self._observer.schedule(waker, path, event_filter=list(key.kinds))
            self._watches[folder] = (observed, key, waker)
            self._failed.discard(folder)
        except Elsewhere:
            return
        except (OSError, RuntimeError) as error:
            # RuntimeError: no thread to be had. The slow rescan still sees everything, only later.
            if folder not in self._failed:
                self._failed.add(folder)
                reason = (isinstance(error, OSError) and error.strerror) or str(error)
                self._complain(f"watch {folder}: {reason} -- changes there are seen by the rescan")

    def _unheard(self, descriptor: int) -> str:
        """A path to what is held, under which watchdog knows nothing yet: descriptors have the same few numbers.

        The last dot: watchdog does not follow a link.
        """
        path, known = f"{acl.by_descriptor(descriptor)}/.", {observed.path for observed, _, _ in self._watches.values()}
        while path in known:
            path += "/."
        return path

    def _drop(self, folder: str) -> None:
        watch, _, waker = self._watches.pop(folder)
        waker.mute = True
        assert self._observer is not None
        try:
            self._observer.unschedule(watch)
        except KeyError:
            # Its emitter ended by itself when the folder was removed.
            return

    def _ring(self) -> None:
        """In watchdog's thread."""
        try:
            os.write(self._write, b"\0")
        except OSError:
            # Full: the loop will look anyway. Closed: nobody looks any more.
            return

    def _heard(self) -> None:
        try:
            os.read(self._read, 65536)
        except BlockingIOError:
            return
        # Not even woken meanwhile: what is rung for waits in the pipe.
        self._loop.unwatch(self._read)
        self._calm_storms()
        self._pause = self._loop.call_at(self._loop.now() + PAUSE, self._listen)
        self._hint()

    def _calm_storms(self) -> None:
        for folder, (_, key, waker) in list(self._watches.items()):
            heard, waker.events = waker.events, 0
            if heard > STORM:
                self._drop(folder)
                when = self._loop.now() + CALM
                self._calm[folder] = self._loop.call_at(when, functools.partial(self._watch_again, folder, key.kinds))

    def _watch_again(self, folder: str, kinds: Kinds) -> None:
        """First watch, then look: between the two nothing is missed."""
        del self._calm[folder]
        key = _key(folder, kinds)
        if key is not None:
            self._add(folder, key)
        self._ring()

    def _listen(self) -> None:
        self._loop.watch(self._read, self._heard)


def _key(folder: str, kinds: Kinds) -> _Key | None:
    """None: it is not there, or nobody can look without a wait for somebody."""
    try:
        with trust.hold(folder) as there:
            return _key_of(there.descriptor, kinds)
    except (OSError, Elsewhere):
        return None


def _key_of(descriptor: int, kinds: Kinds) -> _Key:
    found = os.fstat(descriptor)
    return _Key(found.st_dev, found.st_ino, kinds)
