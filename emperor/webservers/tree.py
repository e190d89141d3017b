"""A configuration as a tree of directives, whoever parsed it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from emperor.model import ABSTRACT, TCP, UNIX, Address
from emperor.webservers.route import Where

_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES = {"": 1, "k": 1024, "m": 1024 * 1024, "g": 1024**3}


class Statement(NamedTuple):
    """``block`` None: it has none."""

    name: str
    args: tuple[str, ...]
    where: Where
    block: Optional[tuple[Statement, ...]] = None


def seconds(text: str) -> float | None:
    """``90``, ``90s``, ``1m``, ``1m 30s``; Apache's ``ms`` and ``min``. None: none of these."""
    parts = re.findall(r"([0-9]{1,9})([a-z]*)\s*", text)
    if not parts or any(unit not in _UNITS for _, unit in parts):
        return None
    if "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", text):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def size(text: str) -> int | None:
    """Bytes: ``1024``, ``8k``, ``10m``, ``1g``. None: none of these."""
    match = re.fullmatch(r"([0-9]{1,15})([kKmMgG]?)", text, re.ASCII)
    return int(match[1]) * _SIZES[match[2].lower()] if match else None


def unix_address(path: str) -> Address:
    return Address(ABSTRACT, path[1:]) if path.startswith("@") else Address(UNIX, path)


def tcp_address(text: str, port: int = 0) -> Address | None:
    """``host:port``, ``[v6]:port``. ``port``: what holds if it names none; 0: then it is no address."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:/\[\]\s]*)(?::([0-9]{1,5}))?", text, re.ASCII)
    if not match:
        return None
    number = int(match[2]) if match[2] else port
    if not 0 < number < 65536:
        return None
    return Address(TCP, host=match[1].strip("[]"), port=number)


def literal(regex: str) -> str:
    """The path that everything that fits begins with; "/" if that cannot be told."""
    match = re.match(r"\^?((?:[\w/.~@-]|\\.)*)(.?)", regex)
    head = match[1] if match else ""
    if match and match[2] and match[2] in "?*{":
        head = re.sub(r"(\\.|.)$", "", head)
    plain = re.sub(r"\\(.)", r"\1", head)
    return plain if plain.startswith("/") and "|" not in regex.partition("(")[0] else "/"
