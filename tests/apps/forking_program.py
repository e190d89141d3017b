"""A worker without its vassal, with an app that forks: forking_program.py PROTOCOL PATH THREADS.

/exit, /raise: a child leaves the view by SystemExit or another exception; /return: it comes back from the view;
/terminate: a multiprocessing child that sleeps is terminated. All answer
what became of the child, and the worker's pid.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time

from emperor.serving.native import Server, Settings
from emperor.worker import keep_to_one_process


class Silent:
    def begin(self, thread, request=""):
        pass

    def end(self, thread, failed):
        pass

    def disown(self):
        pass


def fork_and_wait(path):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if path == "/exit":
        sys.exit(7)
    raise ValueError("the child's own fault")


def terminate():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(10)
    return child.exitcode


def application(environ, start_response):
    path = environ["PATH_INFO"]
    outcome = "-"
    if path == "/return":
        os.fork()
    elif path == "/terminate":
        outcome = terminate()
    elif path != "/":
        outcome = fork_and_wait(path)
    body = f"{outcome} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def main():
    protocol, path, threads = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(128)
        listener.setblocking(False)
        tally = Silent()
        server = Server([(listener, protocol)], application, Settings(threads=int(threads)), tally)
        signal.signal(signal.SIGTERM, lambda *arguments: server.drain())
        keep_to_one_process(server, tally, (signal.SIGTERM,))
        print("ready", os.getpid(), flush=True)
        server.run()
    print("drained", flush=True)


if __name__ == "__main__":
    main()
