"""Which socket files we bound, by device and inode, kept on disk: the only ones that are ever unlinked.

The next emperor reads it after a crash of this one. It lies in the runtime folder, which only the emperor can write.
"""

from __future__ import annotations

import contextlib
import json
import os

from emperor.system.listeners import Place


class PlaceBook:
    """path → (Place, uid of who bound it). ``single``: of one vassal that runs without a daemon."""

    def __init__(self, runtime: str, single: str = "") -> None:
        self._file = os.path.join(runtime, f"run-{single}.json" if single else "sockets.json")
        self._places: dict[str, tuple[Place, int]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError), open(self._file, encoding="utf-8") as file:
            for path, (device, inode, uid) in dict(json.load(file)).items():
                self._places[path] = (Place(device, inode), uid)

    def find(self, path: str, uid: int) -> Place | None:
        """What ``uid`` bound there before."""
        place, binder = self._places.get(path, (None, -1))
        return place if binder == uid else None

    def note(self, path: str, place: Place, uid: int) -> None:
        self._places[path] = (place, uid)
        self._save()

    def strike(self, path: str) -> None:
        if self._places.pop(path, None) is not None:
            self._save()

    def _save(self) -> None:
        # Losing it costs a stale file that an operator has to remove, never a file of somebody else.
        raw = {path: (place.device, place.inode, uid) for path, (place, uid) in self._places.items()}
        draft = self._file + ".new"
        with contextlib.suppress(OSError):
            if not raw:
                os.unlink(self._file)
                return
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(raw, file)
            os.replace(draft, self._file)
