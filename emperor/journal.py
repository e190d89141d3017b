"""The emperor's own log: one line per change of state, one per warning, and the vassals' lines that have no file.

It promises: writing never raises and never waits; every line is stamped, bounded and escaped.

Where our standard error is systemd's journal, a vassal's lines go there under its own identifier, ``emperor/NAME``:
with ``journalctl -t`` they are read alone, ``journalctl -u`` of our unit has them as well, and no vassal can be named
so that its lines pass for another program's. Who wants JSON reads all lines in one place, on standard error.
"""

from __future__ import annotations

import json
import os
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from emperor.supervision import ration
from emperor.supervision.ration import Purse
from emperor.system.journald import INFO, Journald, is_journal
from emperor.system.logs import STANDARD_ERROR, LogFile, append, stamp
from emperor.text import printable

_WORKER = re.compile(r"\[(\d{1,4})\] ")
"""How the line of a worker begins (``crew.hand``)."""


class Journal:
    """``log_format``: text or json. ``opener`` None: standard error."""

    def __init__(self, log_format: str = "text", opener: Callable[[], int] | None = None) -> None:
        self._render = _as_json if log_format == "json" else _as_text
        self._file = LogFile(opener or (lambda: STANDARD_ERROR), self._lost)
        self._purses: dict[int, tuple[Purse, str]] = {}
        """Of each user, and the vassal of his that has printed last."""
        self._own, self._well = opener is not None, True
        in_journal = is_journal(os.environ.get("JOURNAL_STREAM", ""), STANDARD_ERROR)
        self._journald = Journald() if in_journal and not self._own and log_format != "json" else None

    @property
    def error(self) -> str:
        return self._file.error

    def info(self, subject: str, message: str) -> None:
        self._write("info", subject, message)

    def warning(self, subject: str, message: str) -> None:
        self._write("warning", subject, message)

    def fault(self, subject: str, message: str) -> None:
        """Something cannot be as somebody wrote it."""
        self._write("error", subject, message)

    def bug(self, error: BaseException) -> None:
        """An exception of ours that the loop caught: with its traceback, for the bug report."""
        text = "".join(traceback.format_exception(error))
        for line in text.splitlines():
            self._write("bug", "emperor", line)

    @property
    def trouble(self) -> str:
        """Why lines of ours are lost; "": they are not."""
        return f"the emperor's log: {self._file.trouble}" if self._file.trouble else ""

    def look(self) -> None:
        """To be called every few seconds: what is lost is told of also when nobody has anything to say."""
        self._file.catch_up()
        for uid, (purse, vassal) in list(self._purses.items()):
            if purse.lost and ration.is_over(purse, time.monotonic()):
                self._purses[uid] = (replace(purse, lost=0), vassal)
                self._write("warning", vassal, _unheard(purse.lost))

    def line(self, vassal: str, line: str, uid: int | None = None) -> None:
        """A line of a vassal's. ``uid``: whose app prints it, if what all of his print is bounded."""
        if uid is not None:
            purse, _ = self._purses.get(uid, (Purse(since=time.monotonic()), vassal))
            purse, written, lost = ration.pay(purse, len(line), time.monotonic())
            self._purses[uid] = (purse, vassal)
            if lost:
                self._write("warning", vassal, _unheard(lost))
            if not written:
                return
        if self._journald is not None and self._journald.send(_fields(vassal, printable(line))):
            return
        self._write("app", vassal, line)

    def reopen(self) -> None:
        self._file.reopen()

    def _write(self, level: str, subject: str, message: str) -> None:
        line = self._render(level, printable(subject), printable(message))
        well = self._file.write(line)
        if self._own and self._well and not well:
            # In one line to whoever started us; the file itself will say how many were lost.
            append(
                STANDARD_ERROR,
                self._render("warning", "emperor", "--logto: cannot be written -- lines are lost until it can"),
            )
        self._well = well

    def _lost(self, count: int) -> str:
        return self._render("warning", "emperor", f"[{count} lines lost]")


def _unheard(lost: int) -> str:
    return f"[{lost} lines lost: its user's vassals print more than {ration.RATE >> 10} KiB a second into this log]"


def _fields(vassal: str, line: str) -> dict[str, str]:
    fields = {"MESSAGE": line, "PRIORITY": INFO, "SYSLOG_IDENTIFIER": f"emperor/{vassal}", "VASSAL": vassal}
    worker = _WORKER.match(line)
    return {**fields, "WORKER": worker.group(1)} if worker else fields


def _as_text(level: str, subject: str, message: str) -> str:
    mark = {"info": ": ", "app": "| "}.get(level, f": {level}: ")
    return f"{stamp()} {subject}{mark}{message}"


def _as_json(level: str, subject: str, message: str) -> str:
    return json.dumps({"time": round(time.time(), 3), "level": level, "subject": subject, "message": message})
