"""Where one vassal's lines go: always into its ring; into ``logto`` if root may open that, else to the journal.

A ``logto`` in a folder of the vassal's user is opened and written by the vassal itself, never from here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from emperor.config.placement import EMPEROR, opener
from emperor.journal import Journal
from emperor.model import NOBODY, Authority, VassalSpec
from emperor.system import trust
from emperor.system.logs import LogFile, Ring, open_for_append, stamp
from emperor.text import printable


class VassalLog:
    """One log over all generations; each spec says where its lines go, and who may open that."""

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.ring = Ring()
        self.kept_by_vassal = False
        self._journal = journal
        self._path = ""
        self._authority = Authority(NOBODY)
        self._file: LogFile | None = None
        self._lost = 0

    def follow(self, spec: VassalSpec) -> None:
        """Before a generation starts: write where its spec says."""
        if (spec.logto, spec.authority) == (self._path, self._authority):
            if self._file is not None and self._file.error:
                # What was in the way may be gone by now.
                self.reopen()
            return
        self.close()
        self._path, self._authority = spec.logto, spec.authority
        self.kept_by_vassal = bool(spec.logto) and not self._may_open(spec.logto)
        if spec.logto and not self.kept_by_vassal:
            self._file = LogFile(self._open)
            self._complain()

    @property
    def warning(self) -> str:
        """What is wrong with the file, while it is; "": nothing, or there is none."""
        if self._file is None:
            return ""
        if self._file.error:
            return f"logto {self._path}: {self._file.error} -- its lines are in the emperor's log"
        if self._lost:
            return f"logto {self._path}: {self._lost} lines could not be written -- is the disk full?"
        return ""

    def say(self, line: str) -> None:
        """A line that came raw: from its standard error, or from us about it."""
        line = printable(line)
        self.ring.add(f"{stamp()} {line}")
        if self._file is not None and not self._file.error:
            before = self._file.dropped
            self._file.write(f"{stamp()} {line}")
            # One that can be written again is well again.
            self._lost = self._lost + 1 if self._file.dropped > before else 0
        elif not self.kept_by_vassal:
            self._journal.line(self.name, line)

    def hear(self, lines: Sequence[str], dropped: int) -> None:
        """``dropped``: how many were lost before these."""
        if dropped:
            self.say(f"[{dropped} lines lost]")
        for line in lines:
            self.say(line)

    def reopen(self) -> None:
        if self._file is not None:
            self._file.reopen()
            self._complain()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._path, self._lost = None, "", 0

    def _complain(self) -> None:
        if self._file is not None and self._file.error:
            self._journal.warning(self.name, f"logto {self._path}: {self._file.error} -- its lines stay here")

    def _may_open(self, path: str) -> bool:
        ours = trust.only_ours(os.path.dirname(path), os.geteuid())
        return opener(self._authority, ours.ours) == EMPEROR

    def _open(self) -> int:
        # Asked anew each time: what was root's folder at the start may be somebody else's by now.
        if not self._may_open(self._path):
            raise PermissionError(13, "its folder is not root's alone")
        return open_for_append(self._path)
