"""Does a client of one address meet who listens at another? By what is written, as the kernel takes it. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Iterator

from emperor.model import TCP, UNIX, Address

_BOTH = ("127.0.0.1", "::1")
_FOUR, _SIX = "every IPv4", "every IPv6"
_EVERYWHERE = {"": (_FOUR,), "*": (_FOUR,), "0.0.0.0": (_FOUR,), "::": (_SIX, _FOUR)}
_TO_ITSELF = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where the kernel takes a client that connects to everywhere (ip(7), ipv6(7))."""


def places(address: Address) -> Iterator[tuple[str, str]]:
    """Where a client of that address goes: it meets who has such a door."""
    if address.family == TCP:
        hosts = _BOTH if address.host == "localhost" else (_TO_ITSELF.get(address.host, address.host),)
        for host in hosts:
            yield TCP, f"{host}:{address.port}"
            yield TCP, f"{_SIX if ':' in host else _FOUR}:{address.port}"
    else:
        path = os.path.normpath(address.path) if address.family == UNIX else address.path
        path = path.removeprefix("/var") if path.startswith("/var/run/") else path
        yield address.family, path


def doors(address: Address) -> Iterator[tuple[str, str]]:
    """Of who listens: one that listens everywhere has the doors of its whole family, and of IPv6 those of both."""
    if address.family != TCP:
        yield from places(address)
    elif address.host == "localhost":
        yield from ((TCP, f"{host}:{address.port}") for host in _BOTH)
    else:
        for host in _EVERYWHERE.get(address.host, (address.host,)):
            yield TCP, f"{host}:{address.port}"
