"""A WSGI app for tests of renewal: /pid, /echo (a length), /leak (a MiB more), /hang...?FILE (until it is there)."""

import os
import time

KEPT = []


def application(environ, start_response):
    path, body = environ["PATH_INFO"], b""
    if path == "/echo":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/leak":
        KEPT.append(os.urandom(1 << 20))
        body = str(len(KEPT)).encode()
    elif path.startswith("/hang"):
        while not os.path.exists(environ["QUERY_STRING"]):
            time.sleep(0.01)
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
