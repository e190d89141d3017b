"""Damaged streams, more than ten thousand for each codec: documented results, bounded memory, however they are cut."""

from __future__ import annotations

from random import Random

import pytest

from emperor.errors import ProtocolError
from emperor.protocol.fastcgi import ClientResponse
from emperor.protocol.responder import BodyEnd, ServerMachine
from tests.unit.codec_mutants import mutants, seeds, some_cut
from tests.unit.codec_world import CODECS, LIMIT, ONE_RECORD, Fed, byte_by_byte, kept

INPUTS = 20_000
STATUSES = {"uwsgi": {None, 400, 431}, "server": {None, 400, 431}, "client": {None, 502}, "cgi": {None, 502}}


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_stream_means_the_same_wherever_it_is_cut(codec: str) -> None:
    run, random, statuses = CODECS[codec], Random(2), set()
    for number, data in enumerate(mutants(seeds(codec), INPUTS, seed=1)):
        whole = run([data])
        statuses.add(whole.status)
        parts = byte_by_byte(data) if number % 20 == 0 and len(data) < 1500 else some_cut(random, data)
        assert run(parts) == whole, (data, parts)
    assert statuses == STATUSES[codec]


@pytest.mark.parametrize("kind", [ServerMachine, ClientResponse])
def test_a_machine_keeps_no_more_than_a_record_and_its_limit(kind: type[Fed]) -> None:
    codec = "server" if kind is ServerMachine else "client"
    random = Random(3)
    for data in mutants(seeds(codec), INPUTS // 4, seed=4):
        machine: Fed = ServerMachine(LIMIT) if kind is ServerMachine else ClientResponse()
        fed = 0
        for part in some_cut(random, data * 3):
            fed += len(part)
            try:
                events = machine.receive(part)
            except ProtocolError:
                assert kept(machine) <= LIMIT
                break
            assert kept(machine) <= min(fed, LIMIT + ONE_RECORD), data
            if isinstance(machine, ServerMachine) and BodyEnd() in events:
                machine.finish()


@pytest.mark.parametrize("kind", [ServerMachine, ClientResponse])
def test_a_stream_without_an_end_fills_no_memory(kind: type[Fed]) -> None:
    """Whatever comes again and again; only what the machine itself gives back may go on for ever."""
    begin = b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0"
    endless = [
        b"\x01\x05\0\x07\xff\xff\xff\0" + bytes(65535 + 255),
        b"\x01\x04\0\x01\xff\xff\xff\0" + bytes(65535 + 255),
        b"\x01\x08\0\x01\xff\xff\0\0" + bytes(65535),
        b"\x01\x09\0\0\0\0\0\0",
        b"\x01\x63\0\0\0\0\0\0",
        b"\x01\x06\0\x01\x40\0\0\0" + bytes(16384),
        b"\x01\x06\0\x02\xff\xff\xff\0" + bytes(65535 + 255),
    ]
    for piece in endless:
        machine: Fed = ServerMachine(LIMIT) if kind is ServerMachine else ClientResponse()
        parts = [begin, *[piece[:-1], piece[-1:]] * 40]
        for part in parts:
            try:
                machine.receive(part)
            except ProtocolError:
                break
            assert kept(machine) <= LIMIT + ONE_RECORD
