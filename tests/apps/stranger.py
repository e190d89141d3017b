"""A stranger at the control socket: ``stranger.py KIND SOCKET [REQUEST]``, until its standard input ends.

He has up to 250 clients at a time, and comes again with each that is sent away. He says "there" once all of them have
been there; of garbage he says how it was answered if that was anything but a refusal.
"""

import array
import json
import os
import select
import socket
import struct
import sys

CLIENTS = 250
DEAF = []
KIND, PATH = sys.argv[1:3]
REQUEST = b"".join(word.encode() + b"\n" for word in sys.argv[3:])
NAMES = ["__class__", "__init__", "_orders", "order", "export", "adopt", "../a", "a\0b", "\x1b[2J", "all"]
GARBAGE = [
    *(json.dumps({"verb": name}).encode() for name in NAMES),
    *(json.dumps({"verb": "logs", "names": [name]}).encode() for name in NAMES),
    *(b'{"verb":"logs","names":["a"],"options":{"lines":%s}}' % number for number in (b"NaN", b"-Infinity", b"1e999")),
    b'{"verb":"logs","names":["a"],"options":{"lines":' + b"9" * 60000 + b"}}",
    b'{"verb":"stop","verb":"status","names":["a"]}',
    b'{"verb":"status","__class__":1}',
    b'{"verb":["status"]}',
    b'{"verb":"status","names":[' + b"[]," * 20000 + b"[]]}",
    b"[" * 65000,
    b'{"a":' * 13000,
    b'"\\ud800"',
    b"\xff\xfe\x00\x80" * 1000,
    b"null",
    b"",
    bytes(60000),
]


def lingering():
    """A connection whose last close waits for half a minute."""
    listener = socket.create_server(("127.0.0.1", 0))
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(listener.getsockname())
    sock, _ = listener.accept()
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    listener.close()
    return sock, deaf


def send(sock, data, descriptors=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        sock.sendmsg([data], rights)
    except OSError:
        return False
    return True


def bomb(sock):
    """Descriptors that are the receiver's alone once the child is gone; what a process has at its end lingers not."""
    pairs = [lingering() for _ in range(8)]
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        os.read(reading, 1)
        send(sock, b'{"verb"', [one.fileno() for one, _ in pairs])
        os._exit(0)
    for one, deaf in pairs:
        one.close()
        DEAF.append(deaf)
    os.close(reading)
    os.close(writing)
    os.wait()


def answered(sock):
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except OSError:
        pass
    if data and json.loads(data.splitlines()[-1])["ok"]:
        print("answered:", data[:200], flush=True)


def come(number):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(PATH)
    if KIND == "garbage":
        send(sock, GARBAGE[number % len(GARBAGE)] + b"\n")
        answered(sock)
    elif KIND == "bombs":
        bomb(sock)
    elif KIND == "half":
        send(sock, b'{"verb":' * 8000)
    elif KIND == "pipelined":
        send(sock, b'{"verb":"status"}\n' * 3000)
    elif KIND == "endless":
        while send(sock, bytes(65536)):
            pass
    else:
        send(sock, REQUEST)
    return sock


def main():
    most = 20 if KIND == "bombs" else CLIENTS
    clients, number, told = [], 0, False
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.0 if len(clients) < most else 0.05)
        if ready:
            return
        if len(clients) < most:
            clients.append(come(number))
            number += 1
        else:
            # Those that were sent away come again; KIND "unread" does not even look.
            gone = set() if KIND == "unread" else set(select.select(clients, [], [], 0)[0])
            for sock in gone:
                sock.close()
            clients = [sock for sock in clients if sock not in gone]
        if number >= most and not told:
            told = True
            print("there", flush=True)


main()
