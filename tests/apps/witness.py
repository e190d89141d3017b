"""A WSGI app that says what it saw of a request, and misbehaves when it is asked to. Any Python from 3.9 on.

PATH_INFO is the name of a part below; QUERY_STRING is what it is told.
"""

import hashlib
import json
import os
import threading
import time

SECRET = "the-app's-own-secret"
GIVEN = {"blocks": 0, "closed": 0}


def seen(environ, start_response):
    """The environ, and the body as far as it came."""
    digest, size, error = hashlib.sha256(), 0, ""
    try:
        while piece := environ["wsgi.input"].read(65536):
            digest.update(piece)
            size += len(piece)
    except OSError as problem:
        error = type(problem).__name__
    told = {name: value if isinstance(value, str) else type(value).__name__ for name, value in environ.items()}
    return page(start_response, {"environ": told, "size": size, "sha256": digest.hexdigest(), "error": error})


def blind(environ, start_response):
    """It reads nothing of the body."""
    return page(start_response, environ["REQUEST_METHOD"])


def self(environ, start_response):
    """This process; each time from where it stands now."""
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    told = {"pid": os.getpid(), "uid": os.getuid(), "resident": resident, "threads": threading.active_count()}
    return page(start_response, {**told, "descriptors": len(os.listdir("/proc/self/fd")), **GIVEN})


def big(environ, start_response):
    """So many blocks of 64 KiB, without a length."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Blocks(int(environ["QUERY_STRING"]))


class Blocks:
    def __init__(self, count):
        self.left = count
        GIVEN.update(blocks=0, closed=0)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        GIVEN["blocks"] += 1
        return b"b" * 65536

    def close(self):
        GIVEN["closed"] += 1


def rude(environ, start_response):
    """A response as no app should give it."""
    status, headers, body = RUDE[environ["QUERY_STRING"]]
    start_response(status, list(headers))
    return body()


def broken(*blocks):
    yield from blocks
    raise RuntimeError(SECRET)


TEXT = ("Content-Type", "text/plain")
RUDE = {
    "split-value": ("200 OK", [TEXT, ("X-A", "a\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: evil=1")], lambda: [b"x"]),
    "split-line-feed": ("200 OK", [TEXT, ("X-A", "a\nSet-Cookie: evil=1")], lambda: [b"x"]),
    "split-name": ("200 OK", [TEXT, ("X-A: b\r\nSet-Cookie", "evil=1")], lambda: [b"x"]),
    "split-status": ("200 OK\r\nSet-Cookie: evil=1", [TEXT], lambda: [b"x"]),
    "nul": ("200 OK", [TEXT, ("X-A", "a\0b")], lambda: [b"x"]),
    "two-lengths": ("200 OK", [TEXT, ("Content-Length", "1"), ("Content-Length", "20")], lambda: [b"x"]),
    "not-a-length": ("200 OK", [TEXT, ("Content-Length", "1_0")], lambda: [b"x" * 10]),
    "raises": ("200 OK", [TEXT], broken),
    "raises-later": ("200 OK", [TEXT], lambda: broken(b"half")),
    "raises-within-length": ("200 OK", [TEXT, ("Content-Length", "1000")], lambda: broken(b"half")),
    "hop-by-hop": ("200 OK", [TEXT, ("Connection", "upgrade"), ("Transfer-Encoding", "chunked"), ("Upgrade", "x"),
                              ("Keep-Alive", "timeout=9999"), ("Status", "404 Not Found")], lambda: [b"body"]),
    "over-long": ("200 OK", [TEXT, ("Content-Length", "4")], lambda: [b"body", b"HTTP/1.1 200 OK\r\n\r\nevil"]),
    "no-content": ("204 No Content", [], lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]),
    "not-modified": ("304 Not Modified", [], lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]),
    "head": ("200 OK", [TEXT, ("Content-Length", "40")], lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n12"]),
    "interim": ("100 Continue", [], lambda: [b""]),
    "switching": ("101 Switching Protocols", [("Upgrade", "x")], lambda: [b"x"]),
    "text": ("200 OK", [TEXT], lambda: ["text"]),
    "none": ("200 OK", [TEXT], lambda: None),
}  # fmt: skip


def slow(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    return page(start_response, "slept")


def page(start_response, told):
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


PARTS = {"/" + part.__name__: part for part in (seen, blind, self, big, rude, slow)}


def application(environ, start_response):
    return PARTS.get(environ["PATH_INFO"], seen)(environ, start_response)
