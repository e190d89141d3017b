"""The ears on one vassal's process: its channel, and what it prints.

It promises: what is heard is rationed, so that no talk keeps the emperor from others; every descriptor that comes up is
taken or closed, and none of them is closed by the loop; once a message breaks the rules, the channel is deaf for good.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from emperor.errors import ChannelError, EmperorError
from emperor.supervision import channel, ration
from emperor.supervision.channel import Lines, Message
from emperor.supervision.ration import Ration
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.logs import LineCutter
from emperor.system.processes import Child

CHUNK = 8192
MAX_DESCRIPTORS = 253
"""SCM_MAX_FD of the kernel: fewer would leave closing the rest to it, in the middle of our call."""
MOST_QUEUED = 1000
"""More than a socket's default send buffer holds of the smallest datagrams: each costs its bookkeeping too."""
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

    def __init__(
        self, child: Child, loop: Loop, closer: Closer, listener: Listener, heard: Heard = NOTHING_YET
    ) -> None:
        assert child.channel is not None
        self._channel, self._output = child.channel, child.output
        self._loop, self._closer, self._listener = loop, closer, listener
        self._cutter = LineCutter(heard.rest.encode("latin-1"))
        self._ration = Ration()
        self._deaf, self._printed_all, self._stopped = heard.deaf, heard.printed_all, False

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
        self._discard_rest()
        self._closer.close(self._channel.detach())
        # A pipe of ours: nothing can be in it that waits.
        os.close(self._output)

    def _discard_rest(self) -> None:
        """What nobody listens to any more may hold descriptors, and they are closed by whoever closes the channel."""
        for _ in range(MOST_QUEUED):
            try:
                _, fds, _, _ = socket.recv_fds(self._channel, 1, MAX_DESCRIPTORS)
            except OSError:
                return
            # An empty message looks like the end, so the end is not looked for.
            for fd in fds:
                self._closer.close(fd)

    def _on_channel(self) -> None:
        self._hear_datagram()
        self._spend(datagrams=1)

    def _on_output(self) -> None:
        self._spend(size=self._hear_output())

    def _spend(self, datagrams: int = 0, size: int = 0) -> None:
        left = ration.refresh(self._ration, self._loop.now())
        self._ration = replace(left, datagrams=left.datagrams - datagrams, size=left.size - size)
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
        if not data:
            self._printed_all = True
            self._loop.unwatch(self._output)
        self._tell_lines(self._cutter.feed(data) if data else self._cutter.flush())
        return len(data)

    def _hear_datagram(self) -> bool:
        """Was there one?"""
        fds: list[int] = []
        try:
            data, fds, flags, _ = socket.recv_fds(self._channel, channel.MAX_DATAGRAM + 1, MAX_DESCRIPTORS)
            if not data:
                self._end()
                return False
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(fds) > 1:
                raise ChannelError("channel: a message is too large, or holds too many descriptors")
            self._dispatch(channel.decode(data), fds)
        except BlockingIOError:
            return False
        except (EmperorError, OSError) as error:
            self._listener.complain(f"{error} -- its channel is not listened to any more")
            self._end()
            return False
        finally:
            for fd in fds:
                self._closer.close(fd)
        return True

    def _dispatch(self, message: Message, fds: list[int]) -> None:
        if isinstance(message, Lines):
            self._tell_lines(list(message.lines), message.dropped)
        else:
            self._listener.message(message, fds.pop() if fds else None)

    def _tell_lines(self, lines: list[str], dropped: int = 0) -> None:
        self._ration = ration.refresh(self._ration, self._loop.now())
        self._ration, heard, lost = ration.admit(self._ration, len(lines))
        if heard or dropped:
            self._listener.lines(lines[:heard], lost + dropped)

    def _end(self) -> None:
        self._deaf = True
        self._loop.unwatch(self._channel.fileno())
