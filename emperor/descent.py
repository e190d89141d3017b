"""What root leaves in its own folders for the user that its emperor becomes (``--uid``), as its last act.

uWSGI opens its log and writes its pid before it drops root, so published command lines name files in /var/log and
/run. Here the empty files are made for the user, who opens them. It promises: nothing that is there already is given
away, opened or followed, and nothing is made where anybody but root can write.
"""

from __future__ import annotations

import contextlib
import os
import stat

from emperor.model import Identity
from emperor.system import trust

LOG, PID = 0o640, 0o644


def take_folder(folder: str, identity: Identity, dry: bool) -> bool:
    """Is ``folder`` for ``identity``? It is made if it is missing. ``dry``: make nothing."""
    try:
        there = os.lstat(folder)
    except OSError:
        return dry or _make(folder, identity)
    return stat.S_ISDIR(there.st_mode) and there.st_uid == identity.uid


def _make(folder: str, identity: Identity) -> bool:
    if not trust.only_ours(os.path.dirname(folder), 0):
        return False
    try:
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)
        os.chown(folder, identity.uid, identity.gid)
    except OSError:
        return False
    return True


def leave_file(path: str, identity: Identity, mode: int) -> None:
    """An empty file of ``identity``'s, if nothing is there. What cannot be made is found out by who opens it."""
    if not trust.only_ours(os.path.dirname(path), 0):
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        fd = os.open(path, flags, mode)
        try:
            os.fchmod(fd, mode)
            os.fchown(fd, identity.uid, identity.gid)
        finally:
            os.close(fd)
