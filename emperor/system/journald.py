"""Lines for systemd's journal, each under its own identifier.

It promises: it speaks only if our standard error is the journal anyway; a line costs one datagram, never waits, and
either is in the journal's queue or has to be written elsewhere by who asked. No field can end before its value does.

Sources: systemd's "Native Journal Protocol", systemd.journal-fields(7), JOURNAL_STREAM in systemd.exec(5).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
INFO = "6"
"""As sd-daemon(3) takes what is printed without a level."""


class Journald:
    """``path``: where the journal listens; looked up with each line, for the journal may be started anew."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def send(self, fields: Mapping[str, str]) -> bool:
        """False: the journal does not take it now, or is not there."""
        try:
            self._socket.sendto(datagram(fields), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def datagram(fields: Mapping[str, str]) -> bytes:
    """A value in which a line ends goes with its length, as the protocol wants it."""
    parts = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            parts.append(b"%s\n%s%s\n" % (name.encode("ascii"), struct.pack("<Q", len(value)), value))
        else:
            parts.append(b"%s=%s\n" % (name.encode("ascii"), value))
    return b"".join(parts)


def is_journal(stream: str, fd: int) -> bool:
    """``stream``: $JOURNAL_STREAM, "device:inode"; whoever redirects us inherits the variable all the same."""
    device, _, inode = stream.partition(":")
    try:
        there = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))
