"""May a look at this file have to wait for somebody? Which filesystem it lies on decides.

It promises: it asks the kernel alone, never the filesystem, so its own answer waits for nobody. What lies on a disk of
this machine, or in its memory, is near; what a program (FUSE) or another machine answers for, and what it does not
know, is not. The filesystem that / is on is near, whatever it is: this program lies there too.

Sources: statx(2), proc_pid_mountinfo(5), fuse(4).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

# fmt: off
NEAR = frozenset((
    "aufs", "bcachefs", "btrfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4",
    "f2fs", "iso9660", "jfs", "nilfs2", "ntfs3", "overlay", "proc", "ramfs", "reiserfs", "rootfs", "squashfs", "sysfs",
    "tmpfs", "ubifs", "udf", "vfat", "xfs", "zfs",
))
# fmt: on

_HERE, _NO_FOLLOW, _EMPTY_PATH, _NO_AUTOMOUNT, _DONT_SYNC = -100, 0x100, 0x1000, 0x800, 0x4000
_MOUNT_ID = 0x1000
_ALL = 0x7FF | _MOUNT_ID
_HEAD = struct.Struct("=IIQIIIHHQQQQ")
_TIMES = struct.Struct("=qIiqIiqIiqIi")
_TAIL = struct.Struct("=IIIIQ")


class Elsewhere(Exception):
    """The path leads to a filesystem that may not answer; ``mount``: its number."""

    def __init__(self, path: str, mount: int) -> None:
        super().__init__(path)
        self.path, self.mount = path, mount


class Seen(NamedTuple):
    """What the kernel remembers of a file; times in nanoseconds. ``mount`` 0: it does not tell (before Linux 5.8)."""

    mount: int
    device: int
    inode: int
    mode: int
    size: int
    mtime: int
    ctime: int


class Mount(NamedTuple):
    """``mounter``: the uid of the one whose program answers (FUSE), else 0."""

    kind: str
    mounter: int


class Mounts:
    """What is mounted at this moment; make a new one for each look.

    ``roots``: whatever root has mounted counts as near, too; what a user's own program answers for never does.
    """

    def __init__(self, roots: bool = False) -> None:
        self._roots = roots
        self._call = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
        self._answer = ctypes.create_string_buffer(256)
        self._table: dict[int, Mount] | None = None
        self._root = self._ask(_HERE, b"/", 0).mount if self._call is not None else 0

    def seen(self, folder: int, name: str) -> Seen:
        """Of the name itself, no link is followed. ``folder``: a descriptor of a near one. Raises OSError."""
        return self._ask(folder, os.fsencode(name), _NO_FOLLOW)

    def require(self, fd: int, path: str) -> Seen:
        """What it is. Raises OSError, Elsewhere. ``path`` is for the words alone."""
        seen = self._ask(fd, b"", _EMPTY_PATH)
        if not self.is_near(seen.mount):
            raise Elsewhere(path, seen.mount)
        return seen

    def is_near(self, mount: int) -> bool:
        if mount in (0, self._root):
            return True
        known = self._mount(mount)
        return known is None or known.kind in NEAR or (self._roots and known.mounter == 0 and known.kind != "unknown")

    def answers_for(self, mount: int) -> int:
        """The uid of the one whose program answers for it; 0: nobody but the kernel, or root."""
        known = self._mount(mount)
        return known.mounter if known is not None else 0

    def mounter(self, fd: int) -> int:
        """Who answers for what lies there, if that is a program of somebody's; 0: nobody but the kernel, or root."""
        mount = self._ask(fd, b"", _EMPTY_PATH).mount
        known = self._mount(mount) if mount not in (0, self._root) else None
        return known.mounter if known is not None else 0

    def _mount(self, number: int) -> Mount | None:
        """None: nothing is told of any mount."""
        if self._table is None or number not in self._table:
            self._table = dict(_mounts())
        return self._table.get(number, Mount("unknown", 0)) if self._table else None

    def _ask(self, fd: int, path: bytes, flags: int) -> Seen:
        if self._call is None:
            at = None if fd == _HERE else fd
            there = os.stat(path, dir_fd=at, follow_symlinks=not flags & _NO_FOLLOW) if path else os.fstat(fd)
            times = there.st_mtime_ns, there.st_ctime_ns
            return Seen(0, there.st_dev, there.st_ino, there.st_mode, there.st_size, *times)
        answer = self._answer
        if self._call(fd, path, flags | _NO_AUTOMOUNT | _DONT_SYNC, _ALL, answer) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return _seen(answer.raw)


def _seen(data: bytes) -> Seen:
    mask, _, _, _, _, _, mode, _, inode, size, *_ = _HEAD.unpack_from(data)
    times = _TIMES.unpack_from(data, _HEAD.size)
    _, _, major, minor, mount = _TAIL.unpack_from(data, _HEAD.size + _TIMES.size)
    ctime, mtime = times[6] * 10**9 + times[7], times[9] * 10**9 + times[10]
    return Seen(mount if mask & _MOUNT_ID else 0, os.makedev(major, minor), inode, mode, size, mtime, ctime)


def _mounts() -> Iterator[tuple[int, Mount]]:
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines,
    ):
        for line in lines:
            head, _, tail = line.partition(" - ")
            kind, _, options = tail.split()[:3]
            yield int(head.split()[0]), Mount(kind, _mounter(kind, options))


def _mounter(kind: str, options: str) -> int:
    given = [one.partition("=")[2] for one in options.split(",") if one.startswith("user_id=")]
    return int(given[0]) if given and kind.startswith("fuse") else 0
