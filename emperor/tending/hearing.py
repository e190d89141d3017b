"""The ears on one vassal's process: its channel, and what it prints.

It promises: what is heard is rationed, so that no talk keeps the emperor from others; once a message breaks the rules,
the channel is deaf for good.

A descriptor that is taken must be closed some day, which may hang, and until then every program that we start has a
copy to close. So a message is looked at before it is taken (MSG_PEEK of recv(2), without room for descriptors, which
leaves them all in the queue): only a listener may come with one, and only with one, and one that is no socket makes
the channel deaf too. That one is all that a generation can leave with us; as long as its close hangs, nothing more is
taken from any vassal of the same user (``system.closer``). What is still in the queue goes with the channel.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from emperor.errors import ChannelError, EmperorError
from emperor.supervision import channel, ration
from emperor.supervision.channel import Lines, Listening, Message
from emperor.supervision.ration import Ration
from emperor.system.closer import Share, is_socket
from emperor.system.eventloop import Loop
from emperor.system.logs import LineCutter
from emperor.system.processes import Child

CHUNK = 8192
ROOM_FOR_ONE = socket.CMSG_LEN(array.array("i").itemsize)
"""CMSG_SPACE would be room for two (cmsg(3))."""
LAST_DATAGRAMS, LAST_BYTES = 50, 65536
"""How much is still read of one that has died."""


@dataclass(frozen=True)
class Listener:
    """Who hears: a message, perhaps with a descriptor that is theirs from then on; lines, and how many were lost."""

    message: Callable[[Message, int | None], None]
    lines: Callable[[list[str], int], None]
    complain: Callable[[str], None]


@dataclass(frozen=True)
class Heard:
    """What is to be remembered of one that somebody else goes on listening to.

    ``rest``: the beginning of a line, each byte a character. ``deaf``: its channel is not listened to. ``printed_all``:
    its output has ended.
    """

    rest: str = ""
    deaf: bool = False
    printed_all: bool = False


NOTHING_YET = Heard()


class Hearing:
    """From ``start`` until ``stop``, which takes the channel and the output from the child."""

    def __init__(self, child: Child, loop: Loop, closer: Share, listener: Listener, heard: Heard = NOTHING_YET) -> None:
        assert child.channel is not None
        self._channel, self._output = child.channel, child.output
        self._loop, self._closer, self._listener = loop, closer, listener
        self._cutter = LineCutter(heard.rest.encode("latin-1"))
        self._ration = Ration()
        self._deaf, self._printed_all, self._stopped = heard.deaf, heard.printed_all, False
        self._tells_later = False

    def export(self) -> Heard:
        return Heard(self._cutter.rest.decode("latin-1"), self._deaf, self._printed_all)

    def start(self) -> None:
        if self._stopped:
            return
        if not self._deaf:
            self._loop.watch(self._channel.fileno(), self._on_channel)
        if not self._printed_all:
            self._loop.watch(self._output, self._on_output)

    def stop(self) -> None:
        """Read its last words, then let go of it."""
        for _ in range(LAST_DATAGRAMS):
            if self._deaf or not self._hear_datagram():
                break
        for _ in range(LAST_BYTES // CHUNK):
            if self._printed_all or not self._hear_output():
                break
        self._tell_lines(self._cutter.flush())
        if self._ration.lost:
            # No line comes any more that could tell of them.
            self._listener.lines([], self._ration.lost)
        self._stopped = True
        self._pause()
        self._closer.end(self._channel)
        # A pipe of ours: nothing can be in it that waits.
        os.close(self._output)

    def _on_channel(self) -> None:
        self._hear_datagram()
        self._rest_if_exhausted()

    def _on_output(self) -> None:
        size = self._hear_output()
        self._refresh()
        self._ration = ration.spend(self._ration, size=size)
        self._rest_if_exhausted()

    def _refresh(self) -> None:
        self._ration = ration.refresh(self._ration, self._loop.now())

    def _rest_if_exhausted(self) -> None:
        if self._ration.exhausted:
            self._pause()
            self._loop.call_at(self._ration.since + 1.0, self.start)

    def _pause(self) -> None:
        self._loop.unwatch(self._channel.fileno())
        self._loop.unwatch(self._output)

    def _hear_output(self) -> int:
        """How much there was; 0: nothing now."""
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            # A page of some file that was spliced into the pipe, and that its filesystem has lost since (EIO): it would
            # stay the next one for ever.
            self._listener.complain(f"output: {error.strerror} -- what it prints is not read any more")
            data = b""
        if not data:
            self._printed_all = True
            self._loop.unwatch(self._output)
        self._tell_lines(self._cutter.feed(data) if data else self._cutter.flush())
        return len(data)

    def _hear_datagram(self) -> bool:
        """Was there one?"""
        try:
            data, _, flags, _ = self._channel.recvmsg(channel.MAX_DATAGRAM + 1, 0, socket.MSG_PEEK)
            if not data:
                self._end()
                return False
            if flags & socket.MSG_TRUNC:
                raise ChannelError("channel: a message is too large")
            message = channel.decode(data)
            batches = int(isinstance(message, Lines))
            self._refresh()
            self._ration = ration.spend(self._ration, datagrams=1 - batches, batches=batches, size=len(data))
            fd = self._take_descriptor(message) if flags & socket.MSG_CTRUNC else None
            # Out of the queue. A descriptor that came with it is ours by now, so that its last close is not here.
            self._channel.recv(1)
            self._dispatch(message, fd)
        except BlockingIOError:
            return False
        except (EmperorError, OSError) as error:
            self._listener.complain(f"{error} -- its channel is not listened to any more")
            self._end()
            return False
        return True

    def _take_descriptor(self, message: Message) -> int:
        """What the message at the head of the queue comes with: one socket."""
        if not isinstance(message, Listening):
            raise ChannelError("channel: a descriptor comes with what is no listener")
        if self._closer.hangs:
            raise ChannelError("channel: a descriptor, and closing an earlier one of the same user still hangs")
        _, more, flags, _ = self._channel.recvmsg(1, ROOM_FOR_ONE, socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i", b"".join(data for _, _, data in more))
        if not flags & socket.MSG_CTRUNC and len(fds) == 1 and is_socket(fds[0]):
            return fds[0]
        for fd in fds:
            self._closer.close(fd)
        what = "too many descriptors" if flags & socket.MSG_CTRUNC else "no socket"
        raise ChannelError(f"channel: handed up {what} as a listener")

    def _dispatch(self, message: Message, fd: int | None) -> None:
        if isinstance(message, Lines):
            self._tell_lines(list(message.lines), message.dropped)
        else:
            self._listener.message(message, fd)

    def _tell_lines(self, lines: list[str], dropped: int = 0) -> None:
        self._refresh()
        self._ration, heard, lost = ration.admit(self._ration, len(lines))
        if heard or dropped:
            self._listener.lines(lines[:heard], lost + dropped)
        if self._ration.lost and not self._tells_later:
            # Perhaps no line comes any more that could tell of them.
            self._tells_later = True
            self._loop.call_at(self._ration.since + 1.0, self._tell_lost)

    def _tell_lost(self) -> None:
        self._tells_later = False
        lost, self._ration = self._ration.lost, replace(self._ration, lost=0)
        if lost and not self._stopped:
            self._listener.lines([], lost)

    def _end(self) -> None:
        self._deaf = True
        self._loop.unwatch(self._channel.fileno())
