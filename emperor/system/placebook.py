"""Which socket files we bound, by device and inode, kept on disk: the only ones that are ever unlinked.

The next emperor reads it after a crash of this one. It lies in the runtime folder, which only the emperor can write.
It promises: a book has one keeper. Two would strike each other's notes, and unlink each other's living sockets.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from emperor.errors import EmperorError
from emperor.system.drafts import is_draft
from emperor.system.listeners import Place

BRIEFLY = 0.05
"""Seconds for which the file may lag behind while much is noted at once: as long as a crash could make us forget."""


class PlaceBook:
    """path → (Place, uid of who bound it). ``single``: of one vassal that runs without a daemon.

    EmperorError: another emperor keeps the same book. Ours is locked until ``release``, or the end of the process.
    ``lock``: the descriptor of a lock that this very process has already, from before it re-executed its program.
    """

    def __init__(self, runtime: str, single: str = "", lock: int = -1) -> None:
        self._file = os.path.join(runtime, f"run-{single}.json" if single else "sockets.json")
        self._lock = lock if lock >= 0 else _lock(f"{self._file}.lock", runtime)
        if lock >= 0:
            os.set_inheritable(lock, False)
        self._places: dict[str, tuple[Place, int]] = {}
        self._gathering, self._unsaved, self._saved_at = False, False, 0.0
        with contextlib.suppress(OSError, ValueError, TypeError), open(self._file, encoding="utf-8") as file:
            for path, (device, inode, uid) in dict(json.load(file)).items():
                self._places[path] = (Place(device, inode), uid)

    def find(self, path: str, uid: int) -> Place | None:
        """What ``uid`` bound there before."""
        place, binder = self._places.get(path, (None, -1))
        return place if binder == uid else None

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock, for as long as it is open anywhere (flock(2)); -1: there is none."""
        return self._lock

    def where(self, place: Place) -> str:
        """The path under which this very file was noted; "": none. The kernel knows only that of its binding."""
        return next((path for path, (known, _) in self._places.items() if known == place), "")

    def drafts(self) -> dict[str, Place]:
        """Socket files that were bound under a temporary name, by this emperor or one before it."""
        return {path: place for path, (place, _) in self._places.items() if is_draft(path)}

    def note(self, path: str, place: Place, uid: int) -> None:
        self._places[path] = (place, uid)
        self._changed()

    def strike(self, path: str) -> None:
        if self._places.pop(path, None) is not None:
            self._changed()

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Much is noted, or struck, at once: the file is not written for each of a thousand, but now and then, and in
        the end."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            if self._unsaved:
                self._save()

    def release(self) -> None:
        """Let another emperor keep it. The file of the lock stays: unlinked, it could be locked twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _changed(self) -> None:
        self._unsaved = True
        if not self._gathering or time.monotonic() - self._saved_at >= BRIEFLY:
            self._save()

    def _save(self) -> None:
        self._unsaved, self._saved_at = False, time.monotonic()
        # Losing it costs a stale file that an operator has to remove, never a file of somebody else.
        raw = {path: (place.device, place.inode, uid) for path, (place, uid) in self._places.items()}
        draft = self._file + ".new"
        with contextlib.suppress(OSError):
            if not raw:
                os.unlink(self._file)
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            with open(draft, "x", encoding="utf-8", opener=_open_new) as file:
                json.dump(raw, file)
            os.replace(draft, self._file)


def _open_new(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _lock(path: str, runtime: str) -> int:
    """A descriptor that holds the lock; -1: there is no folder, so there is nothing to keep either."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise EmperorError(f"{path}: lock: {error.strerror} -- this emperor does not start")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        os.close(lock)
        who = f"another emperor (pid {pid})" if pid.isdigit() else "another emperor"
        raise EmperorError(f"{who} keeps its sockets in {runtime} -- this emperor does not start") from None
    return lock
