"""From a corpus and a grammar to inputs that are nearly right; each depends on its seed and number alone.

Pure. A grammar knows what its format is made of: tokens, pieces, numbers that tell a length, and faults of its own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

Fault = Callable[[Random, bytes, "Grammar"], bytes]

NUMBERS = (b"0", b"-1", b"1", b"00", b"+1", b"1_0", b"127", b"128", b"255", b"256", b"65535", b"65536", b"2147483648",
           b"4294967296", b"9223372036854775807", b"9223372036854775808", b"9" * 18, b"9" * 19, b"9" * 400, b"1e999",
           b"0x10", b"1.5", b"\xd9\xa5", b"NaN", b"")  # fmt: skip
"""What a number may be lied to be; among them another alphabet's digit, which ``int()`` takes."""

_BYTES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\xff\xff", b"\0\1", b"\x80\0\0\1", b"\x7f\xff\xff\xff",
          b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x1b[2J",
          b"\xc3\xa9", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xef\xbb\xbf")  # fmt: skip
_DIGITS = re.compile(rb"[0-9]+")
_REPEATS = (2, 3, 17, 100, 1001, 3000)


class Length(NamedTuple):
    """A number of the format's own that tells how long something is."""

    at: int
    size: int
    order: str


def _whole(data: bytes) -> list[bytes]:
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def _none(data: bytes) -> list[Length]:
    return []


class Grammar(NamedTuple):
    """``split``: into the pieces that may be dropped, doubled and moved; joined they are the same bytes again.
    ``lengths``: where lengths stand. ``mend``: what makes a damaged input look whole at first, so that it is read on.
    ``longest``: bytes of an input.
    """

    corpus: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    split: Callable[[bytes], list[bytes]] = _whole
    lengths: Callable[[bytes], list[Length]] = _none
    mend: Callable[[bytes], bytes] | None = None
    own: tuple[Fault, ...] = ()
    longest: int = 70_000


def mutant(key: str, grammar: Grammar, seed: int, number: int) -> bytes:
    """The ``number``-th input for the target ``key``. The first ones are the corpus as it is."""
    if number < len(grammar.corpus):
        return grammar.corpus[number]
    random = Random((zlib.crc32(key.encode()) << 64) + (seed << 32) + number)
    data = random.choice(grammar.corpus)
    # Half of them keep their outer form: only so is anything read that lies behind it.
    faults = grammar.own if grammar.own and random.random() < 0.5 else FAULTS
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 6))):
        data = random.choice(faults)(random, data, grammar)
        if len(data) > grammar.longest:
            data = data[: grammar.longest]
    if grammar.mend is not None and random.random() < 0.6:
        data = grammar.mend(data)
    return data


def cuts(data: bytes, most: int = 4) -> list[bytes]:
    """In some pieces, which depend on the data alone; a short input now and then byte by byte."""
    mark = zlib.crc32(data)
    if mark % 64 == 0 and 0 < len(data) < 600:
        return [data[at : at + 1] for at in range(len(data))]
    random = Random(mark)
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, most)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


# --- faults ---


def _place(random: Random, data: bytes) -> int:
    """Heads and lengths are what hurts, and they stand near the front of most inputs."""
    size = len(data)
    return random.randrange(min(size, 64) if random.random() < 0.3 else size) if size else 0


def _flip(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at = _place(random, data)
    return data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _overwrite(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at, other = _place(random, data), random.choice(_BYTES)
    return data[:at] + other + data[at + len(other) :]


def _truncate(random: Random, data: bytes, grammar: Grammar) -> bytes:
    return data[: _place(random, data)]


def _delete(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at + random.randint(1, 40) :]


def _double(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at : at + random.randint(1, 40)] + data[at:]


def _insert(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at = _place(random, data)
    return data[:at] + random.randbytes(random.randint(1, 12)) + data[at:]


def _splice(random: Random, data: bytes, grammar: Grammar) -> bytes:
    other = random.choice(grammar.corpus)
    return data[: _place(random, data)] + other[_place(random, other) :]


def _append(random: Random, data: bytes, grammar: Grammar) -> bytes:
    return data + random.choice(grammar.corpus)


def _token(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at, token = _place(random, data), random.choice(grammar.tokens)
    return data[:at] + token + data[at + random.choice((0, 0, len(token), 4)) :]


def _repeat(random: Random, data: bytes, grammar: Grammar) -> bytes:
    at, pieces = _place(random, data), grammar.split(data)
    what = random.choice((*grammar.tokens[:8], random.choice(pieces))) if pieces else random.choice(grammar.tokens)
    return data[:at] + (what * random.choice(_REPEATS))[: grammar.longest] + data[at:]


def _number(random: Random, data: bytes, grammar: Grammar) -> bytes:
    found = list(_DIGITS.finditer(data))
    if not found:
        return _token(random, data, grammar)
    one = random.choice(found)
    return data[: one.start()] + random.choice(NUMBERS) + data[one.end() :]


def _length(random: Random, data: bytes, grammar: Grammar) -> bytes:
    found = grammar.lengths(data)
    if not found:
        return _number(random, data, grammar)
    at, size, order = random.choice(found)
    big = order == "big"
    said = int.from_bytes(data[at : at + size], "big" if big else "little")
    most: int = 256**size - 1
    lie = random.choice((0, 1, said + 1, said - 1, said * 2, 127, 128, 255, most, most // 2, most // 2 + 1, len(data)))
    return data[:at] + (lie & most).to_bytes(size, "big" if big else "little") + data[at + size :]


def _pieces(random: Random, data: bytes, grammar: Grammar) -> bytes:
    """Whole pieces dropped, doubled, moved, or taken from another input."""
    own, others = grammar.split(data), grammar.split(random.choice(grammar.corpus))
    at, other = random.randrange(len(own) + 1), random.randrange(len(others) + 1)
    changes: Sequence[Callable[[], None]] = (
        lambda: own.__delitem__(slice(at, at + random.randint(1, 3))),
        lambda: own.__setitem__(slice(at, at), own[at : at + random.randint(1, 3)]),
        lambda: own.__setitem__(slice(at, at), others[other : other + 2]),
        lambda: own.__setitem__(slice(at, at + 1), others[other : other + 1]),
        lambda: own.insert(random.randrange(len(own) + 1), own.pop(at) if at < len(own) else b""),
        lambda: random.shuffle(own),
    )
    random.choice(changes)()
    return b"".join(own)


FAULTS: tuple[Fault, ...] = (
    *(_flip, _overwrite, _truncate, _delete, _double, _insert, _splice, _append, _token, _token, _repeat),
    *(_number, _number, _length, _length, _length, _pieces, _pieces, _pieces),
)
