"""The table of what is compared: one row per kind of work, with what must hold and what we aim at.

Data only. A ratio is ours divided by the peer's, medians both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Metric(NamedTuple):
    """One kind of figure. ``less``: less is better. ``least``: the best round counts, not the median one."""

    title: str
    unit: str
    less: bool
    digits: int
    least: bool = False


METRICS = {
    "cpu": Metric("CPU", "µs/request", True, 1),
    "rate": Metric("requests", "1/s", False, 0),
    "speed": Metric("throughput", "MiB/s", False, 0),
    "cpu-gib": Metric("CPU", "ms/GiB", True, 0),
    "growth": Metric("worker's growth", "MiB", True, 2),
    "command": Metric("the whole command", "ms", True, 1),
    "command-least": Metric("the quickest command", "ms", True, 1, least=True),
    "command-cpu": Metric("the command's CPU", "ms", True, 1),
    "pss": Metric("memory (PSS)", "MiB", True, 1),
    "pss-anon": Metric("of that anonymous", "MiB", True, 1),
    "pss-daemon": Metric("the daemon itself (PSS)", "MiB", True, 1),
}


class Claim(NamedTuple):
    """What a row says of one metric; without bounds it is shown and not judged."""

    metric: str
    must: float | None = None
    goal: float | None = None
    ratio: bool = True
    """Bounds are of ours ÷ peer's; else of our own figure, in the metric's unit."""


@dataclass(frozen=True)
class Contender:
    """One server with one app. ``server`` is a key of ``servers.SERVERS``, ``way`` of ``front.WAYS``, ``app`` a
    file of apps/. For the exercise "status", ``processes`` is the number of apps."""

    server: str
    way: str
    app: str
    processes: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Row:
    """``exercise`` is a key of ``exercises.EXERCISES``; ``path`` and ``connections`` are for it."""

    key: str
    work: str
    ours: Contender
    peer: Contender
    claims: tuple[Claim, ...]
    exercise: str = "hello"
    path: str = "/hello/7"
    connections: int = 8
    warmup: float = 1.0
    """Seconds, before the first round of each."""

    @property
    def contenders(self) -> tuple[Contender, Contender]:
        return self.ours, self.peer


def _hello(key: str, work: str, ours: Contender, peer: Contender, *claims: Claim, warmup: float = 1.0) -> Row:
    return Row(key, work, ours, peer, claims, warmup=warmup)


def _ours(way: str, app: str, processes: int = 1, threads: int = 1) -> Contender:
    return Contender("ours", way, app, processes, threads)


def _uwsgi(way: str, app: str, processes: int = 1, threads: int = 1) -> Contender:
    return Contender("uwsgi", way, app, processes, threads)


_GUNICORN = Contender("gunicorn", "uwsgi", "flask_hello")
_FLUP = Contender("flup", "fastcgi", "flask_hello")
_KEPT = "fastcgi-kept"
_SHOWN = Claim("rate")
_CONSTANT = Claim("growth", 8, 8, ratio=False)
_PYPY_WARMUP = 20.0


def _download(key: str, work: str, way: str, path: str) -> Row:
    claims = (Claim("speed", 0.95, 1.0), _CONSTANT, Claim("cpu-gib"))
    return Row(key, work, _ours(way, "download"), _uwsgi("uwsgi", "download"), claims, "download", path)


def _upload(key: str, work: str, way: str, path: str) -> Row:
    claims = (Claim("cpu-gib", 1.1, 1.0), _CONSTANT, Claim("speed"))
    peer = _uwsgi("uwsgi" if way == "uwsgi" else "fastcgi", "upload")
    return Row(key, work, _ours(way, "upload"), peer, claims, "upload", path)


# fmt: off
ROWS: tuple[Row, ...] = (
    _hello("bare-uwsgi", "bare WSGI, uwsgi",
           _ours("uwsgi", "bare"), _uwsgi("uwsgi", "bare"), Claim("cpu", 1.20, 1.00), _SHOWN),
    _hello("bare-fastcgi", "bare WSGI, FastCGI kept open",
           _ours(_KEPT, "bare"), _uwsgi("fastcgi", "bare"), Claim("cpu", 0.90, 0.75), _SHOWN),
    _hello("flask-uwsgi", "Flask, uwsgi",
           _ours("uwsgi", "flask_hello"), _uwsgi("uwsgi", "flask_hello"), Claim("cpu", 1.08, 1.00), _SHOWN),
    _hello("flask-fastcgi", "Flask, FastCGI kept open",
           _ours(_KEPT, "flask_hello"), _uwsgi("fastcgi", "flask_hello"),
           Claim("cpu", 0.95, 0.88), Claim("rate", 1.05, 1.15)),
    _hello("bare-uwsgi-guarded", "bare WSGI, uwsgi",
           _ours("uwsgi", "bare"), Contender("uwsgi-guarded", "uwsgi", "bare"), Claim("cpu", 1.20, 1.00), _SHOWN),
    _hello("flask-uwsgi-guarded", "Flask, uwsgi",
           _ours("uwsgi", "flask_hello"), Contender("uwsgi-guarded", "uwsgi", "flask_hello"),
           Claim("cpu", 1.08, 1.00), _SHOWN),
    _hello("bare-uwsgi-logged", "bare WSGI, uwsgi, access log",
           Contender("ours-logged", "uwsgi", "bare"), Contender("uwsgi-logged", "uwsgi", "bare"), Claim("cpu"), _SHOWN),
    _hello("access-log", "bare WSGI, uwsgi, access log on, against off",
           Contender("ours-logged", "uwsgi", "bare"), _ours("uwsgi", "bare"), Claim("cpu"), _SHOWN),
    _hello("flask-uwsgi-gunicorn", "Flask, uwsgi",
           _ours("uwsgi", "flask_hello"), _GUNICORN, Claim("cpu", 0.45, 0.38), _SHOWN),
    _hello("flask-fastcgi-gunicorn", "Flask, FastCGI kept open",
           _ours(_KEPT, "flask_hello"), _GUNICORN, Claim("cpu", 0.45, 0.38), _SHOWN),
    _hello("flask-fastcgi-flup", "Flask, FastCGI kept open",
           _ours(_KEPT, "flask_hello"), _FLUP, Claim("cpu", 0.16, 0.13), _SHOWN),
    _hello("flask-pypy", "Flask, uwsgi, vassal on PyPy",
           Contender("ours-pypy", "uwsgi", "flask_hello"), _uwsgi("uwsgi", "flask_hello"),
           Claim("cpu", 0.60, 0.45), _SHOWN, warmup=_PYPY_WARMUP),
    _download("generator-uwsgi", "download from a generator, uwsgi", "uwsgi", "/generator"),
    _download("generator-fastcgi", "download from a generator, FastCGI", _KEPT, "/generator"),
    _download("file-uwsgi", "download by wsgi.file_wrapper, uwsgi", "uwsgi", "/file"),
    _download("file-fastcgi", "download by wsgi.file_wrapper, FastCGI", _KEPT, "/file"),
    _upload("upload-hash", "upload hashed by the app, uwsgi", "uwsgi", "/hash"),
    _upload("upload-count", "upload counted by the app, uwsgi", "uwsgi", "/count"),
    _upload("upload-fastcgi", "upload counted by the app, FastCGI", _KEPT, "/count"),
    Row("threads", "8 threads, app sleeps 10 ms, 64 connections, uwsgi",
        _ours("uwsgi", "sleeper", threads=8), _uwsgi("uwsgi", "sleeper", threads=8),
        (Claim("rate", 0.95, 1.00), Claim("cpu")), connections=64),
    Row("processes", "Flask, 2 processes, uwsgi",
        _ours("uwsgi", "flask_hello", processes=2), _uwsgi("uwsgi", "flask_hello", processes=2),
        (Claim("rate", 0.95, 1.00), Claim("cpu"))),
    Row("memory", "one Flask worker after 1000 requests, uwsgi",
        _ours("uwsgi", "flask_hello"), _uwsgi("uwsgi", "flask_hello"),
        (Claim("pss", 1.0, 0.9), Claim("pss-anon"), Claim("pss-daemon")), "memory"),
    Row("status", "emperorctl status, 50 vassals",
        Contender("ours-many", "uwsgi", "bare", 50), Contender("supervisor", "control", "sleep", 50),
        (Claim("command", 120, 120, ratio=False), Claim("command", 1.0, 1.0), Claim("command-least"),
         Claim("command-cpu")), "status"),
)
# fmt: on


def chosen(words: tuple[str, ...]) -> tuple[Row, ...]:
    """The rows that one of these words names: a whole key, or else a part of keys. All of them for no words."""
    keys = {row.key for row in ROWS}
    return tuple(row for row in ROWS if not words or any(_named(word, row.key, keys) for word in words))


def _named(word: str, key: str, keys: set[str]) -> bool:
    return word == key if word in keys else word in key
