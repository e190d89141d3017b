"""Apache's configuration: files, what is defined and which modules there are -> one tree -> a WebServer.

It promises: no program is run, Apache's own least of all, for it loads modules and opens logs to test a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from emperor.webservers.apache_routes import gather
from emperor.webservers.apache_text import expanded, parse
from emperor.webservers.route import WebServer
from emperor.webservers.shelf import DEEPEST, MOST_FILES, Shelf
from emperor.webservers.tree import Statement

MOST_STATEMENTS = 50_000
_BUILT_IN = ("core", "so", "http", "log_config", "logio", "version", "unixd", "watchdog")
_EXPORT = re.compile(r"\s*export\s+([A-Za-z_]\w*)=(.*)", re.ASCII)
_CONDITIONS = ("ifmodule", "ifdefine", "ifversion", "iffile")


def read(
    conf: str, shelf: Shelf | None = None, environ: Mapping[str, str] | None = None, defines: Sequence[str] = ()
) -> tuple[WebServer, Shelf]:
    """``environ``: the running server's, if it is known; else Debian's envvars beside ``conf``. ``defines``: its -D."""
    shelf = shelf or Shelf()
    known = dict(environ) if environ is not None else envvars(os.path.join(os.path.dirname(conf), "envvars"), shelf)
    book = _Book(conf, shelf, known, defines)
    statements = tuple(book.unfolded(book.parsed(conf, ""), 0))
    found = gather(conf, statements, frozenset(book.modules))
    return found._replace(flaws=(*shelf.flaws, *found.flaws)), shelf


def envvars(path: str, shelf: Shelf) -> dict[str, str]:
    """Debian's: assignments that a shell would export. Its one condition is for a second Apache on the machine."""
    found: dict[str, str] = {}
    if not os.path.exists(path):
        return found
    for line in (shelf.text(path) or "").splitlines():
        if match := _EXPORT.match(line):
            value = match[2].strip().strip("'\"").replace("$SUFFIX", "").replace("${SUFFIX}", "")
            found[match[1]] = value
    return found


class _Book:
    """Reads in Apache's order: a Define or a LoadModule counts for what comes after it."""

    def __init__(self, conf: str, shelf: Shelf, environ: Mapping[str, str], defines: Sequence[str]) -> None:
        self.modules = set(_BUILT_IN)
        self._shelf = shelf
        self._root = os.path.dirname(conf)
        self._values = dict(environ)
        self._defined = set(defines)
        self._parsed: dict[str, tuple[Statement, ...]] = {}
        self._room = MOST_STATEMENTS
        self._open = [conf]

    def parsed(self, path: str, asked: object) -> tuple[Statement, ...]:
        if path not in self._parsed:
            text = self._shelf.text(path, asked)
            self._parsed[path] = () if text is None else parse(path, text, self._shelf.flaw)
        return self._parsed[path]

    def unfolded(self, statements: Sequence[Statement], depth: int) -> Iterator[Statement]:
        for raw in statements:
            self._room -= 1
            if self._room < 0 or depth > 3 * DEEPEST:
                self._shelf.flaw(raw.where, "too much, or too deep, to be read whole")
                return
            one = raw._replace(args=tuple(expanded(arg, self._values) for arg in raw.args))
            if one.name in ("include", "includeoptional"):
                yield from self._included(one, depth)
            elif one.name in _CONDITIONS and one.block is not None:
                if self._holds(one):
                    yield from self.unfolded(one.block, depth + 1)
            elif one.block is not None:
                yield one._replace(block=tuple(self.unfolded(one.block, depth + 1)))
            else:
                self._note(one)
                yield one

    def _note(self, one: Statement) -> None:
        first, second = (*one.args, "", "")[:2]
        if one.name == "define" and first:
            self._defined.add(first)
            self._values[first] = second
        elif one.name == "undefine":
            self._defined.discard(first)
            self._values.pop(first, None)
        elif one.name == "loadmodule":
            self.modules.add(first.removesuffix("_module"))
        elif one.name == "serverroot" and first:
            self._root = first
        elif one.name == "use":
            self._shelf.flaw(one.where, "a macro is used, which is not looked into")

    def _holds(self, one: Statement) -> bool:
        if one.name == "ifversion":
            return True
        word = one.args[0] if one.args else ""
        wanted, word = not word.startswith("!"), word.lstrip("!")
        if one.name == "ifdefine":
            return (word in self._defined) is wanted
        if one.name == "iffile":
            return os.path.exists(self._whole(word)) is wanted
        name = word.removesuffix(".c").removeprefix("mod_").removesuffix("_module")
        return (name in self.modules) is wanted

    def _whole(self, path: str) -> str:
        return path if path.startswith("/") else os.path.join(self._root, path)

    def _included(self, one: Statement, depth: int) -> Iterator[Statement]:
        for pattern in one.args[:1]:
            if "${" in pattern:
                self._shelf.flaw(one.where, f"{one.name}: a variable in it is not known")
                return
            paths = [path for found in self._shelf.matching(self._whole(pattern)) for path in self._files(found)]
            for path in paths:
                if path in self._open:
                    self._shelf.flaw(one.where, "a file includes itself")
                elif one.name == "include" or os.path.exists(path):
                    self._open.append(path)
                    yield from self.unfolded(self.parsed(path, one.where), depth + 3)
                    self._open.pop()

    def _files(self, path: str) -> list[str]:
        """Of a folder everything in it counts, as Apache has it."""
        if not os.path.isdir(path):
            return [path]
        found: list[str] = []
        for folder, _, names in os.walk(path):
            if not self._shelf.goes_on(folder) or len(found) > MOST_FILES:
                break
            found += [os.path.join(folder, name) for name in names]
        return sorted(found)
