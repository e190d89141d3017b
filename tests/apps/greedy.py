"""A WSGI app that takes as much as it gets: memory, descriptors, processes. Standard library, Python 3.9 and newer."""

import json
import os
import resource

MEGABYTE = 2**20
AT_IMPORT = {
    name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_NPROC")
}


def memory(environ):
    """?MEGABYTES"""
    bytearray(int(environ["QUERY_STRING"]) * MEGABYTE)
    return {}


def descriptors(environ):
    """How many it gets until there are no more."""
    found = []
    try:
        while len(found) < 10000:
            found.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return {"got": len(found), "error": error.strerror}
    finally:
        for fd in found:
            os.close(fd)
    return {"got": len(found), "error": ""}


def processes(environ):
    """How many it gets, up to ?MOST; they end again."""
    found, read, write, reason = [], *os.pipe(), ""
    try:
        while len(found) < int(environ["QUERY_STRING"]):
            child = os.fork()
            if child == 0:
                os.close(write)
                os.read(read, 1)
                os._exit(0)
            found.append(child)
    except OSError as error:
        reason = error.strerror
    os.close(write)
    for child in found:
        os.waitpid(child, 0)
    os.close(read)
    return {"got": len(found), "error": reason}


PAGES = {"/memory": memory, "/descriptors": descriptors, "/processes": processes}


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    body = json.dumps(page(environ) if page else {"pid": os.getpid(), "at_import": AT_IMPORT}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
