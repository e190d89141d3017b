"""The vassal's end of the channel: who waits for whom."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from emperor.supervision import channel, orders
from emperor.supervision.channel import Idle, Lines, Serving
from emperor.supervision.orders import Resize
from emperor.system.uplink import PATIENCE, Uplink

AT_ONCE = PATIENCE / 4
"""Seconds: far more than anything takes that does not wait, and far less than the wait would be."""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Uplink]]:
    emperors, vassals = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    uplink = Uplink(vassals)
    yield emperors, uplink
    uplink.close()
    emperors.close()


def fill(uplink: Uplink) -> None:
    """Until nothing fits any more: the emperor is busy."""
    with pytest.raises(BlockingIOError):
        while True:
            uplink._channel.send(b"x" * 4096)


def test_all_orders_that_have_come_are_heard_without_waiting_for_more(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    for workers in (4, 2):
        emperors.send(orders.encode(Resize(workers)))
    begun = time.monotonic()
    assert uplink.hear() == (Resize(4), Resize(2))
    assert uplink.hear() == ()
    assert time.monotonic() - begun < AT_ONCE


def test_what_is_no_order_is_passed_over(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    emperors.send(b'["dance", {}]')
    emperors.send(orders.encode(Resize(3)))
    assert uplink.hear() == (Resize(3),)


def test_an_emperor_that_is_gone_is_told_from_one_that_says_nothing(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    assert uplink.hear() == ()
    emperors.close()
    assert uplink.hear() is None


def test_neither_lines_nor_counts_wait_for_an_emperor_that_is_busy(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    fill(uplink)
    begun = time.monotonic()
    uplink.mention(Idle())
    uplink.lines(["one", "two"])
    assert time.monotonic() - begun < AT_ONCE
    emperors.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            emperors.recv(4096)
    uplink.lines(["three"])
    assert channel.decode(emperors.recv(channel.MAX_DATAGRAM)) == Lines(("three",), dropped=2)


def test_a_word_that_matters_is_delivered_with_its_descriptor(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    uplink.say(Serving())
    assert channel.decode(emperors.recv(channel.MAX_DATAGRAM)) == Serving()
    # And what does not matter waits no more than before.
    fill(uplink)
    begun = time.monotonic()
    uplink.mention(Idle())
    assert time.monotonic() - begun < AT_ONCE


def test_a_word_that_matters_waits_for_an_emperor_that_is_busy(
    ends: tuple[socket.socket, Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.system.uplink.PATIENCE", 0.05)
    _, uplink = ends
    fill(uplink)
    begun = time.monotonic()
    with pytest.raises(OSError):
        uplink.say(Serving())
    assert time.monotonic() - begun >= 0.05


def test_how_many_lines_did_not_fit_is_said_even_if_there_is_no_other(ends: tuple[socket.socket, Uplink]) -> None:
    emperors, uplink = ends
    fill(uplink)
    uplink.lines(["one", "two"])
    emperors.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            emperors.recv(65536)
    uplink.lines(())
    uplink.lines(())
    assert channel.decode(emperors.recv(65536)) == Lines((), 2)
    with pytest.raises(BlockingIOError):
        emperors.recv(65536)
