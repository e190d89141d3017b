"""FastCGI, both sides: one table of byte streams, run whole, byte by byte, and with bytes behind it."""

from __future__ import annotations

from typing import Callable, Union

import pytest

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.fastcgi import ClientResponse, End, Stderr, Stdout, encode_begin, encode_stdin
from emperor.protocol.params import MAX_PAIRS, Params
from emperor.protocol.responder import Abort, BodyEnd, Reply, Request, ServerMachine, Stdin

BEGIN = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"  # sections 3.3 and 5.1: responder
BEGIN_KEEP = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"  # FCGI_KEEP_CONN
BEGIN_TWO = b"\x01\x01\x00\x02\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
PARAMS_END = b"\x01\x04\x00\x01\x00\x00\x00\x00"
STDIN_END = b"\x01\x05\x00\x01\x00\x00\x00\x00"
ABORT = b"\x01\x02\x00\x01\x00\x00\x00\x00"  # section 5.4


def params_record(content: bytes, padding: int = 0) -> bytes:
    return b"\x01\x04\x00\x01" + len(content).to_bytes(2, "big") + bytes((padding, 0)) + content + b"\xff" * padding


def stdin_record(content: bytes, number: int = 1) -> bytes:
    return b"\x01\x05" + number.to_bytes(2, "big") + len(content).to_bytes(2, "big") + b"\0\0" + content


# Section 3.4: a length of one byte below 128, of four bytes with the highest bit set from there on.
PAIR = b"\x01\x02Abb"
LONG_PAIR = b"\x01\x80\x00\x01\x2cC" + b"c" * 300
LONG_NAME = b"\x80\x00\x00\x80\x01" + b"N" * 128 + b"n"


def request(*pairs: tuple[str, str], keep: bool = False) -> Request:
    return Request(1, Params([name for name, _ in pairs], [value for _, value in pairs]), keep)


A, C = ("A", "bb"), ("C", "c" * 300)

STREAMS = {
    "no parameters": (BEGIN + PARAMS_END + STDIN_END, [request(), BodyEnd()]),
    "one pair": (BEGIN + params_record(PAIR) + PARAMS_END + STDIN_END, [request(A), BodyEnd()]),
    "keep": (BEGIN_KEEP + PARAMS_END + STDIN_END, [request(keep=True), BodyEnd()]),
    "long lengths": (
        BEGIN + params_record(LONG_PAIR + LONG_NAME) + PARAMS_END,
        [request(C, ("N" * 128, "n"))],
    ),
    "a pair over two records": (
        BEGIN + params_record(PAIR + LONG_PAIR[:150]) + params_record(LONG_PAIR[150:]) + PARAMS_END,
        [request(A, C)],
    ),
    "a length over two records": (
        BEGIN + params_record(LONG_PAIR[:3]) + params_record(LONG_PAIR[3:]) + PARAMS_END,
        [request(C)],
    ),
    "padding": (BEGIN + params_record(PAIR, 3) + params_record(b"", 255) + STDIN_END, [request(A), BodyEnd()]),
    # appendix B, example 2: a pair split in the middle of a name, and a body
    "the specification's example": (
        BEGIN
        + b"\x01\x04\x00\x01\x00\x14\x00\x00" b"\013\002SERVER_PORT80\013\016SER"
        + b"\x01\x04\x00\x01\x00\x16\x00\x00" b"VER_ADDR199.170.183.42"
        + PARAMS_END
        + b"\x01\x05\x00\x01\x00\x19\x00\x00" b"quantity=100&item=3047936"
        + STDIN_END,
        [
            request(("SERVER_PORT", "80"), ("SERVER_ADDR", "199.170.183.42")),
            Stdin(b"quantity=100&item=3047936"),
            BodyEnd(),
        ],
    ),
    "a body": (
        BEGIN + PARAMS_END + stdin_record(b"one") + stdin_record(b"two") + STDIN_END,
        [request(), Stdin(b"one"), Stdin(b"two"), BodyEnd()],
    ),
    # section 5.4
    "abort in the body": (BEGIN + PARAMS_END + ABORT, [request(), Abort()]),
    "abort before the body": (
        BEGIN_KEEP + ABORT + BEGIN + PARAMS_END,
        [Reply(b"\x01\x03\x00\x01\x00\x08\x00\x00" + bytes(8)), request()],
    ),
    "abort of nothing": (ABORT + BEGIN + PARAMS_END, [request()]),
    # section 3.3: an id that is not active
    "records of nobody": (stdin_record(b"x", 7) + BEGIN + PARAMS_END + stdin_record(b"x", 7), [request()]),
    # section 5.5: the only multiplexing that we do is to refuse it
    "a second request": (
        BEGIN + BEGIN_TWO + PARAMS_END,
        [Reply(b"\x01\x03\x00\x02\x00\x08\x00\x00" b"\x00\x00\x00\x00\x01\x00\x00\x00"), request()],
    ),
    "an unknown role": (
        BEGIN_KEEP.replace(b"\x00\x01\x01\x00", b"\x00\x02\x01\x00"),
        [Reply(b"\x01\x03\x00\x01\x00\x08\x00\x00" b"\x00\x00\x00\x00\x03\x00\x00\x00")],
    ),
    # section 4.1
    "get values": (
        b"\x01\x09\x00\x00\x00\x22\x00\x00" b"\x0f\x00FCGI_MPXS_CONNS" b"\x0f\x00SOMETHING_ELSE_",
        [Reply(b"\x01\x0a\x00\x00\x00\x12\x00\x00" b"\x0f\x01FCGI_MPXS_CONNS0")],
    ),
    # section 4.2
    "an unknown type": (
        b"\x01\x63\x00\x00\x00\x03\x05\x00" b"abc" b"-----" + BEGIN + PARAMS_END,
        [Reply(b"\x01\x0b\x00\x00\x00\x08\x00\x00" b"\x63\x00\x00\x00\x00\x00\x00\x00"), request()],
    ),
}  # fmt: skip

FAULTS = {
    "version": (b"\x02\x01\x00\x01\x00\x08\x00\x00", 400),
    "not FastCGI": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a short begin": (b"\x01\x01\x00\x01\x00\x02\x00\x00\x00\x01", 400),
    "the same id twice": (BEGIN + BEGIN, 400),
    "begin without an id": (b"\x01\x01\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", 400),
    "values of a request": (b"\x01\x09\x00\x01\x00\x00\x00\x00", 400),
    "body before parameters": (BEGIN + stdin_record(b"x"), 400),
    "parameters after parameters": (BEGIN + PARAMS_END + params_record(PAIR), 400),
    "body after body": (BEGIN + PARAMS_END + STDIN_END + stdin_record(b"x"), 400),
    "a name that is too long": (BEGIN + params_record(b"\x05\x00abc") + PARAMS_END, 400),
    "a value that is too long": (BEGIN + params_record(b"\x01\x09abc") + PARAMS_END, 400),
    "a length of 2 GiB": (BEGIN + params_record(b"\xff\xff\xff\xff\x01a") + PARAMS_END, 400),
    "half a length": (BEGIN + params_record(PAIR + b"\x01\x80\x00") + PARAMS_END, 400),
    "a lone length": (BEGIN + params_record(b"\x01") + PARAMS_END, 400),
    "an empty name": (BEGIN + params_record(b"\x00\x01a") + PARAMS_END, 400),
    "a parameter bomb": (BEGIN + params_record(b"x" * 600) + params_record(b"x" * 600), 431),
}


def fed(data: bytes, step: int) -> tuple[list[object], Union[ProtocolError, None]]:
    machine = ServerMachine(limit=1024)
    events: list[object] = []
    try:
        for start in range(0, len(data), step):
            events += machine.receive(data[start : start + step])
        machine.receive(b"")
    except ProtocolError as error:
        return events, error
    return events, None


def joined(events: list[object]) -> list[object]:
    """Where a body is split is nobody's business."""
    out: list[object] = []
    for event in events:
        if isinstance(event, Stdin) and out and isinstance(out[-1], Stdin):
            out[-1] = Stdin(out[-1].data + event.data)
        else:
            out.append(event)
    return out


@pytest.mark.parametrize("step", [1, 2, 7, 8, 9, 100_000])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_means_the_same_wherever_it_is_split(name: str, step: int) -> None:
    data, expected = STREAMS[name]
    assert fed(data, step) == (expected, None)
    # The beginning of another record changes nothing.
    assert fed(data + b"\x01\x05\x00\x01\x00\x09", step) == (expected, None)


@pytest.mark.parametrize("step", [1, 8, 100_000])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_wherever_it_is_split(name: str, step: int) -> None:
    data, status = FAULTS[name]
    for tail in (b"", b"\0" * 70_000):
        _, error = fed(data + tail, step if not tail else 100_000)
        assert error is not None and error.status == status


def test_the_events_before_a_fault_are_given_before_it() -> None:
    for step in (1, 100_000):
        events, error = fed(BEGIN + PARAMS_END + STDIN_END + b"\0garbage!", step)
        assert events == [request(), BodyEnd()]
        assert error is not None


def test_a_machine_that_met_a_fault_stays_dead() -> None:
    machine = ServerMachine()
    for data in (b"GET / HTTP/1.1", BEGIN + PARAMS_END):
        with pytest.raises(ProtocolError):
            machine.receive(data)


def test_more_pairs_than_any_web_server_sends_are_refused() -> None:
    machine = ServerMachine()
    with pytest.raises(ProtocolError) as caught:
        machine.receive(BEGIN + params_record(b"\x01\0A" * (MAX_PAIRS + 1)) + PARAMS_END)
    assert caught.value.status == 431


def test_a_connection_serves_one_request_after_another() -> None:
    machine = ServerMachine()
    assert not machine.partial
    assert machine.receive(BEGIN_KEEP + PARAMS_END)[0] == request(keep=True)
    assert (machine.request_id, machine.in_body) == (1, True)
    assert machine.receive(STDIN_END) == [BodyEnd()]
    assert not machine.in_body
    machine.finish()
    assert machine.request_id == 0
    # What comes of the last request's body is ignored, and counted.
    assert machine.receive(stdin_record(b"late") + STDIN_END) == []
    assert machine.ignored == 20
    assert machine.receive(BEGIN[:9]) == [] and machine.partial
    assert machine.receive(BEGIN[9:]) == [] and machine.partial
    assert machine.receive(PARAMS_END) == [request()] and not machine.partial


def test_refusing_an_unknown_role_closes_unless_the_web_server_keeps() -> None:
    authorizer = BEGIN.replace(b"\x00\x01\x00\x00\x00\x00\x00\x00", b"\x00\x02\x00\x00\x00\x00\x00\x00")
    assert [event.close for event in ServerMachine().receive(authorizer) if isinstance(event, Reply)] == [True]


def test_capacity_is_answered_truthfully() -> None:
    asked = records.encode_pairs([("FCGI_MAX_CONNS", ""), ("FCGI_MAX_REQS", ""), ("FCGI_MAX_REQS", "")])
    (reply,) = ServerMachine(capacity=8).receive(records.encode_record(records.GET_VALUES, 0, asked))
    assert isinstance(reply, Reply)
    assert records.decode_pairs(reply.data[8:]).pairs() == [("FCGI_MAX_CONNS", "8"), ("FCGI_MAX_REQS", "8")]


# --- the web server's side ---

RESPONSES = {
    # appendix B, example 3: the app logs an error and exits with 938
    "an error": (
        b"\x01\x06\x00\x01\x00\x02\x06\x00ab------" b"\x01\x07\x00\x01\x00\x1d\x00\x00config error: missing SI_UID\n"
        b"\x01\x06\x00\x01\x00\x01\x00\x00c"
        b"\x01\x06\x00\x01\x00\x00\x00\x00" b"\x01\x07\x00\x01\x00\x00\x00\x00"
        b"\x01\x03\x00\x01\x00\x08\x00\x00" b"\x00\x00\x03\xaa\x00\x00\x00\x00",
        [Stdout(b"ab"), Stderr(b"config error: missing SI_UID\n"), Stdout(b"c"), End(938, 0)],
    ),
    "refused": (b"\x01\x03\x00\x01\x00\x08\x00\x00" b"\x00\x00\x00\x00\x02\x00\x00\x00", [End(0, 2)]),
    "somebody else's": (b"\x01\x06\x00\x02\x00\x01\x00\x00x" b"\x01\x0b\x00\x00\x00\x08\x00\x00" + bytes(8), []),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 8, 100_000])
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_means_the_same_wherever_it_is_split(name: str, step: int) -> None:
    data, expected = RESPONSES[name]
    for tail in (b"", b"\x01\x06\x00\x01\x00\x09"):
        response = ClientResponse()
        whole = data + tail
        events = [event for start in range(0, len(whole), step) for event in response.receive(whole[start:][:step])]
        assert events == expected


@pytest.mark.parametrize("data", [records.INVALID, b"HTTP/1.1 200 OK", b"\x01\x03\x00\x01\x00\x01\x00\x00x"])
def test_what_is_no_fastcgi_response_is_the_app_servers_fault(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        ClientResponse().receive(data)
    assert caught.value.status == 502


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("body", [b"", b"small", b"B" * 200_000])
def test_what_one_side_writes_the_other_side_reads(body: bytes, keep: bool) -> None:
    pairs = [("A", "bb"), ("C", "\xe9" * 300), ("D", ""), ("A", "again")]
    machine = ServerMachine()
    events = machine.receive(encode_begin(pairs, keep=keep))
    events += machine.receive((encode_stdin(body) if body else b"") + encode_stdin(b""))
    assert events[0] == request(*pairs, keep=keep)
    assert b"".join(event.data for event in events if isinstance(event, Stdin)) == body
    assert events[-1] == BodyEnd()
    response = ClientResponse()
    stdout = records.encode_stream(records.STDOUT, 1, body) + records.encode_end(1, 3)
    answer = response.receive(stdout)
    assert b"".join(event.data for event in answer if isinstance(event, Stdout)) == body
    assert answer[-1] == End(3, 0)


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
