"""Bytes that are nearly right: recorded and golden streams, damaged in ways that depend on a seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Callable

from tests.unit.codec_world import streams

_LIES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\xff\xff", b"\0\1", b"\x80\0\0\1", b"\x7f\xff\xff\xff")

_RESPONSES = (
    # FastCGI 1.0 appendix B, examples 1 and 3, with other texts
    b"\x01\x06\0\x01\0\x2e\x02\0Content-type: text/html\r\n\r\n<html>\n<head> etc.--\x01\x06\0\x01\0\0\0\0"
    b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0",
    b"\x01\x06\0\x01\0\x02\x06\0ab------\x01\x07\0\x01\0\x1d\0\0config error: missing SI_UID\n"
    b"\x01\x06\0\x01\0\0\0\0\x01\x07\0\x01\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\x03\xaa\0\0\0\0",
    # somebody else's record, a value, a refusal
    b"\x01\x06\0\x02\0\x01\0\0x\x01\x0a\0\0\0\x12\0\0\x0f\x01FCGI_MPXS_CONNS0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\1\0\0\0",
    b"\x01\x06\0\x01\x40\0\0\0" + b"x" * 16384 + b"\x01\x03\0\x01\0\x08\0\0" + bytes(8),
)
_VALUES = (
    b"\x01\x09\0\0\0\x31\x05\0\x0e\0FCGI_MAX_CONNS\x0e\0FCGI_MAX_REQS_\x0f\0FCGI_MPXS_CONNS-----",
    b"\x01\x02\0\x01\0\0\0\0",
    b"\x01\x01\0\x02\0\x08\0\0\0\x01\0\0\0\0\0\0\x01\x04\0\x02\0\x05\0\0\x01\x02Abb\x01\x04\0\x02\0\0\0\0",
    b"\x01\x01\0\x01\0\x08\0\0\0\x02\x01\0\0\0\0\0",
)
_HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    b"Status: 404 Not Found\r\nContent-Type: text/plain\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\n",
    b"Content-Type: text/html\nLocation: /elsewhere\n\nbody\r\n\r\n",
    b"HTTP/1.0 503 \r\nRetry-After:5\r\nX-Empty:\r\n\r\n",
)


def seeds(codec: str) -> Sequence[bytes]:
    """``codec``: a key of ``codec_world.CODECS``. Large uploads are shortened: the mutant matters, not its size."""
    found: dict[str, Callable[[], Sequence[bytes]]] = {
        "uwsgi": lambda: [data[:4000] for data in streams("uwsgi").values()],
        "server": lambda: [*(data[:4000] for data in streams("fastcgi").values()), *_VALUES],
        "client": lambda: _RESPONSES,
        "cgi": lambda: _HEADS,
    }
    return found[codec]()


def mutants(stock: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Each is one of ``stock`` with one to four faults."""
    random = Random(seed)
    for _ in range(count):
        data = random.choice(stock)
        for _ in range(random.choice((1, 1, 2, 4))):
            data = random.choice(_FAULTS)(random, data, stock)
        yield data


def some_cut(random: Random, data: bytes) -> list[bytes]:
    """In up to five pieces, anywhere."""
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, 4)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)])]


# --- faults ---


def _place(random: Random, data: bytes) -> int:
    """Heads and lengths are what hurts, and they stand near the front of most streams."""
    size = len(data)
    return random.randrange(min(size, 64) if random.random() < 0.4 else size) if size else 0


def _flip(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    place = _place(random, data)
    return data[:place] + bytes(byte ^ 1 << random.randrange(8) for byte in data[place : place + 1]) + data[place + 1 :]


def _lie(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    place, lie = _place(random, data), random.choice(_LIES)
    return data[:place] + lie + data[place + len(lie) :]


def _truncate(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    return data[: _place(random, data)]


def _delete(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    place = _place(random, data)
    return data[:place] + data[place + random.randint(1, 40) :]


def _repeat(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    place = _place(random, data)
    return data[:place] + data[place : place + random.randint(1, 40)] + data[place:]


def _insert(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    place = _place(random, data)
    return data[:place] + random.randbytes(random.randint(1, 12)) + data[place:]


def _splice(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    other = random.choice(stock)
    return data[: _place(random, data)] + other[_place(random, other) :]


def _append(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    return data + random.choice(stock)


def _records(random: Random, data: bytes, stock: Sequence[bytes]) -> bytes:
    """Whole FastCGI records dropped, doubled, moved, or taken from another stream."""
    own, others = _split(data), _split(random.choice(stock))
    place, other = random.randrange(len(own) + 1), random.randrange(len(others) + 1)
    changes: Sequence[Callable[[], None]] = (
        lambda: own.__delitem__(slice(place, place + 1)),
        lambda: own.__setitem__(slice(place, place), own[place : place + 1]),
        lambda: own.__setitem__(slice(place, place), others[other : other + 2]),
        lambda: random.shuffle(own),
    )
    random.choice(changes)()
    return b"".join(own)


def _split(data: bytes) -> list[bytes]:
    out, place = [], 0
    while place < len(data):
        size = (
            8 + int.from_bytes(data[place + 4 : place + 6], "big") + int.from_bytes(data[place + 6 : place + 7], "big")
        )
        out.append(data[place : place + size])
        place += size
    return out


_FAULTS = (_flip, _flip, _lie, _lie, _truncate, _delete, _repeat, _insert, _splice, _append, _records, _records)
