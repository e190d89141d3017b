"""JSON as a grammar: tokens, and faults in the value rather than in its bytes, so that it is still JSON. Pure."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from fuzzing.mutation import Fault, Grammar

_STRANGE: tuple[Any, ...] = (None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**400, 1.5, -0.0, 1e308,
                             float("inf"), float("nan"), "", "all", "a" * 20_000, "\ud800", "\0", "\n", "\x1b[2J", "é",
                             "../..", "1", [], {}, [[]], [{}], {"": None}, [1] * 1025, "serving", "status")  # fmt: skip


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Every place where a value stands: (container, key)."""
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left and len(found) < 2000:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        found += [(one, key) for key in keys]
        left += [one[key] for key in keys if isinstance(one[key], (dict, list))]
    return found


def _drop(random: Random, holder: Any, key: Any, words: tuple[str, ...]) -> None:
    del holder[key]


def _put(random: Random, holder: Any, key: Any, words: tuple[str, ...]) -> None:
    holder[key] = random.choice((*_STRANGE, random.choice(words), [random.choice(words)], {random.choice(words): 1}))


def _alike(random: Random, holder: Any, key: Any, words: tuple[str, ...]) -> None:
    """Another value of the same kind."""
    before = holder[key]
    if isinstance(before, bool):
        holder[key] = not before
    elif isinstance(before, (int, float)):
        holder[key] = random.choice((0, 1, before + 1, before * 2, 255, 1024, 65535, 2**63 - 1, before // 2))
    elif isinstance(before, str):
        holder[key] = random.choice((random.choice(words), before[::-1], before * 3, before + "é\x1b\u202e"))
    elif isinstance(before, list):
        random.shuffle(before)
    elif isinstance(before, dict):
        holder[key] = dict(reversed(before.items()))


def _copy(random: Random, holder: Any, key: Any, words: tuple[str, ...]) -> None:
    if isinstance(holder, list):
        # Of what is long already only a few: the kernel would cut it, and our own memory is measured.
        most = 40_000 // (1 + len(repr(holder[key])))
        holder[key:key] = [holder[key]] * min(most, random.choice((1, 2, 50, 1100)))
    else:
        holder[random.choice(words)] = holder[key]


def _nest(random: Random, holder: Any, key: Any, words: tuple[str, ...]) -> None:
    for _ in range(random.choice((1, 2, 30))):
        holder[key] = [holder[key]] if random.random() < 0.5 else {random.choice(words): holder[key]}


_CHANGES = (_drop, _put, _put, *(_alike,) * 6, _copy, _nest)


def _tree(words: tuple[str, ...]) -> Fault:
    """The value is changed rather than its bytes: it is still JSON."""

    def change(random: Random, data: bytes, grammar: Grammar) -> bytes:
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return data
        places = _nodes(tree) if isinstance(tree, (dict, list)) else []
        if not places:
            return json.dumps(random.choice(_STRANGE)).encode()
        random.choice(_CHANGES)(random, *random.choice(places), words)
        return json.dumps(tree, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass") + b"\n"

    return change


_JSON = (b"[" * 200, b'{"a":' * 200, b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"-", b"1e9", b"NaN",
         b"Infinity", b"\\u0000", b"\\ud800", b"\\", b"//", b"'", b"\xef\xbb\xbf", b"\n", b"\n\n", b" ")  # fmt: skip
_JSON_PIECE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^{}\[\],:"]+|"')


def grammar(stock: tuple[bytes, ...], words: tuple[str, ...], longest: int) -> Grammar:
    quoted = tuple(f'"{word}"'.encode() for word in words)
    return Grammar(stock, (*_JSON, *quoted), _JSON_PIECE.findall, own=(_tree(words),), longest=longest)
