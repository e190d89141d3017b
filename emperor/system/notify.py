"""Tell systemd how we are: the sd_notify(3) protocol, without libsystemd.

It promises: without NOTIFY_SOCKET every call is a no-op; no call raises, or waits longer than a second,
because a deaf service manager must not stop a healthy service. It never changes the environment: whoever
starts vassals keeps NOTIFY_SOCKET and WATCHDOG_* out of theirs.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Optional

_WAIT = struct.pack("ll", 1, 0)

DEAF = 10.0
"""Seconds for which nobody waits once more for one that did not listen: there may be hundreds of words to say."""


class Notifier:
    """``watchdog``: seconds within which systemd wants to hear ``alive()``; None: it does not ask."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = parse_socket(environ.get("NOTIFY_SOCKET", ""))
        self._socket: Optional[socket.socket] = None
        self._deaf_until = 0.0
        self.watchdog = parse_watchdog(environ, os.getpid())
        if self._address:
            with contextlib.suppress(OSError):
                # Python's sockets are close-on-exec. Not connected: a re-executed systemd binds the path
                # anew.
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                # A full queue waits in the kernel; settimeout() would spin, as such a socket always polls
                # writable.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _WAIT)

    @property
    def speaks(self) -> bool:
        """Is there a service manager that listens?"""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Start-up, or a reload, is over. To be said after every signal handler is installed."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(*_status(text))

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """A reload begins; ``ready()`` ends it. MONOTONIC_USEC is what ``Type=notify-reload`` compares."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def extend(self, seconds: float) -> None:
        """While we start, reload or stop: do not lose patience for so long from now (sd_notify(3))."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def alive(self) -> None:
        """The watchdog's ping; at half of ``watchdog``, says sd_watchdog_enabled(3)."""
        self._send("WATCHDOG=1")

    def store(self, name: str, fd: int) -> bool:
        """Let the service manager keep a copy of this descriptor for our next start (sd_pid_notify_with_fds(3)).

        Without FDPOLL=0 it would let go of a listener that is shut down for a moment. False: it was not told.
        """
        return self._send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=[fd])

    def unstore(self, name: str) -> bool:
        """It need not keep what is stored under this name any more; a name that it does not know is no fault."""
        return self._send("FDSTOREREMOVE=1", f"FDNAME={name}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        if self._socket is None or not lines:
            return False
        text = "\n".join(lines).encode("utf-8", "replace")
        # socket.send_fds() of older Pythons drops the address.
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        now = time.monotonic()
        try:
            self._socket.sendmsg([text], rights, socket.MSG_DONTWAIT if now < self._deaf_until else 0, self._address)
        except BlockingIOError:
            self._deaf_until = max(self._deaf_until, now + DEAF)
            return False
        except OSError:
            return False
        return True


def parse_socket(value: str) -> str:
    """The address to send to; "" when there is none that we speak (``vsock:`` is for virtual machines)."""
    if value.startswith("@"):
        return "\0" + value[1:]
    return value if value.startswith("/") else ""


def parse_watchdog(environ: Mapping[str, str], pid: int) -> Optional[float]:
    """Seconds from WATCHDOG_USEC, if WATCHDOG_PID is us or not set (sd_watchdog_enabled(3))."""
    usec, wanted = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    if not (usec.isascii() and usec.isdigit()) or wanted != str(pid):
        return None
    return int(usec) / 1_000_000 or None


def _status(text: str) -> list[str]:
    """A newline would begin another assignment; systemd keeps one line anyway."""
    return ["STATUS=" + " ".join(text.split())[:500]] if text.strip() else []
