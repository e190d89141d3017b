"""A WSGI app that tells what it sees from inside: standard library, any Python from 3.9 on.

Each import adds a line with its pid to the file that $IMPORTS names.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time

GENERATION = "one"

if os.environ.get("IMPORTS"):
    with open(os.environ["IMPORTS"], "a") as _imports:
        _imports.write(f"{os.getpid()}\n")


def facts(environ):
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "generation": GENERATION,
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": sorted(os.getgroups()),
        "cwd": os.getcwd(),
        "umask": _umask(),
        "os_environ": dict(os.environ),
        "environ": {key: value for key, value in environ.items() if isinstance(value, (str, bool, int))},
        "sys_path": sys.path,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "implementation": sys.implementation.name,
        "threads": threading.active_count(),
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE),
    }


def _umask():
    old = os.umask(0o22)
    os.umask(old)
    return old


def try_import(environ):
    """?NAME"""
    try:
        module = __import__(environ["QUERY_STRING"])
    except ImportError as error:
        return {"error": repr(error)}
    return {"file": getattr(module, "__file__", "built in")}


def regain(environ):
    """Every call that could make root of us; which of them worked."""
    attempts = {
        "setuid": lambda: os.setuid(0),
        "seteuid": lambda: os.seteuid(0),
        "setreuid": lambda: os.setreuid(0, 0),
        "setresuid": lambda: os.setresuid(0, 0, 0),
        "setgid": lambda: os.setgid(0),
        "setegid": lambda: os.setegid(0),
        "setresgid": lambda: os.setresgid(0, 0, 0),
        "setgroups": lambda: os.setgroups([0]),
        "initgroups": lambda: os.initgroups("root", 0),
        "chroot": lambda: os.chroot("/"),
    }
    return {"worked": [name for name, attempt in attempts.items() if _works(attempt)]}


def _works(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True


def run(environ):
    """?PROGRAM: what it prints."""
    done = subprocess.run([environ["QUERY_STRING"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return {"code": done.returncode, "output": done.stdout.decode()}


def hold(environ):
    """?FOLDER: make FOLDER/started, answer when FOLDER/go is there."""
    folder = environ["QUERY_STRING"]
    with open(folder + "/started", "a") as started:
        started.write(f"{os.getpid()}\n")
    while not os.path.exists(folder + "/go"):
        time.sleep(0.01)
    return {"held": os.getpid()}


def echo(environ):
    digest, size = hashlib.sha256(), 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            return {"sha256": digest.hexdigest(), "size": size}
        digest.update(piece)
        size += len(piece)


def say(environ):
    """?TEXT to both streams that an app may write its log to."""
    environ["wsgi.errors"].write("errors: " + environ["QUERY_STRING"] + "\n")
    environ["wsgi.errors"].flush()
    print("stdout: " + environ["QUERY_STRING"], flush=True)
    return {}


def fail(environ):
    raise RuntimeError("asked to fail")


PAGES = {
    "/facts": facts,
    "/import": try_import,
    "/regain": regain,
    "/run": run,
    "/hold": hold,
    "/echo": echo,
    "/say": say,
    "/fail": fail,
}


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    body = json.dumps(page(environ) if page else facts(environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def other(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the other callable"]
