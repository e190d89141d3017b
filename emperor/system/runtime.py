"""The runtime folder: where programs that root starts and sockets that people trust lie, so it must be ours alone.

It promises: after ``prepare`` nobody but root and the emperor's user can write the folder or anything on the way to
it; a folder that is made on the way is judged before the next one is made in it.
Errors: EmperorError, naming the folder and who can write it.
"""

from __future__ import annotations

import os
import stat

from emperor.errors import EmperorError
from emperor.system import trust
from emperor.text import printable

NOT_STARTED = "this emperor does not start (--control-socket names another folder)"


def prepare(runtime: str, euid: int) -> None:
    """Make the folder, 0755, if it is missing; require that it is ours."""
    runtime = os.path.abspath(runtime)
    for folder in _missing(runtime):
        try:
            os.mkdir(folder, 0o755)
            made = True
        except FileExistsError:
            made = False
        except OSError as error:
            raise EmperorError(f"runtime folder {printable(folder)}: mkdir: {error.strerror} -- {NOT_STARTED}")
        _require(folder, euid)
        if made:
            # The umask may have taken what vassals need: their launcher lies below.
            os.chmod(folder, 0o755)
    _require(runtime, euid)


def flaw(path: str, euid: int, kind: int) -> str:
    """Why what lies at ``path`` is not ours alone, or ""; ``kind`` is ``stat.S_IFDIR`` or ``S_IFREG``."""
    try:
        there = os.lstat(path)
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_IFMT(there.st_mode) != kind:
        return "is not a folder" if kind == stat.S_IFDIR else "is not a regular file"
    if there.st_uid != euid:
        return f"belongs to somebody else (uid {there.st_uid})"
    return "its group or others can write it" if there.st_mode & 0o022 else ""


def _missing(folder: str) -> list[str]:
    """From the top down."""
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


def _require(folder: str, euid: int) -> None:
    standing = trust.only_ours(folder, euid)
    if not standing or standing.missing:
        reason = standing.reason or "a link to nothing"
        raise EmperorError(f"runtime folder {printable(folder)}: not ours alone: {reason} -- {NOT_STARTED}")
