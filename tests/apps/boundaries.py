"""A WSGI app that tries what a service manager may forbid: /?TRIAL says what came of it. Any Python from 3.9 on."""

import json
import mmap
import os
import socket


def compiled_memory():
    mmap.mmap(
        -1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ).close()


def own_folder():
    with open("/srv/probe/scratch/file", "w") as file:
        file.write("written")


def home_folder():
    with open(os.path.expanduser("~/file"), "w") as file:
        file.write("written")


def shared_tmp():
    os.stat("/tmp/of-another-service")


def device():
    os.stat("/dev/gpiochip0")


def processes_of_others():
    os.stat("/proc/1")


def priority():
    os.nice(1)


def affinity():
    os.sched_setaffinity(0, os.sched_getaffinity(0))


def netlink():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def network():
    socket.socket(socket.AF_INET6).close()


def threads_and_children():
    import subprocess
    import threading

    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    subprocess.run(["true"], check=True)


def names():
    socket.getaddrinfo("localhost", 80)


def foreign_functions():
    import ctypes

    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)
    assert callback() == 7


def shared_memory():
    import multiprocessing

    multiprocessing.get_context("fork").Semaphore(1).acquire()


def namespace():
    if os.spawnlp(os.P_WAIT, "unshare", "unshare", "--user", "true"):
        raise OSError("no new namespace")


def warm_loop():
    total = 0
    for number in range(3_000_000):
        total += number % 7
    return total


TRIALS = {name: value for name, value in list(globals().items()) if callable(value)}


def application(environ, start_response):
    try:
        TRIALS[environ["QUERY_STRING"]]()
        outcome = ""
    except Exception as error:
        outcome = repr(error)
    body = json.dumps(outcome).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
