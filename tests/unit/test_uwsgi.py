"""The uwsgi packet: one table of golden bytes, read whole and cut anywhere, and written."""

from __future__ import annotations

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.uwsgi import encode_request, parse_request
from tests.unit.codec_world import Case, Packet, Result, cuts, expected, uwsgi

# uWSGI's documentation, "The uwsgi Protocol": modifier1 u8, datasize u16 little-endian, modifier2 u8, then
# (u16le size, key, u16le size, value) until datasize is used up.


def good(data: bytes, *pairs: tuple[str, str]) -> Case:
    return Case(data, [Packet(pairs, len(data))])


def bad(data: bytes, status: int = 400) -> Case:
    return Case(data, status=status)


PACKETS = {
    "nothing": good(b"\0\0\0\0"),
    "one variable": good(b"\0\x0e\0\0\x09\0PATH_INFO\x01\0/", ("PATH_INFO", "/")),
    "the page's example of a length": good(b"\0\x0d\0\0\x03\0FOO\x06\0ABCDEF", ("FOO", "ABCDEF")),
    "an empty value": good(b"\0\x05\0\0\x01\0A\0\0", ("A", "")),
    "a name twice": good(
        b"\0\x12\0\0\x01\0A\0\0\x01\0B\x01\0b\x01\0A\x02\0aa", ("A", ""), ("B", "b"), ("A", "aa")
    ),
    "the same pair twice": good(b"\0\x0c\0\0\x01\0A\x01\0a\x01\0A\x01\0a", ("A", "a"), ("A", "a")),
    "a byte above 127": good(b"\0\x06\0\0\x01\0A\x01\0\xe9", ("A", "\xe9")),
    "control characters": good(b"\0\x08\0\0\x01\0A\x03\0\r\n\0", ("A", "\r\n\0")),
    "a value over 255 bytes": good(b"\0\x10\x01\0\x01\0A\x0b\x01" + b"v" * 267, ("A", "v" * 267)),
    "a name over 255 bytes": good(b"\0\x10\x01\0\x0b\x01" + b"N" * 267 + b"\x01\0v", ("N" * 267, "v")),
    "a value of 256 bytes": good(b"\0\x05\x01\0\x01\0A\0\x01" + b"v" * 256, ("A", "v" * 256)),
    "as large as the limit": good(b"\0\0\x10\0\x01\0A\xfb\x0f" + b"v" * 4091, ("A", "v" * 4091)),
    # What uWSGI takes as orders (its core/protocol.c): here they are strings.
    "UWSGI_ variables": good(
        b"\0\x26\0\0\x0b\0UWSGI_CHDIR\x04\0/etc\x0a\0UWSGI_FILE\x05\0/tmp/",
        ("UWSGI_CHDIR", "/etc"), ("UWSGI_FILE", "/tmp/")
    ),
    "names that no environment has": good(
        b"\0\x1d\0\0\x0a\0wsgi.input\x01\0x\x03\0A=B\x01\0y\x01\0 \x01\0z",
        ("wsgi.input", "x"), ("A=B", "y"), (" ", "z")
    ),
}  # fmt: skip

FAULTS = {
    "plain HTTP": bad(b"GET / HTTP/1.1\r\n\r\n"),
    "TLS": bad(b"\x16\x03\x01\x02\0\x01"),
    "FastCGI": bad(b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0"),
    "modifier1 5, Perl": bad(b"\x05\0\0\0"),
    "modifier1 22, a string to evaluate": bad(b"\x16\0\0\0"),
    "modifier1 255": bad(b"\xff\0\0\0"),
    "half a length": bad(b"\0\x01\0\0A"),
    "a name beyond the block": bad(b"\0\x02\0\0\x01\0"),
    "a name without a value": bad(b"\0\x03\0\0\x01\0A"),
    "half the length of a value": bad(b"\0\x04\0\0\x01\0A\x01"),
    "a value one byte too long": bad(b"\0\x06\0\0\x01\0A\x02\0b"),
    "a length of 65535": bad(b"\0\x06\0\0\xff\xffA\x01\0b"),
    "a value of 65535": bad(b"\0\x06\0\0\x01\0A\xff\xffb"),
    "a pair and one byte": bad(b"\0\x07\0\0\x01\0A\x01\0b\0"),
    "an empty name": bad(b"\0\x05\0\0\0\0\x01\0a"),
    "an empty name between others": bad(b"\0\x0f\0\0\x01\0A\0\0\0\0\x01\0a\x01\0A\0\0"),
    "one byte over the limit": bad(b"\0\x01\x10\0" + bytes(4097), 431),
    "the largest size": bad(b"\0\xff\xff\0", 431),
}

# modifier2 chooses among Python apps in uWSGI; the protocol's page gives it no meaning for modifier1 0.
MODIFIER2 = good(b"\0\x05\0\x07\x01\0A\0\0", ("A", ""))

ALL = {**PACKETS, **FAULTS, "modifier2 7": MODIFIER2}


@pytest.mark.parametrize("name", ALL)
def test_a_packet_means_the_same_wherever_it_is_cut(name: str) -> None:
    case = ALL[name]
    for parts in cuts(case.data):
        assert uwsgi(parts) == case.result


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("behind", [b"body", b"\0\0\0\0", bytes(300), b"\xff" * 300])
def test_what_follows_a_packet_is_not_looked_at(name: str, behind: bytes) -> None:
    case = ALL[name]
    for parts in cuts(case.data + behind):
        assert uwsgi(parts) == case.result


@pytest.mark.parametrize("name", [*PACKETS, "modifier2 7"])
def test_a_packet_asks_for_more_at_every_byte_before_its_end(name: str) -> None:
    data = ALL[name].data
    assert [parse_request(data[:size], 4096) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("name", PACKETS)
def test_a_packet_is_written_as_it_is_read(name: str) -> None:
    (packet,) = PACKETS[name].events
    assert encode_request(packet.pairs) == PACKETS[name].data


def test_a_fault_of_the_head_is_found_in_the_head() -> None:
    assert uwsgi([b"G"]) == Result([], 400)
    assert uwsgi([b"\0\x01\x10\0"]) == Result([], 431)
    assert uwsgi([b"\0\0\x10\0"]) == Result([])


@pytest.mark.parametrize("name", ["A", "AB"])
def test_more_variables_than_any_web_server_sends_are_refused(name: str) -> None:
    """Whether the names differ or repeat."""
    names = [name if len(name) == 1 else f"N{number}" for number in range(MAX_PAIRS + 1)]
    block = [
        b"".join(len(item).to_bytes(2, "little") + item.encode() + b"\0\0" for item in names[:n]) for n in (-1, None)
    ]
    most, more = (b"\0" + len(item).to_bytes(2, "little") + b"\0" + item for item in block)
    assert uwsgi([most], 65535) == expected(Packet(tuple((item, "") for item in names[:-1]), len(most)))
    assert uwsgi([more], 65535) == Result([], 431)


@pytest.mark.parametrize("value", ["v" * 65536, "v" * 65531, "\u20ac"])
def test_what_no_packet_can_hold_is_refused_before_it_is_sent(value: str) -> None:
    with pytest.raises(ProtocolError):
        encode_request([("A", value)])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x01\x01\0\x01\0\x08", "this is FastCGI"),
        (b"GET / HTTP/1.1\r\n", "this is HTTP"),
        (b"POST /x HTTP/1.0\r\n", "this is HTTP"),
        (b"\x05\x0a\0\0", "modifier1 is 5, not 0"),
        (b"H\xff\xff\0", "modifier1 is 72, not 0"),
    ],
)
def test_another_protocol_is_called_by_its_name(data: bytes, words: str) -> None:
    """What a wrong pass in the web server's configuration sends: its log is where people look."""
    with pytest.raises(ProtocolError, match=words):
        parse_request(data)


@pytest.mark.parametrize(
    ("script", "path", "left"),
    [
        ("/shop", "/shop/items", "/items"),
        ("/shop", "/shop", ""),
        ("/shop/", "/shop/items", "/items"),
        ("/shop", "/shopping", "/shopping"),
        ("/shop", "/other", "/other"),
        ("", "/items", "/items"),
        ("/", "/items", "/items"),
    ],
)
def test_modifier1_30_cuts_script_name_off_the_path(script: str, path: str, left: str) -> None:
    plain = encode_request([("SCRIPT_NAME", script), ("PATH_INFO", path)])
    for modifier, found in ((b"\0", path), (b"\x1e", left)):
        parsed = parse_request(modifier + plain[1:])
        assert parsed is not None
        assert parsed[0][0] == {"SCRIPT_NAME": script, "PATH_INFO": found}
