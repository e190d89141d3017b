"""The web server's side of FastCGI: one table of responses, cut anywhere, and each side reads what the other writes."""

from __future__ import annotations

from typing import Callable

import pytest

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.fastcgi import ClientResponse, End, Stderr, Stdout, encode_begin, encode_stdin
from emperor.protocol.responder import BodyEnd, ServerMachine, Stdin
from tests.unit.codec_world import Asked, Case, Result, byte_by_byte, client, cuts, expected, feed, pieces

END = b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # section 5.5


def stdout(content: bytes, padding: int = 0, number: int = 1) -> bytes:
    """Section 3.3; type 6."""
    head = b"\x01\x06" + number.to_bytes(2, "big") + len(content).to_bytes(2, "big") + bytes((padding, 0))
    return head + content + b"-" * padding


RESPONSES = {
    # appendix B, example 3: the app logs an error and exits with 938
    "an error": Case(
        b"\x01\x06\x00\x01\x00\x02\x06\x00ab------" b"\x01\x07\x00\x01\x00\x1d\x00\x00config error: missing SI_UID\n"
        b"\x01\x06\x00\x01\x00\x01\x00\x00c"
        b"\x01\x06\x00\x01\x00\x00\x00\x00" b"\x01\x07\x00\x01\x00\x00\x00\x00"
        b"\x01\x03\x00\x01\x00\x08\x00\x00" b"\x00\x00\x03\xaa\x00\x00\x00\x00",
        [Stdout(b"ab"), Stderr(b"config error: missing SI_UID\n"), Stdout(b"c"), End(938, 0)],
    ),
    "nothing": Case(END, [End(0, 0)]),
    "two records": Case(stdout(b"one") + stdout(b"two") + stdout(b"") + END, [Stdout(b"onetwo"), End(0, 0)]),
    "the longest record": Case(stdout(b"b" * 65535, 255) + END, [Stdout(b"b" * 65535), End(0, 0)]),
    "an app that failed": Case(END[:8] + b"\xff\xff\xff\xff\0\0\0\0", [End(0xFFFFFFFF, 0)]),
    "cannot multiplex": Case(END[:12] + b"\x01\0\0\0", [End(0, 1)]),
    "overloaded": Case(b"\x01\x03\x00\x01\x00\x08\x00\x00" b"\x00\x00\x00\x00\x02\x00\x00\x00", [End(0, 2)]),
    "an unknown role": Case(END[:12] + b"\x03\0\0\0", [End(0, 3)]),
    "reserved bytes are nobody's": Case(END[:7] + b"\xff" + END[8:13] + b"\xff\xff\xff", [End(0, 0)]),
    # sections 3.3, 4.1, 4.2: other requests, and management
    "somebody else's": Case(
        stdout(b"x", number=2) + b"\x01\x0b\x00\x00\x00\x08\x00\x00" + bytes(8) + b"\x01\x0a\0\0\0\0\0\0"
        + b"\x01\x03\0\x02\0\x08\0\0" + bytes(8) + END,
        [End(0, 0)],
    ),
    "a type of tomorrow": Case(b"\x01\x63\0\x01\0\x01\0\0x" + END, [End(0, 0)]),
    "what only a web server sends": Case(b"\x01\x05\0\x01\0\x01\0\0x" + b"\x01\x01\0\x01\0\0\0\0" + END, [End(0, 0)]),
    "version 0 at once": Case(records.INVALID, status=502),
    "cut on purpose": Case(stdout(b"page") + b"\0\0\0\0\0\0\0\0", [Stdout(b"page")], 502),
    "HTTP": Case(b"HTTP/1.1 200 OK\r\n\r\n", status=502),
    "uwsgi": Case(b"\0\x0e\0\0\x09\0PATH_INFO\x01\0/", status=502),
    "a short end": Case(stdout(b"page") + b"\x01\x03\x00\x01\x00\x01\x00\x00x", [Stdout(b"page")], 502),
    "a long end": Case(b"\x01\x03\x00\x01\x00\x09\x00\x00" + bytes(9), status=502),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_means_the_same_wherever_it_is_cut(name: str) -> None:
    case = RESPONSES[name]
    for parts in cuts(case.data):
        assert client(parts) == case.result


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("tail", [b"\x01\x06\x00\x01\x00\x09", stdout(b"more") + END, b"\0garbage"])
def test_nothing_comes_behind_the_end_of_a_response(name: str, tail: bytes) -> None:
    case = RESPONSES[name]
    data = case.data + tail
    for parts in ([data], [case.data, tail], byte_by_byte(data), pieces(data, 7)):
        assert client(parts) == case.result


@pytest.mark.parametrize("size", range(1, 8))
def test_what_is_no_fastcgi_is_known_by_its_first_byte(size: int) -> None:
    assert client([b"HTTP/1.1"[:size]]) == Result([], 502)


def test_a_response_that_met_a_fault_stays_dead() -> None:
    response = ClientResponse()
    for data in (b"HTTP/1.1", END):
        with pytest.raises(ProtocolError):
            response.receive(data)


def test_another_request_id_may_be_asked_for() -> None:
    data = stdout(b"mine", number=7) + stdout(b"not mine") + END.replace(b"\x03\x00\x01", b"\x03\x00\x07")
    assert feed(ClientResponse(7), [data]) == Result([Stdout(b"mine"), End(0, 0)])


# --- each side reads what the other writes ---


def test_a_request_is_written_as_the_specification_has_it() -> None:
    begin = b"\x01\x01\x00\x07\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
    pairs = b"\x01\x02Abb\x01\x80\x00\x01\x2cC" + b"c" * 300
    whole = begin + b"\x01\x04\0\x07" + len(pairs).to_bytes(2, "big") + b"\0\0" + pairs + b"\x01\x04\0\x07\0\0\0\0"
    assert encode_begin([("A", "bb"), ("C", "c" * 300)], keep=True, request_id=7) == whole
    assert encode_stdin(b"ab", 7) == b"\x01\x05\0\x07\0\x02\0\0ab"
    assert encode_stdin(b"", 7) == b"\x01\x05\0\x07\0\0\0\0"


def test_a_response_is_written_as_the_specification_has_it() -> None:
    assert records.encode_stream(records.STDOUT, 1, b"ab") == stdout(b"ab")
    assert records.encode_end(1) == END
    assert records.encode_end(1, 938, records.OVERLOADED) == END[:8] + b"\0\0\x03\xaa\x02\0\0\0"


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("body", [b"", b"small", b"B" * 200_000])
def test_what_one_side_writes_the_other_side_reads(body: bytes, keep: bool) -> None:
    pairs = [("A", "bb"), ("C", "\xe9" * 300), ("D", ""), ("A", "again")]
    data = encode_begin(pairs, keep=keep) + (encode_stdin(body) if body else b"") + encode_stdin(b"")
    asked = expected(Asked(tuple(pairs), keep), *([Stdin(body)] if body else []), BodyEnd())
    answer = (records.encode_stream(records.STDOUT, 1, body) if body else b"") + records.encode_end(1, 3)
    for step in (9, 65536, 1_000_000):
        assert feed(ServerMachine(), pieces(data, step)) == asked
        assert client(pieces(answer, step)) == Result([*([Stdout(body)] if body else []), End(3, 0)])


def test_text_that_is_not_latin_1_cannot_be_a_parameter() -> None:
    with pytest.raises(ProtocolError):
        encode_begin([("A", "\u20ac")])


ENCODERS: list[Callable[[bytes], bytes]] = [encode_stdin, lambda data: records.encode_stream(records.STDOUT, 1, data)]


@pytest.mark.parametrize("encode", ENCODERS)
def test_no_record_is_longer_than_its_length_field_can_say(encode: Callable[[bytes], bytes]) -> None:
    data = encode(b"x" * 150_000)
    sizes = []
    while data:
        size = int.from_bytes(data[4:6], "big")
        sizes.append(size)
        data = data[8 + size :]
    assert sizes == [65535, 65535, 18930]
