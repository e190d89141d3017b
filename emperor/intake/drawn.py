"""Files that inis draw in (``include``, ``inherit``, ``@(file)``, defaults): when one of them changes, whose ini is
read again?

Only files that an administrator alone can write are ever looked at. A touch is no news here: whoever wants a reload
touches the ini.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace

from emperor.intake.marks import near_signature
from emperor.supervision import quiet
from emperor.supervision.quiet import Look, Signature
from emperor.system import trust
from emperor.system.ground import Ground
from emperor.system.mounts import Elsewhere


class Drawn:
    """Which vassal's ini draws in which files."""

    def __init__(self) -> None:
        self._of: dict[str, frozenset[str]] = {}
        self._look = Look()

    def follow(self, name: str, marks: Mapping[str, Signature]) -> None:
        """The ini of ``name`` was read, and these files with it, when they had these signatures; {}: it is gone."""
        if not marks and name not in self._of:
            return
        self._of[name] = frozenset(marks)
        if not marks:
            del self._of[name]
        wanted = frozenset[str]().union(*self._of.values())
        kept = {path: mark for path, mark in self._look.known.items() if path in wanted}
        # What another ini drew in before stays as that one saw it: it has yet to be told of what is new.
        fresh = {path: mark for path, mark in marks.items() if mark is not None and path not in kept}
        moving = {path: one for path, one in self._look.moving.items() if path in wanted}
        self._look = replace(self._look, known={**fresh, **kept}, moving=moving)

    def look(self, now: float) -> list[str]:
        """The vassals whose files have changed and come to rest."""
        if not self._of:
            return []
        with contextlib.closing(Ground()) as ground:
            seen = {path: self._seen(path, ground) for path in frozenset[str]().union(*self._of.values())}
        self._look, ripe = quiet.look(self._look, seen, now)
        changed = frozenset(ripe)
        return sorted(name for name, paths in self._of.items() if paths & changed)

    def _seen(self, path: str, ground: Ground) -> Signature:
        """Where nobody may answer, nothing is looked at: who draws such a file in is reloaded by hand."""
        try:
            return near_signature(path, ground.seen(path), ground.mounts)
        except Elsewhere:
            return self._look.known.get(path)
        except OSError:
            return None

    def next_look(self) -> float | None:
        return quiet.next_look(self._look)

    def folders(self) -> set[str]:
        """Those where a look waits for nobody."""
        return set(filter(_is_near, {os.path.dirname(path) for paths in self._of.values() for path in paths}))


def _is_near(folder: str) -> bool:
    try:
        trust.end_of(folder)
    except Elsewhere:
        return False
    except OSError:
        return True
    return True
