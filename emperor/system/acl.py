"""POSIX access ACLs as the kernel stores them in the extended attribute ``system.posix_acl_access``.

It promises: what is decoded encodes to the same bytes; an attribute that it does not understand is an error,
never "no ACL". It works on descriptors, so what was looked at is what is changed. It never touches default
ACLs.
Errors: ValueError for bytes that are no ACL; OSError as the kernel gives it.
Sources: acl(5); linux/posix_acl_xattr.h (little endian: u32 version 2, then u16 tag, u16 permissions, u32
id).

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
READ, WRITE, EXECUTE = 4, 2, 1
UNDEFINED = 0xFFFFFFFF
"""The id of an entry that names nobody (ACL_UNDEFINED_ID)."""

O_PATH: int = getattr(os, "O_PATH", 0o10000000)
"""PyPy 3.9 does not name it; the number is that of every architecture but alpha, parisc and sparc."""

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_TAGS = (USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER)
_NONE_HERE = (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Entry:
    """One line of getfacl's output."""

    tag: int
    permissions: int
    id: int = UNDEFINED


def decode(data: bytes) -> tuple[Entry, ...]:
    """The entries in the kernel's order. Raises ValueError."""
    if len(data) < _HEADER.size or (len(data) - _HEADER.size) % _ENTRY.size:
        raise ValueError("an ACL of a wrong length")
    if _HEADER.unpack_from(data)[0] != _VERSION:
        raise ValueError("an ACL of an unknown version")
    entries = tuple(Entry(*fields) for fields in _ENTRY.iter_unpack(data[_HEADER.size :]))
    if any(entry.tag not in _TAGS for entry in entries):
        raise ValueError("an ACL with an unknown tag")
    return entries


def encode(entries: Sequence[Entry]) -> bytes:
    """The inverse of ``decode``, in the order that the kernel demands: by tag, then by id."""
    ordered = sorted(entries, key=lambda entry: (entry.tag, entry.id))
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(entry.tag, entry.permissions, entry.id) for entry in ordered)


def of_mode(mode: int) -> tuple[Entry, ...]:
    """The minimal ACL that says what ``mode`` says."""
    return (
        Entry(USER_OBJ, mode >> 6 & 7),
        Entry(GROUP_OBJ, mode >> 3 & 7),
        Entry(OTHER, mode & 7),
    )


def writers(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries that let somebody write, after the mask (acl(5), "Access Check Algorithm")."""
    mask = next((entry.permissions for entry in entries if entry.tag == MASK), 7)
    limits = {USER_OBJ: 7, USER: mask, GROUP_OBJ: mask, GROUP: mask, OTHER: 7}
    return tuple(entry for entry in entries if entry.permissions & limits.get(entry.tag, 0) & WRITE)


def granted(entries: Sequence[Entry], gid: int) -> tuple[Entry, ...]:
    """``entries`` with ``group:gid:rw-``; the mask lets just that through in addition."""
    kept = without(entries, gid)
    masks = [entry for entry in kept if entry.tag == MASK]
    group_bits = [entry for entry in kept if entry.tag == GROUP_OBJ]
    allowed = (masks or group_bits)[0].permissions | READ | WRITE
    others = tuple(entry for entry in kept if entry.tag != MASK)
    return (*others, Entry(GROUP, READ | WRITE, gid), Entry(MASK, allowed))


def without(entries: Sequence[Entry], gid: int) -> tuple[Entry, ...]:
    """``entries`` minus the one that names the group ``gid``; a mask that limits nobody any more goes too."""
    kept = tuple(entry for entry in entries if (entry.tag, entry.id) != (GROUP, gid))
    if any(entry.tag in (USER, GROUP) for entry in kept):
        return kept
    return tuple(entry for entry in kept if entry.tag != MASK)


def by_descriptor(descriptor: int) -> str:
    """A path to exactly this inode: an O_PATH descriptor knows no fchmod, fchown and fgetxattr (open(2))."""
    return f"/proc/self/fd/{descriptor}"


def read(descriptor: int) -> tuple[Entry, ...]:
    """The access ACL; () if there is none, or if the filesystem has none. Raises OSError, ValueError."""
    try:
        return decode(os.getxattr(by_descriptor(descriptor), _ATTRIBUTE))
    except OSError as error:
        if error.errno in _NONE_HERE:
            return ()
        raise


def grant_group(descriptor: int, gid: int) -> bool:
    """Let the group read and write. False: the filesystem has no ACLs, nothing changed. Raises OSError."""
    existing = read(descriptor) or of_mode(stat.S_IMODE(os.fstat(descriptor).st_mode))
    return _write(descriptor, granted(existing, gid))


def revoke_group(descriptor: int, gid: int) -> bool:
    """Take back what ``grant_group`` gave. False: there was nothing to take back. Raises OSError."""
    existing = read(descriptor)
    kept = without(existing, gid)
    return len(kept) < len(existing) and _write(descriptor, kept)


def _write(descriptor: int, entries: Sequence[Entry]) -> bool:
    try:
        os.setxattr(by_descriptor(descriptor), _ATTRIBUTE, encode(entries))
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):
            return False
        raise
    return True
