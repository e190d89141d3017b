"""A worker without its vassal: serves on the socket that argv names until TERM. Any Python from 3.9 on.

    server_program.py PROTOCOL PATH THREADS

Paths: /slow answers after reading one byte from the fifo PATH.go; everything else echoes the body.
"""

import signal
import socket
import sys

from emperor.serving.native import Server, Settings


class Silent:
    def begin(self, thread, request=""):
        pass

    def end(self, thread, failed):
        pass


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        print("entered", flush=True)
        with open(sys.argv[2] + ".go", "rb") as go:
            body = go.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [sys.implementation.name.encode(), b" ", environ["QUERY_STRING"].encode("latin-1"), b" ", body]


def main():
    protocol, path, threads = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(128)
        listener.setblocking(False)
        server = Server([(listener, protocol)], application, Settings(threads=int(threads)), Silent())
        signal.signal(signal.SIGTERM, lambda *arguments: server.drain())
        print("ready", flush=True)
        server.run()
    print("drained", flush=True)


if __name__ == "__main__":
    main()
