"""The uwsgi packet, both ways."""

from __future__ import annotations

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.uwsgi import encode_request, parse_request

# "The uwsgi Protocol": modifier1 u8, datasize u16 little-endian, modifier2 u8, then (u16le, key, u16le, value)*.
PACKETS: dict[bytes, list[tuple[str, str]]] = {
    b"\0\0\0\0": [],
    b"\0\x10\0\0\x0b\0PATH_INFO_X\x01\0/": [("PATH_INFO_X", "/")],
    b"\0\x12\0\0\x01\0A\0\0\x01\0B\x01\0b\x01\0A\x02\0aa": [("A", ""), ("B", "b"), ("A", "aa")],
    b"\0\x06\0\0\x01\0A\x01\0\xe9": [("A", "\xe9")],
    b"\0\x10\x01\0\x01\0A\x0b\x01" + b"v" * 267: [("A", "v" * 267)],
    b"\0\x13\0\0\x0b\0UWSGI_CHDIR\x04\0/etc": [("UWSGI_CHDIR", "/etc")],
}

BAD = {
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"\x05\0\0\0": 400,
    b"\x1e\0\0\0": 400,
    b"\0\x01\0\0A": 400,  # half a length
    b"\0\x02\0\0\x01\0": 400,  # a name beyond the block
    b"\0\x03\0\0\x01\0A": 400,  # no value
    b"\0\x06\0\0\x01\0A\x02\0b": 400,  # a value beyond the block
    b"\0\x06\0\0\xff\xffA\x01\0b": 400,
    b"\0\x05\0\0\0\0\x01\0a": 400,  # an empty name
    b"\0\x01\x10\0" + bytes(4097): 431,
}


@pytest.mark.parametrize("packet", PACKETS)
def test_a_packet_is_read_whole_and_with_a_body_behind_it(packet: bytes) -> None:
    for data in (packet, packet + b"body\0\0\0\0"):
        parsed = parse_request(data)
        assert parsed is not None
        params, size = parsed
        assert (params.pairs(), size) == (PACKETS[packet], len(packet))


@pytest.mark.parametrize("packet", PACKETS)
def test_a_packet_asks_for_more_at_every_byte_before_its_end(packet: bytes) -> None:
    assert [parse_request(packet[:size]) for size in range(len(packet))] == [None] * len(packet)


@pytest.mark.parametrize("packet", PACKETS)
def test_a_packet_is_written_as_it_is_read(packet: bytes) -> None:
    assert encode_request(PACKETS[packet]) == packet


@pytest.mark.parametrize("packet", BAD)
def test_a_bad_packet_is_refused_alone_and_with_bytes_behind_it(packet: bytes) -> None:
    for data in (packet, packet + b"\0" * 300, packet + b"\xff" * 300):
        with pytest.raises(ProtocolError) as caught:
            parse_request(data, 4096)
        assert caught.value.status == BAD[packet]


def test_the_limit_is_judged_before_the_block_has_come() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_request(b"\0\x01\x10\0", 4096)
    assert caught.value.status == 431
    assert parse_request(b"\0\0\x10\0", 4096) is None


def test_more_variables_than_any_web_server_sends_are_refused() -> None:
    parsed = parse_request(encode_request([("A", "")] * MAX_PAIRS))
    assert parsed is not None and len(parsed[0].names) == MAX_PAIRS
    with pytest.raises(ProtocolError) as caught:
        parse_request(encode_request([("A", "")] * (MAX_PAIRS + 1)))
    assert caught.value.status == 431


@pytest.mark.parametrize("value", ["v" * 65536, "v" * 65531, "\u20ac"])
def test_what_no_packet_can_hold_is_refused_before_it_is_sent(value: str) -> None:
    with pytest.raises(ProtocolError):
        encode_request([("A", value)])
