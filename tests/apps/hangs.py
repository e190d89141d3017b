"""A WSGI app whose requests do not end: in Python, in C, for a slow reader. Standard library, Python 3.9 and newer."""

import json
import os
import re
import signal
import sys
import time

FOR_EVER = 1000


def facts(environ):
    return {"pid": os.getpid()}


def sleep(environ):
    time.sleep(FOR_EVER)


def spin(environ):
    while True:
        pass


def regex(environ):
    """In C, and the interpreter's lock is held; a signal's handler that is Python never runs."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def mark_and_hang(environ):
    """?FILE is there when it begins."""
    with open(environ["QUERY_STRING"], "x"):
        regex(environ)


def locked(environ):
    """The same in a system call."""
    import ctypes

    ctypes.PyDLL(None).sleep(FOR_EVER)


def deaf(environ):
    """Blocks whatever can be blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(FOR_EVER)


def own_handlers(environ):
    """Gives every signal another meaning; only the main thread may, so this is for one thread."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signum, signal.SIG_IGN)
    time.sleep(FOR_EVER)


def fork(environ):
    """Its child outlives it, and holds everything that it has."""
    child = os.fork()
    if child == 0:
        time.sleep(FOR_EVER)
    with open(environ["QUERY_STRING"], "w") as file:
        file.write(str(child))
    time.sleep(FOR_EVER)


def fork_and_leave(environ):
    """Its child leaves the request as if it were its own."""
    if os.fork() == 0:
        sys.exit()
    os.wait()
    time.sleep(FOR_EVER)


def half_a_line(environ):
    sys.stderr.write("half a line")
    sys.stderr.flush()
    time.sleep(FOR_EVER)


def nearly(environ):
    """?SECONDS, and it has an end."""
    time.sleep(float(environ["QUERY_STRING"]))
    return {"pid": os.getpid()}


PAGES = {
    "/sleep": sleep,
    "/spin": spin,
    "/regex": regex,
    "/mark-and-hang": mark_and_hang,
    "/locked": locked,
    "/deaf": deaf,
    "/own-handlers": own_handlers,
    "/fork": fork,
    "/fork-and-leave": fork_and_leave,
    "/half-a-line": half_a_line,
    "/nearly": nearly,
}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (bytes(65536) for _ in iter(int, 1))
    body = json.dumps(PAGES.get(environ["PATH_INFO"], facts)(environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
