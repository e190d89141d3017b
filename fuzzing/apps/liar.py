#!/usr/bin/python3 -S
"""An "interpreter" that sends what stands in a file over the channel to its emperor, and says that it has.

``python = `` in its ini names it. In the file: a byte that says what comes along, four of length, the datagram.
"""

import os
import socket
import sys
from contextlib import suppress

CHANNEL = socket.socket(fileno=int(sys.argv[3]))
CHANNEL.settimeout(20)
FOLDER = os.path.dirname(os.path.abspath(sys.argv[0]))


def companions(kind: int) -> "list[int]":
    if kind == 0:
        return []
    if kind == 1:
        one = socket.socket(socket.AF_UNIX)
        # A name of the kernel's choice (unix(7), autobind).
        one.bind(b"")
        one.listen()
        return [one.detach()]
    if kind == 2:
        return [os.open("/dev/null", os.O_RDONLY)]
    return [one.detach() for one in socket.socketpair()]


def send(data: bytes) -> None:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 5], "big")
        fds = companions(data[at])
        # Too long for the kernel, or the emperor has shut its ears.
        with suppress(OSError):
            socket.send_fds(CHANNEL, [data[at + 5 : at + 5 + size]], fds)
        for fd in fds:
            os.close(fd)
        at += 5 + size


if __name__ == "__main__":
    with open(f"{FOLDER}/words", "rb") as words:
        mark = words.readline().decode().strip()
        send(words.read())
    with open(f"{FOLDER}/said.new", "w") as said:
        said.write(mark)
    os.rename(f"{FOLDER}/said.new", f"{FOLDER}/said")
    # The emperor ends it, or its own end does.
    CHANNEL.settimeout(60)
    with suppress(OSError):
        CHANNEL.recv(1)
