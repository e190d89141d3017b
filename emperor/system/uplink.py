"""The vassal's end of the channel to its emperor.

It promises: words that matter are delivered or the vassal ends; log lines and counts never make anybody wait.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import Optional

from emperor.supervision.channel import MAX_DATAGRAM, MAX_LINES, Lines, Message, encode
from emperor.supervision.orders import MAX_DATAGRAM as MAX_ORDER
from emperor.supervision.orders import Resize, decode

PATIENCE = 10.0
"""Seconds that an emperor may be too busy to take a word that matters."""


class Uplink:
    """Sends on ``channel``, and hears the emperor's orders; its end means that the emperor is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._lost = 0

    def fileno(self) -> int:
        return self._channel.fileno()

    def say(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Deliver it. OSError: nobody listens any more."""
        # Only here: a socket that has a timeout waits for its other end even where MSG_DONTWAIT is said.
        self._channel.settimeout(PATIENCE)
        try:
            socket.send_fds(self._channel, [encode(message)], list(descriptors))
        finally:
            self._channel.setblocking(False)

    def hear(self) -> Optional[tuple[Resize, ...]]:
        """The orders that have come; None: nobody is there any more."""
        heard: list[Resize] = []
        while True:
            try:
                data = self._channel.recv(MAX_ORDER)
            except BlockingIOError:
                return tuple(heard)
            except OSError:
                return None
            if not data:
                return None
            order = decode(data)
            if order is not None:
                heard.append(order)

    def mention(self, message: Message) -> None:
        """Deliver it if that costs no waiting."""
        with contextlib.suppress(OSError):
            self._channel.send(encode(message))

    def lines(self, lines: Sequence[str]) -> None:
        """Pass log lines up; those that do not fit are counted, and the next message says how many.

        No lines: nothing but that, if there is anything to say.
        """
        for batch in _batches(lines) or ([[]] if self._lost else []):
            try:
                self._channel.send(encode(Lines(tuple(batch), self._lost)))
                self._lost = 0
            except OSError:
                self._lost += len(batch)

    def close(self) -> None:
        self._channel.close()


def _batches(lines: Sequence[str]) -> list[list[str]]:
    """Each of them fits into one datagram: a character may take six bytes, and a line its quotes."""
    batches: list[list[str]] = [[]]
    room = MAX_DATAGRAM - 256
    for line in lines:
        size = 6 * len(line) + 8
        if batches[-1] and (size > room or len(batches[-1]) == MAX_LINES):
            batches.append([])
            room = MAX_DATAGRAM - 256
        batches[-1].append(line)
        room -= size
    return [batch for batch in batches if batch]
