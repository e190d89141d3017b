"""lighttpd's language: one file's text -> assignments, conditions and includes, each with its line. Pure.

Source: redmine.lighttpd.net/projects/lighttpd/wiki/Docs_Configuration, and configparser.y. What cannot be parsed ends
the file with one flaw; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, Union

from emperor.webservers.route import Where

DEEPEST = 40
_TOKENS = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)|(?P<line>\n)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<number>[0-9]+)|(?P<field>\$[A-Za-z]+\s*\[)|(?P<op>=>|==|!=|=~|!~|=\^|=\$|\+=|:=|[=+(){},\]])"""
    r"""|(?P<name>[A-Za-z_][\w.-]*)""",
    re.DOTALL | re.ASCII,
)


class Reference(NamedTuple):
    """``var.x``, ``env.X``, or an option's name as a value."""

    name: str


class Sum(NamedTuple):
    left: Expression
    right: Expression


class Pair(NamedTuple):
    """Of an array; ``key`` "": it has none."""

    key: Expression
    value: Expression
    where: Where


Expression = Union[str, int, Reference, Sum, "tuple[Pair, ...]"]


class Assignment(NamedTuple):
    name: str
    op: str
    value: Expression
    where: Where


class Include(NamedTuple):
    """``shell``: what follows is a command, whose output would be read."""

    value: Expression
    shell: bool
    where: Where


class Condition(NamedTuple):
    """``field``: HTTP["host"] and the like; "": else."""

    field: str
    op: str
    value: Expression
    block: tuple[Node, ...]
    where: Where


Node = Union[Assignment, Include, Condition]


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Wrong(Exception):
    """At a line; it does not leave this module."""


def parse(path: str, text: str, complain: Callable[[Where, str], None]) -> tuple[Node, ...]:
    """As far as it can be parsed."""
    reader = _Reader(path, _tokens(text))
    found: list[Node] = []
    try:
        reader.nodes(found, "", 0)
    except _Wrong as error:
        complain(Where(path, reader.line), str(error))
    return tuple(found)


def _tokens(text: str) -> list[_Token]:
    found, line, place = [], 1, 0
    while place < len(text):
        match = _TOKENS.match(text, place)
        if match is None:
            found.append(_Token("wrong", "", line))
            break
        kind = match.lastgroup or ""
        if kind not in ("space", "line"):
            found.append(_Token(kind, match[0], line))
        line += match[0].count("\n")
        place = match.end()
    return [*found, _Token("end", "", line)]


class _Reader:
    def __init__(self, path: str, tokens: list[_Token]) -> None:
        self._path = path
        self._tokens = tokens
        self._place = 0

    @property
    def line(self) -> int:
        return self._tokens[self._place].line

    def nodes(self, found: list[Node], end: str, depth: int) -> None:
        """Until ``end``, a bracket, or the end of the file."""
        if depth > DEEPEST:
            raise _Wrong("too many blocks within each other")
        chain = False
        while not self._at_end(end):
            token, where = self._next(), self._here()
            if token.kind == "name" and token.text in ("include", "include_shell"):
                found.append(Include(self._value(0), token.text == "include_shell", where))
            elif token.kind == "field":
                found.append(self._condition(token, where, depth))
                chain = True
                continue
            elif token.text in ("else", "elseif", "elif") and chain:
                found.append(self._other(where, depth))
                continue
            elif token.kind == "name" and self._peek().text in ("=", "+=", ":="):
                op = self._next().text
                found.append(Assignment(token.text, op, self._value(0), where))
            else:
                raise _Wrong("this is no assignment, no condition and no include")
            chain = False

    def _at_end(self, end: str) -> bool:
        token = self._peek()
        if token.kind == "end":
            if end:
                raise _Wrong(f"the file ends before {end}")
            return True
        if end and token.text == end and token.kind == "op":
            self._next()
            return True
        return False

    def _condition(self, token: _Token, where: Where, depth: int) -> Condition:
        key = self._next()
        self._expect("]")
        op = self._next()
        if key.kind != "string" or op.text not in ("==", "!=", "=~", "!~", "=^", "=$"):
            raise _Wrong('a condition is $HTTP["…"], then ==, != or =~, then a string')
        value = self._value(0)
        field = f"{token.text[1:].rstrip('[ ')}[{key.text[1:-1]}]"
        return Condition(field, op.text, value, self._block(depth), where)

    def _other(self, where: Where, depth: int) -> Condition:
        if self._peek().text == "if":
            self._next()
        if self._peek().kind == "field":
            return self._condition(self._next(), where, depth)
        return Condition("", "", "", self._block(depth), where)

    def _block(self, depth: int) -> tuple[Node, ...]:
        self._expect("{")
        inner: list[Node] = []
        self.nodes(inner, "}", depth + 1)
        return tuple(inner)

    def _value(self, depth: int) -> Expression:
        value = self._single(depth)
        while self._peek().text == "+" and self._peek().kind == "op":
            self._next()
            value = Sum(value, self._single(depth))
        return value

    def _single(self, depth: int) -> Expression:
        token = self._next()
        if token.kind == "string":
            return (
                re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.text[0] == '"' else token.text[1:-1]
            )
        if token.kind == "number":
            return int(token.text[:18])
        if token.kind == "name":
            return Reference(token.text)
        if token.text == "(" and depth < DEEPEST:
            return self._array(depth + 1)
        raise _Wrong("a value should stand here")

    def _array(self, depth: int) -> tuple[Pair, ...]:
        found: list[Pair] = []
        while self._peek().text != ")" or self._peek().kind != "op":
            line = self._peek().line
            key: Expression = ""
            value = self._value(depth)
            if self._peek().text == "=>":
                self._next()
                key, value = value, self._value(depth)
            found.append(Pair(key, value, Where(self._path, line)))
            if self._peek().text == ",":
                self._next()
            elif self._peek().text != ")":
                raise _Wrong("a comma or ) should stand here")
        self._next()
        return tuple(found)

    def _peek(self) -> _Token:
        return self._tokens[self._place]

    def _next(self) -> _Token:
        token = self._tokens[self._place]
        if token.kind in ("end", "wrong"):
            raise _Wrong("the file ends too early" if token.kind == "end" else "a character that has no place here")
        self._place += 1
        return token

    def _here(self) -> Where:
        return Where(self._path, self._tokens[self._place - 1].line)

    def _expect(self, text: str) -> None:
        if self._next().text != text:
            raise _Wrong(f"{text} should stand here")
