"""uWSGI's spellings of an address: paths, abstract names, hosts and ports. No name is looked up."""

from __future__ import annotations

import ipaddress
import re

from emperor.model import ABSTRACT, TCP, UNIX, Address

SUN_PATH = 107
"""unix(7): ``sun_path`` holds 108 bytes, one of which is the NUL that ends a path or begins an abstract
name."""

EVERY_INTERFACE = ("", "0.0.0.0", "::")


def parse(text: str) -> Address:
    """The address that a text without NUL names; ValueError says what would be one.

    ``/path`` and ``name.sock`` are Unix, ``@name`` is abstract, ``127.0.0.1:port`` and ``[::1]:port`` are TCP,
    ``:port`` is every interface. A host's name is refused: to ask for its address, the emperor would have to wait.
    """
    if text.startswith("@"):
        return Address(ABSTRACT, path=check_unix_path(text[1:]))
    if text.startswith("="):
        raise ValueError("refers to a shared-socket, which is not here -- write the address itself, as in 0.0.0.0:8001")
    if text.startswith("unix:"):
        raise ValueError("write the path alone, without unix:")
    if text.startswith(("/", "./", "../")) or ":" not in text:
        if text.isdigit():
            raise ValueError(
                "a port alone is written with its host, as in 127.0.0.1:PORT, or :PORT for every interface"
            )
        return Address(UNIX, path=check_unix_path(text))
    if "," in text:
        raise ValueError("names several addresses -- write a line for each")
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    return Address(TCP, host=_parse_host(host), port=int(port))


def _parse_host(text: str) -> str:
    if text.lower() == "localhost":
        return "127.0.0.1"
    try:
        if text.startswith("[") and text.endswith("]"):
            return _parse_ipv6(text[1:-1])
        if re.fullmatch(r"[0-9.]+", text):
            return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError("the host is not a valid IP address") from None
    if ":" in text:
        raise ValueError("an IPv6 address is written in brackets, as in [::1]:PORT")
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", text):
        raise ValueError("the host is a name, which is not looked up -- write an IP address")
    if text:
        raise ValueError("must be /path/to.sock, @name, IP:PORT or [IPV6]:PORT")
    return text


def _parse_ipv6(text: str) -> str:
    """With a zone (RFC 4007, section 11) where one is written: the name of an interface, or its number."""
    address = ipaddress.IPv6Address(text)
    if address.scope_id and not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", address.scope_id):
        raise ValueError("not an interface")
    return str(address)


def check_unix_path(path: str) -> str:
    """The path, if the kernel can bind it."""
    if not path or path.endswith("/"):
        raise ValueError("must name the socket itself, not a folder")
    if len(path.encode("utf-8", "surrogateescape")) > SUN_PATH:
        raise ValueError(f"is longer than {SUN_PATH} bytes, which is all that the kernel takes for a socket")
    return path
