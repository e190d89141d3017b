"""What ``emperorctl request`` is told, made into one question for a socket. Pure.

Where the person is silent, the question is what the printed configuration of nginx would send.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional
from urllib.parse import quote

from emperor.config import addresses
from emperor.errors import EmperorError
from emperor.faces.facts import gather
from emperor.faces.wish import Wish
from emperor.model import UNIX, Address, SocketSpec, VassalSpec
from emperor.probe.question import Question

FORM = "application/x-www-form-urlencoded"
"""What data is said to be where no header says it, as curl does."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Refused(EmperorError):
    """The command line asks for what cannot be."""


@dataclass(frozen=True)
class Door:
    """A socket that can be asked. ``prefixes``: below which the web server sends it requests; none: all.

    ``cut``: the web server cuts them off. ``vassal`` "": nobody's that is known.
    """

    protocol: str
    address: Address
    prefixes: tuple[str, ...] = ()
    cut: bool = False
    vassal: str = ""

    def __str__(self) -> str:
        return f"unix:{self.address}" if self.address.family == UNIX else str(self.address)


@dataclass(frozen=True)
class Wanted:
    """What the person typed. ``path``, ``script_name``, ``body`` None: nothing."""

    path: Optional[str] = None
    method: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    body: Optional[bytes] = None
    script_name: Optional[str] = None
    host: str = "localhost"
    patience: float = 10.0


def is_address(text: str) -> bool:
    """Is it one, and no vassal's name?"""
    return text.startswith("@") or "/" in text or ":" in text


def door_of_address(text: str, protocol: str) -> Door:
    """Raises Refused."""
    if not protocol:
        raise Refused(f"{text}: an address does not tell its protocol -- add --protocol uwsgi, fastcgi or http")
    bare = text.removeprefix("unix:")
    try:
        address = addresses.parse(bare if bare.startswith("@") or ":" in bare else os.path.abspath(bare))
    except ValueError as error:
        raise Refused(f"{text}: no address: {error}") from None
    return Door(protocol, address)


def door_of(spec: VassalSpec, which: str = "", protocol: str = "") -> Door:
    """That of a vassal's which the web server would be told of, or the one that ``which`` names: its address, or its
    number from 1. Raises Refused.
    """
    try:
        facts = gather(spec, Wish())
    except EmperorError:
        facts = None
    prefixes, cut = (facts.prefixes, facts.split) if facts is not None else ((), False)
    if which or facts is None:
        one = _chosen(spec.sockets, which, spec.name)
        return Door(protocol or one.protocol, one.address, prefixes, cut, spec.name)
    return Door(protocol or facts.protocol, facts.address, prefixes, cut, spec.name)


def _chosen(sockets: Sequence[SocketSpec], which: str, name: str) -> SocketSpec:
    if not sockets:
        raise Refused(f"{name}: it has no socket")
    bare = which.removeprefix("unix:")
    for number, one in enumerate(sockets, 1):
        if not which or bare in (str(number), str(one.address)):
            return one
    told = ", ".join(f"{number}: {one.address}" for number, one in enumerate(sockets, 1))
    raise Refused(f"--socket: {name} has no such socket -- {told}")


def question(door: Door, wanted: Wanted) -> Question:
    """Raises Refused."""
    target = _target(door, wanted.path)
    headers = wanted.headers
    if wanted.body is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", FORM))
    return Question(
        door.protocol,
        door.address,
        target,
        wanted.method or ("GET" if wanted.body is None else "POST"),
        headers,
        wanted.body or b"",
        _prefix(door, target, wanted.script_name),
        wanted.host,
        wanted.patience,
        wanted.extra,
    )


def _target(door: Door, path: str | None) -> str:
    if path is None:
        return f"{door.prefixes[-1]}/" if door.prefixes else "/"
    if not path.startswith("/"):
        raise Refused(f"{path}: a path begins with /")
    try:
        return quote(path, safe=_PRINTABLE)
    except UnicodeEncodeError:
        raise Refused("the path is not UTF-8 -- write its bytes as %XX") from None


def _prefix(door: Door, target: str, said: str | None) -> str:
    if said is not None:
        return said.rstrip("/")
    path = target.partition("?")[0]
    if not door.prefixes:
        return ""
    for prefix in door.prefixes:
        if path == prefix or path.startswith(f"{prefix}/"):
            return prefix if door.cut else ""
    below = " and ".join(door.prefixes)
    raise Refused(
        f"{path}: the web server sends {door.vassal} what lies below {below} -- write {door.prefixes[0]}{path}, or "
        "--script-name '' to send it all the same"
    )


def header(text: str) -> tuple[str, str]:
    """``Name: value``; ValueError says what it is not."""
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise ValueError("not a header -- write it as in 'Accept: text/html'")
    if set(value) & set("\r\n\0"):
        raise ValueError("not a header: a value is one line")
    return name, value.strip()


def variable(text: str) -> tuple[str, str]:
    """``NAME=value``; ValueError says what it is not."""
    name, equals, value = text.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise ValueError("not a variable -- write it as in SCRIPT_FILENAME=/srv/index.php")
    return name, value


def method(text: str) -> str:
    """ValueError says what it is not."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("not a method -- write it as in GET")
    return text
