"""Where one vassal's lines go: always into its ring; into ``logto`` if root may open that, else to the journal.

A ``logto`` in a folder of the vassal's user is opened and written by the vassal itself, never from here. While that
says that it cannot, its lines come to the journal as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from emperor.config.placement import EMPEROR, opener
from emperor.journal import Journal
from emperor.model import NOBODY, Authority, VassalSpec
from emperor.supervision.stats_word import ANSWERS, stats_word
from emperor.system import trust
from emperor.system.logs import LogFile, open_for_append, stamp, word_on, written_again
from emperor.system.ring import Ring
from emperor.system.rotation import Rotation
from emperor.text import printable


class VassalLog:
    """One log over all generations; each spec says where its lines go, and who may open that."""

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.ring = Ring()
        self.kept_by_vassal = False
        self._journal = journal
        self._wish: tuple[str, Authority, int, int] = ("", Authority(NOBODY), 0, 0)
        self._file: LogFile | None = None
        self._lost = 0
        self._uid: int | None = None
        self._stuck = self._vassals_word = ""
        self._stats = ""
        self.stats_warning = ""
        """In the words of the vassal that cannot tell its numbers; "": it can, or is not to."""

    @property
    def _path(self) -> str:
        return self._wish[0]

    def follow(self, spec: VassalSpec) -> None:
        """Before a generation starts: write where its spec says."""
        self._uid = spec.identity.uid if spec.identity.uid != os.geteuid() else None
        wish = (spec.logto, spec.authority, spec.log_maxsize, spec.log_keep)
        # The new one says itself if it cannot write.
        self._vassals_word = self.stats_warning = ""
        self._stats = stats_word(str(spec.stats), "") if spec.stats is not None else ""
        if wish == self._wish:
            if self._file is not None and self._file.error:
                # What was in the way may be gone by now.
                self.reopen()
            return
        self.close()
        self._wish = wish
        self.kept_by_vassal = bool(spec.logto) and not self._may_open()
        if spec.logto and not self.kept_by_vassal:
            self._file = LogFile(self._open, rotation=self._rotation(spec))
            self._complain()

    @property
    def warning(self) -> str:
        """What is wrong with the file, while it is; "": nothing, or there is none."""
        if self.kept_by_vassal:
            return self._vassals_word
        if self._file is None:
            return ""
        if self._file.error:
            return f"logto {self._path}: {self._file.error} -- its lines are in the emperor's log"
        if self._lost:
            return f"logto {self._path}: {self._lost} lines could not be written -- is the disk full?"
        return word_on(self._path, self._file.trouble) if self._file.stuck else ""

    @property
    def vassals_word(self) -> str:
        """What a vassal that keeps its log itself has said is wrong with it, and not taken back; "": nothing."""
        return self._vassals_word if self.kept_by_vassal else ""

    def recall(self, word: str, stats: str = "") -> None:
        """As it was said to an older program of ours: it is not said again as long as nothing changes."""
        self._vassals_word, self.stats_warning = word, stats

    def say(self, line: str) -> None:
        """A line that came raw: from its standard error, or from us about it."""
        self._say([line])

    def note(self, line: str) -> None:
        """A line of ours that stands between the app's: the journal says the same in its own words."""
        stamped = f"{stamp()} {printable(line)}"
        self.ring.add(stamped)
        self._write([stamped])

    def hear(self, lines: Sequence[str], dropped: int) -> None:
        """What came at once has one time. ``dropped``: how many were lost before these."""
        together = [f"[{dropped} lines lost]"] if dropped else []
        for line in lines:
            if self.kept_by_vassal and line.startswith(word_on(self._path, "")):
                # Its own word: a worker's lines begin otherwise. What came before was said without it.
                self._say(together)
                together = []
                self._vassals_word = "" if line == written_again(self._path) else printable(line)
            elif self._stats and line.startswith(self._stats):
                self.stats_warning = "" if line == self._stats + ANSWERS else printable(line)
            together.append(line)
        self._say(together)

    def _say(self, raw: Sequence[str]) -> None:
        now, lines = stamp(), [printable(one) for one in raw]
        stamped = [f"{now} {line}" for line in lines]
        for line in stamped:
            self.ring.add(line)
        written = self._write(stamped)
        if not written and (not self.kept_by_vassal or self._vassals_word):
            for line in lines:
                self._journal.line(self.name, line, self._uid)

    def _write(self, stamped: Sequence[str]) -> bool:
        """False: there is no file of ours that takes lines."""
        if self._file is not None:
            self._file.heal()
        if self._file is None or self._file.error:
            return False
        before = self._file.dropped
        self._file.write_all(stamped)
        # One that can be written again is well again.
        lost = self._file.dropped - before
        self._lost = self._lost + lost if lost else 0
        self._complain_if_stuck()
        return True

    def reopen(self) -> None:
        if self._file is not None:
            self._file.reopen()
            self._complain()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._wish, self._lost = None, ("", Authority(NOBODY), 0, 0), 0
        self._stuck = self._vassals_word = ""

    def _complain(self) -> None:
        if self._file is not None and self._file.error:
            self._journal.warning(self.name, f"logto {self._path}: {self._file.error} -- its lines stay here")

    def _complain_if_stuck(self) -> None:
        assert self._file is not None
        if self._file.stuck and self._file.stuck != self._stuck:
            self._journal.warning(self.name, f"logto {self._path}: cannot be rotated: {self._file.stuck} -- it grows")
        self._stuck = self._file.stuck

    def _rotation(self, spec: VassalSpec) -> Rotation | None:
        if not spec.log_maxsize:
            return None
        return Rotation(spec.logto, spec.log_maxsize, spec.log_keep, self._may_open)

    def _may_open(self) -> bool:
        path, authority = self._wish[:2]
        ours = trust.only_ours(os.path.dirname(path), os.geteuid(), near=True, roots=True)
        return opener(authority, ours.ours) == EMPEROR

    def _open(self) -> int:
        # Asked anew each time: what was root's folder at the start may be somebody else's by now.
        if not self._may_open():
            raise PermissionError(13, "its folder is not root's alone")
        return open_for_append(self._path)
