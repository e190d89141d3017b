"""Numbers and names of a snapshot in the words that a person reads. Pure, but for the names of users."""

from __future__ import annotations

import grp
import pwd
import signal
from collections.abc import Mapping
from typing import Any, Union

from emperor.text import printable


def duration(seconds: float) -> str:
    """supervisorctl's form, ``0:08:05``: Python's of a timedelta, whose module takes long to import."""
    days, rest = divmod(max(0, int(seconds)), 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{plural(days, 'day')}, {clock}" if days else clock


def span(seconds: float) -> str:
    """How long, or how long ago: ``40 s``; from a minute on as ``duration``."""
    return f"{max(0, int(seconds))} s" if seconds < 60 else duration(seconds)


def soon(seconds: float) -> str:
    """In how long. Rounded up: "in 0 s" reads as if it did not happen."""
    return span(max(1, -int(-seconds // 1)))


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def mebibytes(size: float) -> str:
    return f"{size / 1048576:.1f} MiB"


def endpoint(address: Any) -> str:
    """A path or ``@abstract`` as ``unix:…``, as web servers write it; TCP as it is."""
    text = printable(str(address))
    return f"unix:{text}" if text.startswith(("/", "@")) else text


def octal(mode: Union[int, str, None]) -> str:
    if mode is None:
        return ""
    return f"{mode:04o}" if isinstance(mode, int) else printable(mode)


def signal_name(number: Union[int, str]) -> str:
    if isinstance(number, str):
        return printable(number)
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_reason(last_exit: Mapping[str, Any]) -> str:
    """How the last one ended, with the signal's name, and why if anybody knows."""
    number, code = last_exit.get("signal"), last_exit.get("code")
    reason = printable(str(last_exit.get("reason") or ""))
    if number:
        name = signal_name(number)
        if not reason:
            return f"killed by {name}"
        return reason if name in reason else f"{reason} ({name})"
    return reason or ("" if code is None else f"exited with code {code}")


def user_name(uid: Any) -> str:
    if not isinstance(uid, int):
        return printable(str(uid))
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: Any) -> str:
    if not isinstance(gid, int):
        return printable(str(gid))
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def problem_text(problem: Any) -> str:
    """``path:line: option: message`` of a Problem that came as JSON, or as text already."""
    if not isinstance(problem, Mapping):
        return printable(str(problem))
    line = problem.get("line")
    where = f"{problem.get('path', '')}:{line}" if line else str(problem.get("path", ""))
    text = ": ".join(str(part) for part in (where, problem.get("option"), problem.get("message")) if part)
    return printable(text if problem.get("fatal", True) else f"warning: {text}")
