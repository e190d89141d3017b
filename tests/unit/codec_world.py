"""What the tests of the codecs share: ways to cut bytes, what a codec makes of them, and recorded streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol.cgi import parse_head
from emperor.protocol.fastcgi import ClientResponse, Stderr, Stdout
from emperor.protocol.params import pairs
from emperor.protocol.responder import BodyEnd, Request, ServerMachine, Stdin
from emperor.protocol.uwsgi import parse_request

LIMIT = 4096
"""Bytes of parameters that the codecs under test take, where a case says nothing else."""

ONE_RECORD = 8 + 65535 + 255
"""The largest that the record layer must keep to see it whole (FastCGI 1.0 section 3.3)."""

STREAMS = Path(__file__).resolve().parent.parent / "data/streams"


Pairs = tuple[tuple[str, str], ...]


def by_name(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """What must come out of a codec: the values of one name in their order; names may change places."""
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


class Asked(NamedTuple):
    """A ``Request`` without the form in which its parameters are kept."""

    pairs: Pairs = ()
    keep: bool = False
    request_id: int = 1


class Result(NamedTuple):
    """``events``: adjacent pieces of one stream are joined; ``status``: of the fault that came behind them."""

    events: list[Any]
    status: Optional[int] = None


class Case(NamedTuple):
    """Golden bytes, and what they mean; ``status``: of the ``ProtocolError`` behind the events."""

    data: bytes
    events: Sequence[Any] = ()
    status: Optional[int] = None

    @property
    def result(self) -> Result:
        return expected(*self.events, status=self.status)


def expected(*events: Any, status: Optional[int] = None) -> Result:
    """The result with these events, whose parameters stand in the order of the wire."""
    plain = [
        event._replace(pairs=by_name(event.pairs)) if isinstance(event, (Asked, Packet)) else event for event in events
    ]
    return Result(plain, status)


# --- ways to cut ---


def at_two(data: bytes) -> Iterator[list[bytes]]:
    """Whole, and in two at every boundary; long data at those near both ends and at some between."""
    yield [data]
    size = len(data)
    middle = range(600, size - 600, 4099)
    places: Iterable[int] = range(1, size) if size < 1200 else [*range(1, 600), *middle, *range(size - 600, size)]
    for place in places:
        yield [data[:place], data[place:]]


def pieces(data: bytes, step: int) -> list[bytes]:
    return [data[start : start + step] for start in range(0, len(data), step)]


def byte_by_byte(data: bytes) -> list[bytes]:
    return pieces(data, 1)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    yield from at_two(data)
    yield byte_by_byte(data)


# --- what a codec makes of pieces ---


def joined(events: Iterable[Any]) -> list[Any]:
    """Where the pieces of a stream meet is nobody's business."""
    out: list[Any] = []
    for event in events:
        if isinstance(event, Request):
            event = Asked(by_name(pairs(event.params)), event.keep, event.request_id)
        if isinstance(event, (Stdin, Stdout, Stderr)) and out and type(out[-1]) is type(event):
            event = type(event)(out.pop().data + event.data)
        out.append(event)
    return out


Fed = Union[ServerMachine, ClientResponse]


def feed(machine: Fed, parts: Iterable[bytes]) -> Result:
    """Everything until the first fault; nothing is fed behind it but b"", which must not hide it."""
    events: list[Any] = []
    try:
        for part in parts:
            events += machine.receive(part)
        events += machine.receive(b"")
    except ProtocolError as error:
        return Result(joined(events), error.status)
    return Result(joined(events))


def serve(machine: ServerMachine, parts: Iterable[bytes]) -> Result:
    """The same with an owner that has answered each request as soon as its body has ended."""
    events: list[Any] = []
    try:
        for part in parts:
            got = machine.receive(part)
            if any(isinstance(event, BodyEnd) for event in got):
                machine.finish()
            events += got
        events += machine.receive(b"")
    except ProtocolError as error:
        return Result(joined(events), error.status)
    return Result(joined(events))


def server(parts: Iterable[bytes]) -> Result:
    return feed(ServerMachine(LIMIT), parts)


def client(parts: Iterable[bytes]) -> Result:
    return feed(ClientResponse(), parts)


def _by_prefix(parse: Callable[[bytes], Any], parts: Iterable[bytes]) -> Result:
    """A codec that is a function: asked again with all that has come, until it has an answer."""
    data = b""
    for part in parts:
        data += part
        try:
            value = parse(data)
        except ProtocolError as error:
            return Result([], error.status)
        if value is not None:
            return Result([value])
    return Result([])


class Packet(NamedTuple):
    pairs: Pairs
    size: int


def uwsgi(parts: Iterable[bytes], limit: int = LIMIT) -> Result:
    def parse(data: bytes) -> Optional[Packet]:
        parsed = parse_request(data, limit)
        return None if parsed is None else Packet(by_name(pairs(parsed[0])), parsed[1])

    return _by_prefix(parse, parts)


def cgi(parts: Iterable[bytes]) -> Result:
    return _by_prefix(parse_head, parts)


CODECS: dict[str, Callable[[Iterable[bytes]], Result]] = {
    "uwsgi": uwsgi,
    "server": server,
    "client": client,
    "cgi": cgi,
}


def kept(machine: Fed) -> int:
    """Bytes that a machine holds back, wherever it holds them."""
    total = 0
    for name in type(machine).__slots__:
        value = getattr(machine, name, None)
        for item in value if isinstance(value, (list, tuple)) else (value,):
            total += len(item) if isinstance(item, (bytes, bytearray)) else 0
    return total


# --- recorded streams ---


def stream(name: str) -> bytes:
    return (STREAMS / f"{name}.bin").read_bytes()


def streams(protocol: str) -> dict[str, bytes]:
    """Those of one protocol ("uwsgi", "fastcgi") by name; mod_fcgid's and mod_proxy_fcgi's are FastCGI."""
    found = {path.stem: path.read_bytes() for path in sorted(STREAMS.glob("*.bin"))}
    return {name: data for name, data in found.items() if ("uwsgi" in name) == (protocol == "uwsgi")}
