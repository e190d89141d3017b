"""Descriptors that come with what is read, where the kernel cannot refuse them: none is taken, none is lost."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator

import pytest

from emperor.system import passing


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("flags", [0, socket.MSG_OOB], ids=["in band", "out of band"])
def test_what_comes_with_descriptors_stays_where_it_is(
    ends: tuple[socket.socket, socket.socket], flags: socket.MsgFlag
) -> None:
    ours, theirs = ends
    passing.prepare(ours)
    read, write = os.pipe()
    # socket.send_fds forgets its flags.
    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))], flags)
    os.close(write)
    theirs.send(b"more")
    with pytest.raises(passing.Passed):
        passing.receive(ours, 100)
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        # The other end of the pipe lies in the queue still: nobody has let go of it.
        os.read(read, 1)
    os.close(read)
