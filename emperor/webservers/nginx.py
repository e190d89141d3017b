"""nginx's configuration: files -> crossplane -> one tree with everything included -> a WebServer.

It promises: crossplane sees text that we have read, within bounds (a sealed copy in memory), never a path; what it
refuses becomes a flaw without the file's words in it. Includes are followed here, in the block where they stand.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import crossplane
from crossplane.analyzer import DIRECTIVES

from emperor.webservers.nginx_routes import gather
from emperor.webservers.route import WebServer, Where
from emperor.webservers.shelf import DEEPEST, Shelf
from emperor.webservers.tree import Statement

MOST_STATEMENTS = 50_000
ALIKE = 0.85
_MEANT = (
    *("uwsgi_pass", "fastcgi_pass", "proxy_pass", "scgi_pass", "uwsgi_param", "fastcgi_param", "uwsgi_read_timeout"),
    *("fastcgi_read_timeout", "proxy_read_timeout", "client_max_body_size", "location", "server", "server_name"),
    *("listen", "include", "upstream", "return", "proxy_set_header", "try_files"),
)
"""What decides whether an app is reached. A word that is not known may be a module's, unless it is nearly one of these.
"""
_OWN_WORDS = ("map", "geo", "types", "split_clients", "charset_map")
_OF_A_VALUE = re.compile(r'^invalid value ".*" in ', re.DOTALL)
_PLACE = re.compile(r" in /proc/self/fd/\d+(:\d+)?$")
_KNOWN = re.compile(
    r'(unexpected "\}"|unexpected end of file, expecting "\}"|invalid value in "\w+" directive.*'
    r'|(directive|invalid number of arguments in) "\w+" .{0,60})',
    re.ASCII,
)


def read(conf: str, shelf: Shelf | None = None) -> tuple[WebServer, Shelf]:
    """``conf``: the main file; its includes are relative to its folder."""
    book = _Book(conf, shelf or Shelf())
    statements = tuple(book.unfolded(book.parsed(conf, conf), 0))
    found = gather(conf, statements)
    return found._replace(flaws=(*book.shelf.flaws, *found.flaws)), book.shelf


class _Book:
    """Each file is parsed once, and drawn in as often as it is named."""

    def __init__(self, conf: str, shelf: Shelf) -> None:
        self.shelf = shelf
        self._folder = os.path.dirname(conf)
        self._parsed: dict[str, Sequence[dict[str, Any]]] = {}
        self._room = MOST_STATEMENTS
        self._open = [conf]

    def parsed(self, path: str, asked: object) -> tuple[str, Sequence[dict[str, Any]]]:
        if path not in self._parsed:
            text = self.shelf.text(path, asked if asked != path else "")
            self._parsed[path] = () if text is None else _parse(path, text, self.shelf)
        return path, self._parsed[path]

    def unfolded(
        self, page: tuple[str, Sequence[dict[str, Any]]], depth: int, within: str = "http"
    ) -> Iterator[Statement]:
        """``within``: the block's own name; in some, words are no directives."""
        path, rows = page
        judged = within in DIRECTIVES and within not in _OWN_WORDS
        for row in rows:
            where = Where(path, row["line"])
            self._room -= 1
            if self._room < 0 or depth > 3 * DEEPEST:
                self.shelf.flaw(path, "too much, or too deep, to be read whole")
                return
            if judged and (meant := _misspelt(row["directive"])):
                self.shelf.flaw(where, f"nginx knows no directive of that name -- {meant} is meant, perhaps")
            if row["directive"] == "include" and row["args"]:
                yield from self._included(row["args"][0], where, depth, within)
                continue
            block = row.get("block")
            inner = None if block is None else tuple(self.unfolded((path, block), depth + 1, row["directive"]))
            yield Statement(row["directive"], tuple(row["args"]), where, inner)

    def _included(self, pattern: str, where: Where, depth: int, within: str) -> Iterator[Statement]:
        whole = pattern if pattern.startswith("/") else os.path.join(self._folder, pattern)
        for path in self.shelf.matching(whole):
            if path in self._open:
                self.shelf.flaw(where, "a file includes itself")
                continue
            self._open.append(path)
            yield from self.unfolded(self.parsed(path, where), depth + 3, within)
            self._open.pop()


def _parse(path: str, text: str, shelf: Shelf) -> Sequence[dict[str, Any]]:
    # From memory: crossplane takes a path only, and what lies there may be changed, a pipe, or without end.
    descriptor = os.memfd_create("nginx.conf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode("utf-8", "replace"))
        payload = crossplane.parse(f"/proc/self/fd/{descriptor}", single=True, check_ctx=False)
    except Exception as error:  # crossplane's own faults: its lexer and its tables are not ours
        shelf.flaw(path, f"cannot be parsed: {type(error).__name__}")
        return ()
    finally:
        os.close(descriptor)
    for one in payload["errors"]:
        shelf.flaw(Where(path, one["line"] or 0), _worded(str(one["error"])))
    rows: Sequence[dict[str, Any]] = payload["config"][0]["parsed"]
    return rows


def _misspelt(word: str) -> str:
    """What is meant; "": nginx knows it, or it is too far from anything."""
    if word in DIRECTIVES:
        return ""
    return next(iter(difflib.get_close_matches(word[:60], _MEANT, 1, ALIKE)), "")


def _worded(error: str) -> str:
    plain = _OF_A_VALUE.sub("invalid value in ", _PLACE.sub("", error))
    return plain if _KNOWN.fullmatch(plain) else "nginx's grammar does not allow this"
