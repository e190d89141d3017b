"""One FastCGI connection over time: what the application server's side says of its state."""

from __future__ import annotations

import pytest

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.params import pairs
from emperor.protocol.responder import BodyEnd, Reply, Request, ServerMachine
from tests.unit.codec_world import by_name

BEGIN_KEEP = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"  # section 5.1: FCGI_KEEP_CONN
PARAMS_END = b"\x01\x04\x00\x01\x00\x00\x00\x00"
STDIN_END = b"\x01\x05\x00\x01\x00\x00\x00\x00"


def test_a_connection_serves_one_request_after_another() -> None:
    machine = ServerMachine()
    assert not machine.partial
    assert isinstance(machine.receive(BEGIN_KEEP + PARAMS_END)[0], Request)
    assert (machine.request_id, machine.in_body) == (1, True)
    assert machine.receive(STDIN_END) == [BodyEnd()]
    assert not machine.in_body
    machine.finish()
    assert machine.request_id == 0
    # What comes of the last request's body is ignored, and counted.
    assert machine.receive(b"\x01\x05\0\x01\0\x04\0\0late" + STDIN_END) == []
    assert machine.ignored == 20
    assert machine.receive(BEGIN_KEEP[:9]) == [] and machine.partial
    assert machine.receive(BEGIN_KEEP[9:]) == [] and machine.partial
    assert len(machine.receive(PARAMS_END)) == 1 and not machine.partial


def test_capacity_is_answered_truthfully() -> None:
    asked = b"\x0e\0FCGI_MAX_CONNS\x0d\0FCGI_MAX_REQS\x0d\0FCGI_MAX_REQS"
    (reply,) = ServerMachine(capacity=8, connections=1000).receive(b"\x01\x09\0\0\0\x2e\0\0" + asked)
    assert isinstance(reply, Reply)
    answer = pairs(records.decode_pairs(reply.data[8:]))
    assert by_name(answer) == (("FCGI_MAX_CONNS", "1000"), ("FCGI_MAX_REQS", "8"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\x2c\x01\0\x0e\0REQUEST_METHOD", "this is uwsgi"),
        (b"GET / HTTP/1.1\r\n", "this is HTTP"),
        (b"\x07\0\0\0\0\0\0\0", "version 7"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_another_protocol_is_called_by_its_name(data: bytes, words: str, at_once: bool) -> None:
    """What a wrong pass in the web server's configuration sends: its log is where people look."""
    with pytest.raises(ProtocolError, match=words):
        ServerMachine(65536, 1, 1).receive(data if at_once else data[:1])
