"""The application server's side of FastCGI: one table of byte streams, whole, cut anywhere, and with bytes behind."""

from __future__ import annotations

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.responder import Abort, BodyEnd, Reply, ServerMachine, Stdin
from tests.unit.codec_world import (
    LIMIT,
    Asked,
    Case,
    byte_by_byte,
    cuts,
    expected,
    feed,
    pieces,
    serve,
    server,
)

BEGIN = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"  # sections 3.3 and 5.1: responder
BEGIN_KEEP = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"  # FCGI_KEEP_CONN
BEGIN_TWO = b"\x01\x01\x00\x02\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
PARAMS_END = b"\x01\x04\x00\x01\x00\x00\x00\x00"
STDIN_END = b"\x01\x05\x00\x01\x00\x00\x00\x00"
ABORT = b"\x01\x02\x00\x01\x00\x00\x00\x00"  # section 5.4
ENDED = Reply(b"\x01\x03\x00\x01\x00\x08\x00\x00" + bytes(8))  # section 5.5: FCGI_REQUEST_COMPLETE
BUSY = Reply(b"\x01\x03\x00\x02\x00\x08\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00")  # FCGI_CANT_MPX_CONN
UNKNOWN_ROLE = b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00"


def record(kind: int, number: int, content: bytes = b"", padding: int = 0, version: int = 1) -> bytes:
    """Section 3.3, written out: version, type, id, length (both big-endian), padding length, reserved."""
    head = bytes((version, kind)) + number.to_bytes(2, "big") + len(content).to_bytes(2, "big") + bytes((padding, 0))
    return head + content + b"\xff" * padding


def params(content: bytes, padding: int = 0) -> bytes:
    return record(4, 1, content, padding)


def stdin(content: bytes, padding: int = 0) -> bytes:
    return record(5, 1, content, padding)


def begin(role: int, flags: int) -> bytes:
    return record(1, 1, bytes((0, role, flags)) + bytes(5))


def unknown(kind: int) -> Reply:
    """Section 4.2."""
    return Reply(b"\x01\x0b\x00\x00\x00\x08\x00\x00" + bytes((kind,)) + bytes(7))


# Section 3.4: a length of one byte below 128, of four bytes with the highest bit set from there on.
PAIR = b"\x01\x02Abb"
LONG_PAIR = b"\x01\x80\x00\x01\x2cC" + b"c" * 300
LONG_NAME = b"\x80\x00\x00\x80\x01" + b"N" * 128 + b"n"
A, C, N = ("A", "bb"), ("C", "c" * 300), ("N" * 128, "n")


def ask(*pairs: tuple[str, str], keep: bool = False) -> Asked:
    return Asked(pairs, keep)


def block(content: bytes, *pairs: tuple[str, str]) -> Case:
    """One request with these parameters."""
    return Case(BEGIN + params(content) + PARAMS_END + STDIN_END, [ask(*pairs), BodyEnd()])


REQUESTS = {
    "no parameters": Case(BEGIN + PARAMS_END + STDIN_END, [ask(), BodyEnd()]),
    "keep": Case(BEGIN_KEEP + PARAMS_END + STDIN_END, [ask(keep=True), BodyEnd()]),
    "other flags": Case(begin(1, 0xFE) + PARAMS_END + STDIN_END, [ask(), BodyEnd()]),
    "one pair": block(PAIR, A),
    "long lengths": block(LONG_PAIR + LONG_NAME, C, N),
    "a long form of short lengths": block(b"\x80\0\0\x01\x80\0\0\x02Abb", A),
    "a long form of one of them": block(b"\x80\0\0\x01\x02Abb" b"\x01\x80\0\0\x02Abb", A, A),
    "127 and 128 bytes": block(b"\x7f\x80\0\0\x80" + b"N" * 127 + b"v" * 128, ("N" * 127, "v" * 128)),
    "a value without bytes": block(b"\x01\0A", ("A", "")),
    "a value without bytes, in four": block(b"\x01\x80\0\0\0A", ("A", "")),
    "a name twice": block(PAIR + b"\x01\x01Ac" + LONG_PAIR, A, ("A", "c"), C),
    "bytes of every kind": block(b"\x01\x05A\xe9\r\n\0=", ("A", "\xe9\r\n\0=")),
    "a pair over two records": Case(
        BEGIN + params(PAIR + LONG_PAIR[:150]) + params(LONG_PAIR[150:]) + PARAMS_END + STDIN_END,
        [ask(A, C), BodyEnd()],
    ),
    "padding": Case(BEGIN + params(PAIR, 3) + params(b"", 255) + STDIN_END, [ask(A), BodyEnd()]),
    # appendix B, example 2: a pair split in the middle of a name, and a body
    "the specification's example": Case(
        BEGIN
        + b"\x01\x04\x00\x01\x00\x14\x00\x00" b"\013\002SERVER_PORT80\013\016SER"
        + b"\x01\x04\x00\x01\x00\x16\x00\x00" b"VER_ADDR199.170.183.42"
        + PARAMS_END
        + b"\x01\x05\x00\x01\x00\x19\x00\x00" b"quantity=100&item=3047936"
        + STDIN_END,
        [
            ask(("SERVER_PORT", "80"), ("SERVER_ADDR", "199.170.183.42")),
            Stdin(b"quantity=100&item=3047936"),
            BodyEnd(),
        ],
    ),
    "a body": Case(BEGIN + PARAMS_END + stdin(b"one") + stdin(b"2") + STDIN_END, [ask(), Stdin(b"one2"), BodyEnd()]),
    "the longest record": Case(
        BEGIN + PARAMS_END + stdin(b"b" * 65535, 255) + STDIN_END, [ask(), Stdin(b"b" * 65535), BodyEnd()]
    ),
    # section 3.3: an id that is not active
    "records of nobody": Case(
        record(5, 7, b"x") + BEGIN + record(4, 7, b"x") + PARAMS_END + record(5, 7) + record(2, 7) + STDIN_END,
        [ask(), BodyEnd()],
    ),
    "parameters of nobody": Case(params(b"\xff\xff") + PARAMS_END + STDIN_END + BEGIN + PARAMS_END + STDIN_END,
                                 [ask(), BodyEnd()]),
    "data, which is a filter's": Case(BEGIN + PARAMS_END + record(8, 1, b"x") + record(8, 1) + STDIN_END,
                                      [ask(), BodyEnd()]),
    # section 5.5: the only multiplexing that we do is to refuse it
    "a second request before the parameters": Case(
        BEGIN + BEGIN_TWO + record(4, 2, PAIR) + record(4, 2) + params(PAIR) + record(5, 2) + PARAMS_END + STDIN_END,
        [BUSY, ask(A), BodyEnd()],
    ),
    "a second request in the body": Case(
        BEGIN + PARAMS_END + stdin(b"o") + BEGIN_TWO + record(4, 2) + record(5, 2, b"x") + stdin(b"n") + STDIN_END,
        [ask(), Stdin(b"o"), BUSY, Stdin(b"n"), BodyEnd()],
    ),
    # sections 4.1 and 4.2 hold at any time
    "management in a request": Case(
        BEGIN + record(9, 0) + PARAMS_END + record(0x63, 0, b"x", 5) + STDIN_END,
        [Reply(b"\x01\x0a\0\0\0\0\0\0"), ask(), unknown(0x63), BodyEnd()],
    ),
}  # fmt: skip

OTHERS = {
    "abort before the parameters' end": Case(BEGIN_KEEP + params(PAIR) + ABORT + BEGIN + PARAMS_END, [ENDED, ask()]),
    "abort without keeping": Case(BEGIN + ABORT, [Reply(ENDED.data, close=True)]),
    "abort in the body": Case(BEGIN + PARAMS_END + stdin(b"x") + ABORT, [ask(), Stdin(b"x"), Abort()]),
    "abort behind the body": Case(BEGIN + PARAMS_END + STDIN_END + ABORT, [ask(), BodyEnd(), Abort()]),
    "abort of nothing": Case(ABORT + BEGIN + PARAMS_END, [ask()]),
    "abort of another": Case(BEGIN + record(2, 2) + PARAMS_END, [ask()]),
    "an authorizer": Case(begin(2, 0), [Reply(UNKNOWN_ROLE, close=True)]),
    "a filter": Case(begin(3, 0), [Reply(UNKNOWN_ROLE, close=True)]),
    "no role": Case(begin(0, 0), [Reply(UNKNOWN_ROLE, close=True)]),
    "an authorizer that keeps": Case(begin(2, 1) + PARAMS_END + BEGIN + PARAMS_END, [Reply(UNKNOWN_ROLE), ask()]),
    "a filter that keeps": Case(
        begin(3, 1) + params(PAIR) + PARAMS_END + STDIN_END + record(8, 1) + BEGIN + PARAMS_END,
        [Reply(UNKNOWN_ROLE), ask()],
    ),
    # section 4.1
    "an unknown value": Case(
        b"\x01\x09\x00\x00\x00\x22\x00\x00" b"\x0f\x00FCGI_MPXS_CONNS" b"\x0f\x00SOMETHING_ELSE_",
        [Reply(b"\x01\x0a\x00\x00\x00\x12\x00\x00" b"\x0f\x01FCGI_MPXS_CONNS0")],
    ),
    "all values": Case(
        b"\x01\x09\0\0\0\x31\x05\0" b"\x0e\0FCGI_MAX_CONNS\x0e\0FCGI_MAX_REQS_\x0f\0FCGI_MPXS_CONNS-----"
        b"\x01\x09\0\0\0\x0f\0\0" b"\x0d\0FCGI_MAX_REQS",
        [
            Reply(b"\x01\x0a\0\0\0\x23\0\0" b"\x0e\x01FCGI_MAX_CONNS1\x0f\x01FCGI_MPXS_CONNS0"),
            Reply(b"\x01\x0a\0\0\0\x10\0\0" b"\x0d\x01FCGI_MAX_REQS1"),
        ],
    ),
    "no values": Case(record(9, 0), [Reply(b"\x01\x0a\0\0\0\0\0\0")]),
    "values of values": Case(
        record(9, 0, b"\x0d\x02FCGI_MAX_REQS99"), [Reply(b"\x01\x0a\0\0\0\x10\0\0\x0d\x01FCGI_MAX_REQS1")]
    ),
    # section 4.2
    "an unknown type": Case(record(0x63, 0, b"abc", 5) + BEGIN + PARAMS_END, [unknown(0x63), ask()]),
    "an unknown type of a request": Case(
        BEGIN + record(12, 1, b"x") + PARAMS_END + record(99, 7), [unknown(12), ask(), unknown(99)]
    ),
    "type 0": Case(record(0, 0), [unknown(0)]),
    "type 255": Case(record(255, 0, b"x" * 65535, 255), [unknown(255)]),
}  # fmt: skip

FAULTS = {
    "version 0": (b"\0\x01\x00\x01\x00\x08\x00\x00", 400),
    "version 2": (b"\x02\x01\x00\x01\x00\x08\x00\x00", 400),
    "plain HTTP": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "uwsgi": (b"\0\x0e\0\0\x09\0PATH_INFO\x01\0/", 400),
    "a short begin": (b"\x01\x01\x00\x01\x00\x02\x00\x00\x00\x01", 400),
    "a long begin": (record(1, 1, b"\0\1" + bytes(7)), 400),
    "an empty begin": (record(1, 1), 400),
    "the same id twice": (BEGIN + BEGIN, 400),
    "the same id twice, later": (BEGIN + PARAMS_END + STDIN_END + BEGIN, 400),
    "begin without an id": (b"\x01\x01\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", 400),
    "abort without an id": (record(2, 0), 400),
    "parameters without an id": (BEGIN + record(4, 0), 400),
    "a body without an id": (BEGIN + PARAMS_END + record(5, 0), 400),
    "data without an id": (record(8, 0), 400),
    "values of a request": (b"\x01\x09\x00\x01\x00\x00\x00\x00", 400),
    "body before parameters": (BEGIN + stdin(b"x"), 400),
    "the end of a body before parameters": (BEGIN + params(PAIR) + STDIN_END, 400),
    "parameters after parameters": (BEGIN + PARAMS_END + params(PAIR), 400),
    "the end of parameters twice": (BEGIN + PARAMS_END + PARAMS_END, 400),
    "parameters after the body": (BEGIN + PARAMS_END + STDIN_END + params(PAIR), 400),
    "body after body": (BEGIN + PARAMS_END + STDIN_END + stdin(b"x"), 400),
    "the end of a body twice": (BEGIN + PARAMS_END + STDIN_END + STDIN_END, 400),
    "a name that is too long": (BEGIN + params(b"\x05\x00abc") + PARAMS_END, 400),
    "a value that is too long": (BEGIN + params(b"\x01\x09abc") + PARAMS_END, 400),
    "a value one byte too long": (BEGIN + params(b"\x01\x03Abb") + PARAMS_END, 400),
    "a name of 2 GiB": (BEGIN + params(b"\xff\xff\xff\xff\x01a") + PARAMS_END, 400),
    "a value of 2 GiB": (BEGIN + params(b"\x01\xff\xff\xff\xffa") + PARAMS_END, 400),
    "a name of 16 MiB and a byte": (BEGIN + params(b"\x81\0\0\x01\x02Abb") + PARAMS_END, 400),
    "half a length": (BEGIN + params(PAIR + b"\x01\x80\x00") + PARAMS_END, 400),
    "half a first length": (BEGIN + params(PAIR + b"\x80\x00") + PARAMS_END, 400),
    "a lone length": (BEGIN + params(b"\x01") + PARAMS_END, 400),
    "a pair and one byte": (BEGIN + params(PAIR + b"\0") + PARAMS_END, 400),
    "an empty name": (BEGIN + params(b"\x00\x01a") + PARAMS_END, 400),
    "an empty pair": (BEGIN + params(PAIR + b"\0\0") + PARAMS_END, 400),
    "a parameter bomb": (BEGIN + params(b"x" * 2048) + params(b"x" * 2049), 431),
    "a bomb in one record": (BEGIN + params(b"x" * 65535), 431),
    "values that lie": (record(9, 0, b"\x05\0abc"), 400),
    # Sections 5.3, 5.5, 4.1 and 4.2: only an application server sends these.
    "an answer: END_REQUEST": (BEGIN + PARAMS_END + record(3, 1, bytes(8)), 400),
    "an answer: STDOUT": (BEGIN + PARAMS_END + record(6, 1, b"x"), 400),
    "an answer: STDERR": (BEGIN + PARAMS_END + record(7, 1, b"x"), 400),
    "an answer: GET_VALUES_RESULT": (record(10, 0), 400),
    "an answer: UNKNOWN_TYPE": (unknown(0x63).data, 400),
}

ALL = {**REQUESTS, **OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_a_stream_means_the_same_wherever_it_is_cut(name: str) -> None:
    case = ALL[name]
    for parts in cuts(case.data):
        assert server(parts) == case.result


@pytest.mark.parametrize("name", ALL)
def test_the_beginning_of_another_record_changes_nothing(name: str) -> None:
    data = ALL[name].data + b"\x01\x05\x00\x01\x00\x09"
    for parts in ([data], byte_by_byte(data), pieces(data, 7)):
        assert server(parts) == ALL[name].result


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("follower", ["no parameters", "long lengths", "a body"])
def test_another_request_may_follow_an_answered_one(name: str, follower: str) -> None:
    first, second = REQUESTS[name], REQUESTS[follower]
    for step in (1, 7, 70_000):
        machine = ServerMachine(LIMIT)
        result = serve(machine, [*pieces(first.data, step), *pieces(second.data, step)])
        assert result == expected(*first.events, *second.events)
        assert not machine.partial and machine.request_id == 0


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("tail", [b"", BEGIN + PARAMS_END, b"\0" * 70_000])
def test_a_fault_is_found_wherever_it_is_cut(name: str, tail: bytes) -> None:
    data, status = FAULTS[name]
    for parts in cuts(data) if not tail else [[data + tail], [data, tail]]:
        assert server(parts).status == status


def test_the_events_before_a_fault_are_given_before_it() -> None:
    data = BEGIN + PARAMS_END + STDIN_END + b"\0garbage!"
    for parts in cuts(data):
        assert server(parts) == expected(ask(), BodyEnd(), status=400)


def test_a_machine_that_met_a_fault_stays_dead() -> None:
    machine = ServerMachine()
    for data in (b"GET / HTTP/1.1", BEGIN + PARAMS_END):
        with pytest.raises(ProtocolError):
            machine.receive(data)


def test_a_pair_may_lie_anywhere_over_three_records() -> None:
    content = LONG_NAME[:5] + LONG_NAME[5:] + PAIR + b"\x01\x80\0\0\x02Abb"
    for first in range(1, len(content) - 1):
        for second in {first, first + 1, len(content) - 1}:
            parts = [part for part in (content[:first], content[first:second], content[second:]) if part]
            data = BEGIN + b"".join(params(part, len(part) % 3) for part in parts) + PARAMS_END
            assert server([data]) == server(pieces(data, 11)) == expected(ask(N, A, A))


@pytest.mark.parametrize("name", [b"\x01\0A", b""])
def test_more_pairs_than_any_web_server_sends_are_refused(name: bytes) -> None:
    """Whether the names differ or repeat."""
    pairs = [name or b"\x04\0%04d" % number for number in range(MAX_PAIRS + 1)]
    for count, status in ((MAX_PAIRS, None), (MAX_PAIRS + 1, 431)):
        data = BEGIN + params(b"".join(pairs[:count])) + PARAMS_END
        assert feed(ServerMachine(), [data]).status == status
