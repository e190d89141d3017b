"""The signature of a file: what changes when it is written, touched, replaced or given away. It opens nothing."""

from __future__ import annotations

import os
import stat

from emperor.supervision.quiet import Mark, Signature
from emperor.system import trust
from emperor.system.mounts import Elsewhere, Mounts, Seen


def signature(path: str) -> Signature:
    """Changes when the file, or what its link leads to, is written, touched, replaced, or given away."""
    try:
        link = os.lstat(path)
    except OSError:
        return None
    try:
        end = os.stat(path)
    except OSError as error:
        # A dangling link is a file that is there and wrong, not one that is gone.
        return (link.st_ino, link.st_mtime_ns, error.errno)
    return Mark(link.st_ino, link.st_mtime_ns, end.st_dev, end.st_ino, end.st_size, end.st_mtime_ns, end.st_ctime_ns)


def near_signature(path: str, seen: Seen, mounts: Mounts) -> Signature:
    """The same, of a file whose folder is near, without a wait for anybody; ``seen``: the name itself. Elsewhere."""
    if not mounts.is_near(seen.mount):
        raise Elsewhere(path, seen.mount)
    if not stat.S_ISLNK(seen.mode):
        return Mark(seen.inode, seen.mtime, seen.device, seen.inode, seen.size, seen.mtime, seen.ctime)
    try:
        end = trust.end_of(path)
    except OSError as error:
        return (seen.inode, seen.mtime, error.errno)
    return Mark(seen.inode, seen.mtime, end.st_dev, end.st_ino, end.st_size, end.st_mtime_ns, end.st_ctime_ns)


def as_read(opened: trust.Reading) -> Mark:
    """The signature that a file had when it was read."""
    device, inode, size, mtime, ctime, *_, link_mtime, link = opened.signature
    return Mark(link, link_mtime, device, inode, size, mtime, ctime)


def content(mark: Signature) -> Signature:
    """The part of a signature that only writing or touching changes."""
    return mark[:-1] if isinstance(mark, tuple) else mark
