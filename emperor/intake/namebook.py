"""Which user's vassal has had which name, kept on disk for as long as the emperor's folder is.

It promises: a restart of the emperor gives nobody another user's name. The file lies in the runtime folder, which only
the emperor can write; what cannot be read of it is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection

MOST = 20_000
"""Names; the oldest of those whose ini is gone are forgotten first."""


class NameBook:
    """name → uid. ``runtime``: the folder; "": nothing is kept over the end of the process."""

    def __init__(self, runtime: str = "") -> None:
        self._file = os.path.join(runtime, "names.json") if runtime else ""
        self.kept: dict[str, int] = {}
        self._unsaved = False
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            if self._file:
                with open(self._file, encoding="utf-8") as file:
                    self.kept = {str(name): int(uid) for name, uid in json.load(file).items()}

    def note(self, name: str, uid: int | None) -> None:
        """It is theirs from now on. None: an administrator's, so that it is nobody's once it is gone."""
        if self.kept.get(name) == uid:
            return
        self._unsaved = True
        if uid is None:
            del self.kept[name]
        else:
            self.kept[name] = uid

    def save(self, there: Collection[str]) -> None:
        """``there``: the names that are in use. A disk that is full costs what was noted at the emperor's end."""
        if not self._unsaved:
            return
        surplus = len(self.kept) - MOST
        for name in [one for one in self.kept if one not in there][: max(0, surplus)]:
            del self.kept[name]
        self._unsaved = False
        if self._file:
            with contextlib.suppress(OSError):
                draft = f"{self._file}~"
                with open(draft, "w", encoding="utf-8") as file:
                    json.dump(self.kept, file)
                os.rename(draft, self._file)
