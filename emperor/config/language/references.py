"""The three passes over values: ``$(VAR)``, then ``@(file)``, then ``%(key)``, the first value of another option.

Source: ``uwsgi_apply_config_pass`` (core/utils.c) and its three calls (core/uwsgi.c). What is unknown stays as it is
written. The work is bounded: each key is resolved once, a chain has a depth, a value a length. Unlike in uWSGI a value
may refer to a key that is defined below it wherever the reference stands, and options that take effect at once
(``include``, ``if-exists``, ``umask``) see their placeholders replaced like all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from emperor.config.language import arithmetic, logic
from emperor.config.language.effort import STEP, Effort
from emperor.config.language.inifile import LENGTH, Row
from emperor.config.language.logic import Reach, Refused, World

DEPTH = 32

_NEUTRAL = frozenset("$@%()")
"""A value that holds one of these is no part of a name."""
_PIECES = {symbol: re.compile(rf"(?s)[{symbol}]\(|[{symbol}()]|[^{symbol}()]+") for symbol in "$@%"}


class _Opened(NamedTuple):
    """A reference that is not closed yet: where its name begins among the pieces, and the parentheses within it."""

    begins: int
    depth: int = 0


@dataclass
class _Substitution:
    """Goes over a text once. A reference within another is replaced first and is a part of the outer one's name; what
    is unknown, or a symbol alone, makes the outer one a mere text (``uwsgi_apply_config_pass``)."""

    symbol: str
    value_of: Callable[[str], str | None]
    effort: Effort
    pieces: list[str] = field(default_factory=list)
    opened: list[_Opened] = field(default_factory=list)
    size: int = 0

    def take(self, piece: str) -> None:
        self.effort.spend(STEP)
        if piece == self.symbol:
            self.opened.clear()
        elif piece == ")" and self.opened and not self.opened[-1].depth:
            self._close()
            return
        elif piece in ("(", ")") and self.opened:
            last = self.opened[-1]
            self.opened[-1] = last._replace(depth=last.depth + (1 if piece == "(" else -1))
        self._add(piece)
        if piece == self.symbol + "(":
            self.opened.append(_Opened(len(self.pieces)))

    def _close(self) -> None:
        begins = self.opened.pop().begins
        name = "".join(self.pieces[begins:])
        value = self.value_of(name) if name else None
        if value is None:
            self.opened.clear()
            self._add(")")
            return
        del self.pieces[begins - 1 :]
        self.size -= len(name) + 2
        self._add(value)
        if self.opened and not _NEUTRAL.isdisjoint(value):
            self.opened.clear()

    def _add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.size += len(piece)
        if self.size > LENGTH:
            raise Refused(f"becomes longer than {LENGTH} characters when its placeholders are replaced")


def substituted(text: str, symbol: str, value_of: Callable[[str], str | None], effort: Effort | None = None) -> str:
    """``text`` with each ``symbol(…)`` replaced. None: it stays. Parentheses within one are counted.

    Raises Refused, Exhausted.
    """
    if symbol + "(" not in text:
        return text
    work = _Substitution(symbol, value_of, effort or Effort())
    for piece in _PIECES[symbol].findall(text):
        work.take(piece)
    return "".join(work.pieces)


@dataclass
class References:
    """What keys stand for. ``first``: the row that defines each first; it may grow meanwhile."""

    world: World
    first: dict[str, Row] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    effort: Effort = field(default_factory=Effort)
    dangling: bool = False
    """Did a value that was resolved name a key that nobody defines?"""
    _known: dict[str, str] = field(default_factory=dict)

    def define(self, row: Row) -> None:
        """Only the first value of a key is what ``%(key)`` means (core/config.c, ``uwsgi_get_exported_opt``)."""
        self.first.setdefault(row.key, row)

    def known_so_far(self, key: str) -> str | None:
        """The first value of a key, of what is defined by now: what ``if-opt`` compares. Raises ``Refused``."""
        self.used.add(key)
        row = self.first.get(key)
        return self.world.fallback.get(key) if row is None else self.so_far(row)

    def so_far(self, row: Row) -> str:
        """The value of a row that takes effect at once, of what is defined above it. Raises ``Refused``.

        An administrator's line does not take from somebody else's which file it means.
        """
        alone = row.admin and not self.world.own.trusted
        first = {key: one for key, one in self.first.items() if one.admin} if alone else self.first
        self.effort.spend(STEP + len(self.first) if alone else STEP)
        aside = References(self.world, first, self.used, self.effort)
        return aside.resolve(row)

    def forget(self) -> None:
        """More keys are defined by now than when values were resolved."""
        self._known.clear()

    def resolve(self, row: Row) -> str:
        """The value of a row. Raises ``Refused``."""
        return self._resolved(row, ())

    def _resolved(self, row: Row, chain: tuple[str, ...]) -> str:
        reach = self.world.reach(row)
        self.effort.spend(STEP)
        value = substituted(row.value, "$", reach.environ.get, self.effort)
        value = substituted(value, "@", lambda path: self._file(path, reach), self.effort)
        return substituted(value, "%", lambda words: self._placeholder(words, chain), self.effort)

    def _file(self, path: str, reach: Reach) -> str:
        text = logic.text_of(self.world.resolve(path), reach)
        # One, not all: an empty last line may be meant.
        return text[:-1] if text.endswith(("\n", "\r")) else text

    def _placeholder(self, words: str, chain: tuple[str, ...]) -> str | None:
        if " " in words:
            self.effort.spend(STEP * words.count(" "))
            return arithmetic.evaluate(words, lambda key: self._value(key, chain) or "")
        return self._value(words, chain)

    def _value(self, key: str, chain: tuple[str, ...]) -> str | None:
        known = self._known.get(key)
        if known is not None:
            return known
        row = self.first.get(key)
        if row is None:
            found = self.world.fallback.get(key)
            self.dangling = self.dangling or (found is None and key != "_")
            return found
        self.used.add(key)
        if key in chain:
            raise Refused("a placeholder refers to itself")
        if len(chain) >= DEPTH:
            raise Refused(f"placeholders refer to each other more than {DEPTH} times over")
        value = self._resolved(row, (*chain, key))
        self._known[key] = value
        return value
