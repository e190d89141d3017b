#!/usr/bin/python3 -S
"""An "interpreter" that speaks the channel itself and means harm; ``env = ACT=...`` in its ini says which.

It is copied into its owner's folder and named by ``python =``. Whatever it starts ends by itself within a minute.
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time

FUSE = 60
CHANNEL = socket.socket(fileno=int(sys.argv[3]))
PAPER = json.loads(os.fdopen(int(sys.argv[4])).read())
SPEC = json.loads(PAPER["spec"])
LIBC = ctypes.CDLL(None, use_errno=True)


def say(kind, data, fds=()):
    socket.send_fds(CHANNEL, [json.dumps([kind, data]).encode()], list(fds))


def listening(fd):
    say("listening", {"index": 0, "device": 0, "inode": 0, "mode": 0, "uid": 0, "gid": 0}, [fd])


def log(*words):
    print(*words, flush=True)


def wait():
    while True:
        time.sleep(FUSE)


def child():
    """A process of its own session: 0 in it. Nobody who kills our group meets it."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(FUSE)
        os.setsid()
    return pid


def serve():
    log("a line of hers")
    say("serving", {})
    wait()


def second_listener():
    """Falls asleep, and then hands up another listener for its path while somebody waits at the first."""
    path = SPEC["sockets"][0]["address"]["path"]
    if PAPER["role"] == "bind":
        one = bound(path)
        listening(one.fileno())
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    first = socket.socket(fileno=PAPER["listeners"]["0"])
    say("serving", {})
    time.sleep(1.2)
    say("idle", {})
    while not os.path.exists(SPEC["chdir"] + "/go"):
        time.sleep(0.01)
    os.rename(path, path + ".old")
    second = bound(path)
    listening(second.fileno())
    # The emperor has heard it, and has closed its copy of the first.
    time.sleep(1)
    late = socket.socket(socket.AF_UNIX)
    late.connect(path + ".old")
    log("handed up", first.fileno())
    wait()


def bound(path):
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    one.listen(8)
    return one


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serve()


def selfkill():
    """Dies of a signal whenever it is asked to go."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    serve()


def traced():
    """Ends while its child traces it: its parent cannot reap it."""
    anybody, seize, no_tracer = ctypes.c_ulong(-1), 0x4206, 0x59616D61
    LIBC.prctl(no_tracer, anybody, 0, 0, 0)
    victim = os.getpid()
    told, tell = os.pipe()
    if child() == 0:
        os.write(tell, b"%d" % LIBC.ptrace(seize, victim, 0, 0))
        wait()
    log("seized:", os.read(told, 9).decode())
    say("serving", {})
    while not os.path.exists(SPEC["chdir"] + "/go"):
        time.sleep(0.01)
    os._exit(0)


def linger():
    """A connection, with bytes that nobody takes and SO_LINGER: whoever closes it last waits for 20 s."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    if child() == 0:
        near.close()
        CHANNEL.close()
        wait()
    far.close()
    listener.close()
    near.setblocking(False)
    try:
        while True:
            near.send(b"x" * 65536)
    except BlockingIOError:
        pass
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    return near.detach()


def lingering():
    fd = linger()
    say("serving", {})
    listening(fd)
    # The emperor's is the last descriptor; it closes it as a wrong one.
    os.close(fd)
    log("handed up")
    wait()


def lingering_last_words():
    """The same, in the queue of a channel that is deaf already when it is closed."""
    fd = linger()
    say("serving", {})
    say("garbage", {})
    listening(fd)
    log("handed up")
    while not os.path.exists(SPEC["chdir"] + "/go"):
        time.sleep(0.01)
    os._exit(0)


def flooding_child():
    """Newlines from a child that outlives it."""
    say("serving", {})
    if child() == 0:
        CHANNEL.close()
        newlines = b"\n" * 65536
        while True:
            os.write(1, newlines)
    while not os.path.exists(SPEC["chdir"] + "/go"):
        time.sleep(0.01)
    os._exit(3)


def loses():
    """Serves, and says for ever that its socket file is gone."""
    listener = socket.socket(socket.AF_UNIX)
    path = SPEC["sockets"][0]["address"]["path"]
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    listener.listen()
    listening(listener.fileno())
    say("serving", {})
    while True:
        say("lost", {"index": 0})


def flooding_channel():
    say("serving", {})
    lines = json.dumps(["lines", {"lines": [""] * 256, "dropped": 1}]).encode()
    while True:
        CHANNEL.send(lines)


def pipe():
    """Hands up a pipe as a listener."""
    read, _ = os.pipe()
    say("serving", {})
    listening(read)
    log("handed up")
    wait()


def hanging_file():
    """In a child, which would hang in its end as well."""
    say("serving", {})
    if child() != 0:
        wait()
    return os.open(SPEC["chdir"] + "/fuse/f", os.O_RDONLY)


def many_times(act):
    CHANNEL.setblocking(False)
    try:
        for _ in range(200):
            act()
    except OSError:
        pass
    log("handed up")
    wait()


def hanging_listener():
    """Hands up as a listener, as often as it can, what nobody can close."""
    fd = hanging_file()
    many_times(lambda: listening(fd))


def hanging_words():
    """The same with messages that nothing comes with."""
    fd = hanging_file()
    many_times(lambda: say("lost", {"index": 31}, [fd]))


def elsewhere():
    """Hands up a listener of the very path, from a mount namespace of its own, once it may."""
    path = SPEC["sockets"][0]["address"]["path"]
    new_user, new_mounts = 0x10000000, 0x20000
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(new_user | new_mounts) != 0:
        log("not permitted: unshare:", os.strerror(ctypes.get_errno()))
        serve()
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    if LIBC.mount(b"none", os.path.dirname(path).encode(), b"tmpfs", 0, None) != 0:
        log("not permitted: mount:", os.strerror(ctypes.get_errno()))
        serve()
    stolen = socket.socket(socket.AF_UNIX)
    stolen.bind(path)
    stolen.listen()
    log("bound elsewhere")
    say("serving", {})
    while not os.path.exists(SPEC["chdir"] + "/go"):
        time.sleep(0.01)
    listening(stolen.fileno())
    log("handed up")
    wait()


if __name__ == "__main__":
    signal.alarm(FUSE)
    globals()[dict(SPEC["env"])["ACT"]]()
