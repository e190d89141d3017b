"""Who listens on this machine, as the kernel shows it to everybody: no socket is touched for it."""

from __future__ import annotations

import ipaddress
import re
import sys

from emperor.model import TCP, Address
from emperor.webservers.tree import unix_address

_ACCEPTS = 0x10000
"""__SO_ACCEPTCON of linux/net.h, in the fourth column of /proc/net/unix."""
_LISTEN = "0A"
"""TCP_LISTEN of linux/tcp_states.h."""
_UNIX = re.compile(r"[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +[0-9]+ (.+)", re.IGNORECASE)
_TCP = re.compile(r"\s*[0-9]+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F:]+ ([0-9A-F]{2}) ")
_LONGEST = 16 * 1024 * 1024


def listening() -> frozenset[Address]:
    """In our network namespace. A path is as it was bound."""
    found = unix_listeners(_read("/proc/net/unix"))
    return found | tcp_listeners(_read("/proc/net/tcp")) | tcp_listeners(_read("/proc/net/tcp6"))


def unix_listeners(table: str) -> frozenset[Address]:
    """Of /proc/net/unix (proc(5))."""
    rows = (_UNIX.fullmatch(line) for line in table.split("\n"))
    return frozenset(unix_address(row[2]) for row in rows if row and int(row[1], 16) & _ACCEPTS)


def tcp_listeners(table: str) -> frozenset[Address]:
    """Of /proc/net/tcp and tcp6 (proc(5)): addresses are words in the machine's order."""
    rows = (_TCP.match(line) for line in table.split("\n"))
    return frozenset(
        Address(TCP, host=_host(row[1]), port=int(row[2], 16)) for row in rows if row and row[3] == _LISTEN
    )


def _host(digits: str) -> str:
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(one[::-1] if sys.byteorder == "little" else one for one in words)))


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
