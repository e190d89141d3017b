"""What holds for every input of the codecs, shown by Hypothesis: round trips, documented results, any cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from hypothesis import assume, example, given
from hypothesis import strategies as st

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.fastcgi import End, Stderr, Stdout, encode_begin, encode_stdin
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.params import pairs as pairs_of
from emperor.protocol.responder import BodyEnd, ServerMachine, Stdin
from emperor.protocol.uwsgi import encode_request
from tests.unit.codec_world import (
    CODECS,
    LIMIT,
    Asked,
    Packet,
    Result,
    byte_by_byte,
    cgi,
    client,
    expected,
    feed,
    joined,
    kept,
    pieces,
    uwsgi,
)

latin = st.binary(max_size=300).map(lambda data: data.decode("latin-1"))
pairs = st.lists(st.tuples(latin.filter(bool), latin), max_size=20)
steps = st.integers(1, 400)


@given(pairs, st.binary(max_size=50), steps)
def test_every_uwsgi_packet_that_is_written_is_read(items: list[tuple[str, str]], body: bytes, step: int) -> None:
    packet = encode_request(items)
    assert uwsgi(pieces(packet + body, step), 65535) == expected(Packet(tuple(items), len(packet)))


@given(pairs, st.booleans(), st.integers(1, 65535), st.binary(max_size=500), steps)
def test_every_fastcgi_request_that_is_written_is_read(
    items: list[tuple[str, str]], keep: bool, number: int, body: bytes, step: int
) -> None:
    data = encode_begin(items, keep, number) + (encode_stdin(body, number) if body else b"") + encode_stdin(b"", number)
    asked = expected(Asked(tuple(items), keep, number), *([Stdin(body)] if body else []), BodyEnd())
    for parts in ([data], pieces(data, step)):
        assert feed(ServerMachine(), parts) == asked


@given(st.lists(st.sampled_from([Stdout, Stderr]).flatmap(lambda kind: st.binary(min_size=1).map(kind))), steps)
def test_every_response_that_is_written_is_read(events: list[Union[Stdout, Stderr]], step: int) -> None:
    kinds = {Stdout: records.STDOUT, Stderr: records.STDERR}
    data = b"".join(records.encode_stream(kinds[type(event)], 1, event.data) for event in events) + records.encode_end(
        1
    )
    assert client(pieces(data, step)) == Result([*joined(events), End(0, 0)])


# --- records in any order, with any content ---

begins = st.builds(lambda role, flags: bytes((0, role, flags)) + bytes(5), st.integers(0, 4), st.integers(0, 3))
blocks = st.lists(st.tuples(latin, latin), max_size=3).map(records.encode_pairs)
contents = st.one_of(st.just(b""), begins, blocks, st.binary(max_size=40))
kinds = st.one_of(st.integers(1, 5), st.integers(0, 12), st.just(255))


def _record(kind: int, number: int, content: bytes, padding: int) -> bytes:
    return records.HEADER.pack(1, kind, number, len(content), padding) + content + bytes(padding)


likely = st.sampled_from(
    [
        _record(1, 1, b"\0\1\0" + bytes(5), 0),
        _record(1, 1, b"\0\1\1" + bytes(5), 0),
        _record(4, 1, b"\x01\x02Abb", 0),
        _record(4, 1, b"\x01\x02Abb", 3),
        _record(4, 1, b"", 0),
        _record(5, 1, b"body", 0),
        _record(5, 1, b"", 0),
        _record(2, 1, b"", 0),
    ]
)
any_record = st.builds(_record, kinds, st.integers(0, 2), contents, st.sampled_from([0, 0, 1, 7, 255]))
record_streams = st.lists(st.one_of(likely, likely, any_record), max_size=12).map(b"".join)
ENDS = _record(4, 1, b"", 0) + _record(5, 1, b"", 0)


def _one_read(second: tuple[int, int], content: bytes, flags: int, padding: int, tail: bytes) -> bytes:
    """Four records, the usual form of a request, or nearly."""
    begin = _record(1, 1, bytes((0, 1, flags)) + bytes(5), 0)
    return begin + _record(*second, content, padding) + ENDS + tail


usual_seconds = st.sampled_from([(4, 1), (4, 1), (4, 1), (4, 2), (5, 1), (8, 1), (9, 0), (99, 0)])
large = st.integers(LIMIT - 20, LIMIT + 20).map(lambda size: records.encode_pairs([("A", "v" * (size - 6))]))
whole_requests = st.builds(
    _one_read,
    usual_seconds,
    st.one_of(blocks, blocks, contents, large),
    st.integers(0, 3),
    st.sampled_from([0, 0, 1, 8, 255]),
    st.one_of(st.just(b""), st.just(b""), st.just(b"\0"), st.binary(max_size=9), record_streams),
)


def _state(machine: ServerMachine) -> tuple[object, ...]:
    fault = None if machine.error is None else machine.error.status
    open_ends = (machine.partial, machine.in_body) if fault is None else None
    return machine.request_id, machine.ignored, open_ends, fault


@given(st.one_of(whole_requests, record_streams), st.booleans(), steps)
@example(_one_read((4, 1), b"\xff", 0, 0, b""), False, 1)
@example(_one_read((4, 1), b"\x01\x80\0\x10\0A" + bytes(4096), 0, 0, b""), False, 1)
@example(_one_read((4, 2), b"\x01\x02Abb", 0, 0, b""), True, 1)
@example(_one_read((5, 1), b"\x01\x02Abb", 0, 0, b""), False, 1)
def test_a_request_in_one_read_means_the_same_as_byte_by_byte(data: bytes, second: bool, step: int) -> None:
    """Events, state and faults, on a new connection and on a kept one."""
    machines = ServerMachine(LIMIT), ServerMachine(LIMIT), ServerMachine(LIMIT)
    if second:
        for machine in machines:
            machine.receive(encode_begin([("A", "b")], keep=True) + encode_stdin(b""))
            machine.finish()
    whole, by_byte, cut = machines
    result = feed(whole, [data])
    assert result == feed(by_byte, byte_by_byte(data)) == feed(cut, pieces(data, step))
    assert _state(whole) == _state(by_byte) == _state(cut)
    assert kept(whole) <= len(data)


@given(record_streams, steps)
def test_a_client_takes_any_records(data: bytes, step: int) -> None:
    result = client([data])
    assert result == client(byte_by_byte(data)) == client(pieces(data, step))
    assert result.status in (None, 502)
    assert not any(isinstance(event, End) for event in result.events[:-1])


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=200), steps)
def test_any_bytes_have_a_documented_result(codec: str, data: bytes, step: int) -> None:
    result = CODECS[codec]([data])
    assert result == CODECS[codec](pieces(data, step))
    assert result.status in (None, 400, 431, 502)


lines = st.one_of(
    st.sampled_from([b"HTTP/1.1 200 OK", b"Status: 404 Not Found", b"Status: x", b"Location: /", b"A: b", b"", b" x"]),
    st.binary(max_size=20),
)


@given(st.lists(lines, max_size=5), st.sampled_from([b"\n", b"\r\n", b"\r\r\n"]), st.booleans(), steps)
def test_any_lines_have_a_documented_result(texts: Sequence[bytes], ending: bytes, closed: bool, step: int) -> None:
    data = ending.join(texts) + ending * 2 * closed
    result = cgi([data])
    assert result == cgi(pieces(data, step))
    for head in result.events:
        assert not set("\r\n\0") & set(head.reason + "".join(name + value for name, value in head.headers))
        assert 0 < head.size <= len(data)


@given(st.binary(max_size=3000))
def test_a_block_of_parameters_is_read_or_refused(data: bytes) -> None:
    try:
        params = records.decode_pairs(data)
    except ProtocolError as error:
        assert error.status in (400, 431)
        return
    assert len(pairs_of(params)) <= MAX_PAIRS
    # Nothing was made up and nothing lost: but for the lengths, every byte stands in a name or a value.
    text = "".join(name + value for name, value in pairs_of(params))
    assume(max(data, default=0) < 128)
    assert len(text) == len(data) - 2 * len(pairs_of(params))
    assert sorted(records.encode_pairs(pairs_of(params))) == sorted(data)
