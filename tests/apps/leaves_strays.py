"""A WSGI app that leaves processes behind: at its import (STRAYS names them), and where /?KIND asks. Python 3.9."""

import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def pauses():
    """Ignores TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def deaf():
    """Ignores everything but KILL and STOP."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


def tidies_up():
    """Ends at TERM, and says so first."""

    def term(signum, frame):
        with open("tidied", "a") as file:
            file.write("x")
        os._exit(0)

    signal.signal(signal.SIGTERM, term)
    while True:
        signal.pause()


def forks_on():
    """A new process every few milliseconds; each ignores TERM, and ends when there is the next one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.003)
        if os.fork():
            os._exit(0)


def runs_away():
    """As forks_on, and each in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)
        if os.fork():
            os._exit(0)
        os.setsid()


def multiplies():
    """Leaves more behind at each look at the clock, up to a bound; none of them listens."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(6):
        time.sleep(0.02)
        os.fork()
        os.setsid() if os.getpid() != os.getsid(0) else None
    while True:
        time.sleep(60)


def ends():
    """At once."""
    os._exit(0)


KINDS = {one.__name__: one for one in (pauses, deaf, tidies_up, forks_on, runs_away, multiplies, ends)}


def escape(kind):
    """Double fork, and a session of its own in between, as daemon(7) has it."""
    middle = os.fork()
    if not middle:
        os.setsid()
        if not os.fork():
            signal.set_wakeup_fd(-1)
            os.closerange(3, 256)
            with open("escaped", "a") as file:
                file.write(kind + "\n")
            try:
                KINDS[kind]()
            finally:
                os._exit(1)
        os._exit(0)
    os.waitpid(middle, 0)


if os.environ.get("CLEAR_FLAG"):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
for name in os.environ.get("STRAYS", "").split():
    escape(name)


def application(environ, start_response):
    query = environ["QUERY_STRING"]
    if query in KINDS:
        escape(query)
    elif query.startswith("worker="):
        KINDS_OF_WORKER[query[7:]]()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def ignores_term():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def ignores_all():
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_IGN)


KINDS_OF_WORKER = {"ignores_term": ignores_term, "ignores_all": ignores_all}
