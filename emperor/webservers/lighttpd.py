"""lighttpd's configuration: files and variables -> where it passes requests.

It promises: nothing is run. ``lighttpd -p`` would print what it has understood, but runs every ``include_shell`` for
it, with the rights of whoever asks; what such a program prints is not known here, and is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Optional, Union

from emperor.model import FASTCGI, HTTP, UWSGI, Address
from emperor.webservers.lighttpd_text import (
    Assignment,
    Condition,
    Expression,
    Include,
    Node,
    Pair,
    Reference,
    Sum,
    parse,
)
from emperor.webservers.route import LIGHTTPD, Route, WebServer, Where
from emperor.webservers.shelf import DEEPEST, Shelf
from emperor.webservers.tree import literal, seconds, tcp_address, unix_address

LONGEST = 4096
MOST_PAIRS = 20_000
_OPTIONS = {"fastcgi.server": (FASTCGI, "mod_fastcgi"), "scgi.server": ("scgi", "mod_scgi")}
_OPTIONS["proxy.server"] = (HTTP, "mod_proxy")
_HOST_WORDS = ("socket", "host", "port", "bin-path")
_DISTRIBUTIONS = "/usr/share/lighttpd/"
"""Where Debian's own include_shell programs lie: they print a port and MIME types."""

Value = Union[str, int, "Array", None]


class Item(NamedTuple):
    key: str
    value: Value
    where: Where


class Array(NamedTuple):
    items: tuple[Item, ...]


class _Level(NamedTuple):
    host: str = ""
    prefix: str = ""
    body: Optional[int] = None
    scgi: str = ""
    """scgi.protocol of the block."""


def read(conf: str, shelf: Shelf | None = None, environ: Mapping[str, str] | None = None) -> tuple[WebServer, Shelf]:
    """``environ``: for ``env.NAME``; the running server's, if that is known."""
    book = _Book(conf, shelf or Shelf(), environ or {})
    book.read(book.parsed(conf, ""), _Level(), {}, 0)
    lacks = {module for module in book.needed if module not in book.modules}
    routes = [route._replace(lacks=module if module in lacks else "") for route, module in book.routes]
    if book.everywhere == UWSGI:
        routes = [route._replace(protocol=UWSGI) if route.protocol == "scgi" else route for route in routes]
    if any(name.startswith("url.rewrite") for name in book.values):
        routes = [route._replace(rewritten=True) for route in routes]
    user, group = (_plain(book.values.get(name)) for name in ("server.username", "server.groupname"))
    return WebServer(LIGHTTPD, conf, user, group, (), tuple(routes), None, tuple(book.shelf.flaws)), book.shelf


class _Book:
    """Reads in lighttpd's order: a variable counts for what comes after it."""

    def __init__(self, conf: str, shelf: Shelf, environ: Mapping[str, str]) -> None:
        self.shelf = shelf
        self.values: dict[str, Value] = {}
        self.routes: list[tuple[Route, str]] = []
        self.modules: set[str] = set()
        self.needed: set[str] = set()
        self.everywhere = ""
        self._folder = os.path.dirname(conf)
        self._environ = environ
        self._parsed: dict[str, tuple[Node, ...]] = {}
        self._room = MOST_PAIRS
        self._open = [conf]

    def parsed(self, path: str, asked: object) -> tuple[Node, ...]:
        if path not in self._parsed:
            text = self.shelf.text(path, asked)
            self._parsed[path] = () if text is None else parse(path, text, self.shelf.flaw)
        return self._parsed[path]

    def read(self, nodes: Sequence[Node], level: _Level, set_here: dict[str, Where], depth: int) -> None:
        """``set_here``: what the same block has assigned already; lighttpd refuses a second time."""
        # Within a block lighttpd does not mind the order.
        for one in nodes:
            if isinstance(one, Assignment) and one.name == "scgi.protocol" and isinstance(one.value, str):
                level = level._replace(scgi=one.value)
                self.everywhere = self.everywhere if level.host or level.prefix else one.value
        for one in nodes:
            self._room -= 1
            if self._room < 0 or depth > 3 * DEEPEST:
                self.shelf.flaw(one.where, "too much, or too deep, to be read whole")
                return
            if isinstance(one, Assignment):
                level = self._assigned(one, level, set_here)
            elif isinstance(one, Include):
                self._included(one, level, set_here, depth)
            else:
                self.read(one.block, self._within(one, level), {}, depth + 1)

    def _assigned(self, one: Assignment, level: _Level, set_here: dict[str, Where]) -> _Level:
        value = self._evaluated(one.value, 0)
        if one.op == "=" and one.name in set_here and "." in one.name and not one.name.startswith("var."):
            known = one.name if one.name in _OPTIONS else "an option"
            self.shelf.flaw(one.where, f"{known} is set twice in one block, which lighttpd refuses -- write += there")
        set_here[one.name] = one.where
        if one.name == "server.modules" and isinstance(value, Array):
            self.modules |= {_plain(item.value) for item in value.items}
        if one.name in _OPTIONS and isinstance(value, Array):
            protocol, module = _OPTIONS[one.name]
            self.needed.add(module)
            self.routes += [(route, module) for route in _routes(value, protocol, level, one.where)]
        known_before = self.values.get(one.name)
        self.values[one.name] = _added(known_before, value) if one.op == "+=" else value
        if one.name == "server.max-request-size" and isinstance(value, int):
            return level._replace(body=value * 1024)
        return level

    def _included(self, one: Include, level: _Level, set_here: dict[str, Where], depth: int) -> None:
        value = self._evaluated(one.value, 0)
        if one.shell:
            if not (isinstance(value, str) and value.startswith(_DISTRIBUTIONS)):
                self.shelf.flaw(one.where, "include_shell: what the program prints is not known here; it is not run")
            return
        if not isinstance(value, str) or not value:
            self.shelf.flaw(one.where, "include: which file is not known")
            return
        for path in self.shelf.matching(value if value.startswith("/") else os.path.join(self._folder, value)):
            if path in self._open:
                self.shelf.flaw(one.where, "a file includes itself")
                continue
            self._open.append(path)
            self.read(self.parsed(path, one.where), level, set_here, depth + 3)
            self._open.pop()

    def _within(self, one: Condition, level: _Level) -> _Level:
        value = self._evaluated(one.value, 0)
        if not isinstance(value, str):
            return level
        if one.field == "HTTP[host]" and one.op in ("==", "=~"):
            return level._replace(host=value)
        if one.field == "HTTP[url]" and one.op in ("==", "=^", "=~"):
            return level._replace(prefix=literal(value) if one.op == "=~" else value)
        return level

    def _evaluated(self, value: Expression, depth: int) -> Value:
        self._room -= 1
        if self._room < 0 or depth > 2 * DEEPEST:
            return None
        if isinstance(value, Reference):
            return self._referred(value.name)
        if isinstance(value, Sum):
            return _added(self._evaluated(value.left, depth + 1), self._evaluated(value.right, depth + 1))
        if isinstance(value, (str, int)):
            return value
        return Array(tuple(self._items(value, depth)))

    def _items(self, pairs: Sequence[Pair], depth: int) -> Iterator[Item]:
        for one in pairs:
            key = self._evaluated(one.key, depth + 1)
            yield Item(
                str(key) if isinstance(key, (str, int)) else "", self._evaluated(one.value, depth + 1), one.where
            )

    def _referred(self, name: str) -> Value:
        if name.startswith("env."):
            return self._environ.get(name[4:])
        if name == "var.CWD":
            return self._folder
        return self.values.get(name, self.values.get(f"var.{name}"))


def _added(left: Value, right: Value) -> Value:
    if isinstance(left, Array) and isinstance(right, Array):
        return Array((left.items + right.items)[:MOST_PAIRS])
    if isinstance(left, (str, int)) and isinstance(right, (str, int)):
        both_numbers = isinstance(left, int) and isinstance(right, int)
        return min(int(left) + int(right), 10**18) if both_numbers else f"{left}{right}"[:LONGEST]
    return right if left is None else left


def _plain(value: Value) -> str:
    """An array is nothing that has a name; it may hold itself a thousand times."""
    return str(value)[:LONGEST] if isinstance(value, (str, int)) else ""


def _routes(servers: Array, protocol: str, level: _Level, where: Where) -> Iterator[Route]:
    for item in servers.items:
        for each in _hosts(item):
            yield _route(item.key, each, protocol, level, where)


def _hosts(item: Item) -> Iterator[Item]:
    """``"/app" => ( ( "socket" => … ), … )``, with names or without, or one host alone."""
    if not isinstance(item.value, Array):
        return
    if any(inner.key in _HOST_WORDS for inner in item.value.items):
        yield item
        return
    yield from (inner for inner in item.value.items if isinstance(inner.value, Array))


def _route(key: str, host: Item, protocol: str, level: _Level, where: Where) -> Route:
    items = host.value.items if isinstance(host.value, Array) else ()
    told = {item.key: item for item in items}
    words = {name: item.value for name, item in told.items()}
    if protocol == "scgi" and level.scgi == UWSGI:
        protocol = UWSGI
    place = next((told[name].where for name in ("socket", "host", "port") if name in told), host.where)
    prefix = key if key.startswith("/") else ""
    return Route(
        LIGHTTPD,
        protocol,
        None if "bin-path" in words else _address(words, protocol),
        # A program that lighttpd starts itself: the socket's name gets a number, and nobody else has it.
        "bin-path" if "bin-path" in words else _plain(words.get("socket") or words.get("host")),
        place if place.line else where,
        level.host,
        prefix or level.prefix or "/",
        timeout=seconds(_plain(words.get("read-timeout"))),
        body_limit=level.body,
        only_files=_only_files(key, protocol, words),
    )


def _only_files(key: str, protocol: str, words: Mapping[str, Value]) -> bool:
    """check-local, which mod_proxy does not have; a path that ends like a file's name is one of its own."""
    path = key.startswith("/") and "." not in key.rpartition("/")[2]
    return path and protocol != HTTP and _plain(words.get("check-local")) != "disable"


def _address(words: Mapping[str, Value], protocol: str) -> Address | None:
    socket, host, port = words.get("socket"), words.get("host"), words.get("port")
    if isinstance(socket, str) and socket:
        return unix_address(socket)
    if isinstance(host, str) and host.startswith("/"):
        return unix_address(host)
    digits = _plain(port)
    number = int(digits) if re.fullmatch("[0-9]{1,5}", digits) else 0
    if protocol == HTTP:
        number = number or 80
    if not 0 < number < 65536:
        return None
    if not isinstance(host, str) or not host:
        host = "127.0.0.1"
    return tcp_address(f"[{host}]" if ":" in host else host, number)
