"""The addresses of this machine's own network interfaces, as /proc/net shows them to everybody."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_MOST = 4 * 1024 * 1024
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


def own_addresses() -> tuple[str, ...]:
    """() where the kernel does not tell: then nothing is known, since each machine has its loopback."""
    found = {*four(_read("/proc/net/fib_trie")), *six(_read("/proc/net/if_inet6"))}
    return tuple(sorted(found))


def four(text: str) -> Iterator[str]:
    """``text``: the kernel's routing trie (networking/proc documentation), where each leaf says whose it is."""
    return (match[1] for match in _LOCAL.finditer(text))


def six(text: str) -> Iterator[str]:
    """``text``: a line for each address, 32 digits without colons."""
    for line in text.splitlines():
        digits = line.partition(" ")[0]
        if re.fullmatch("[0-9a-f]{32}", digits):
            yield str(ipaddress.IPv6Address(int(digits, 16)))


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_MOST)
    except OSError:
        return ""
