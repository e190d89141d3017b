"""What is right, or was sent by real programs: the inputs that all others are made of.

Streams that nginx, Apache and lighttpd have sent, inis that people write, a request of every verb, a message of every
kind. It reads files of this checkout and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from emperor.config.options import TABLE
from emperor.control import messages
from emperor.control.messages import VERBS, Request
from emperor.supervision import channel as words
from emperor.supervision.reports import WorkerReport, Workers
from emperor.supervision.totals import BOUNDS, Totals

ROOT = Path(__file__).resolve().parent.parent
_LONGEST = 6000
"""Bytes of a recorded stream: what is behind is a body, and the input matters, not its size."""

_FENCED = re.compile(r"^```ini\n(.*?)^```", re.M | re.S)


def _streams(uwsgi: bool) -> tuple[bytes, ...]:
    found = sorted((ROOT / "tests/data/streams").glob("*.bin"))
    return tuple(path.read_bytes()[:_LONGEST] for path in found if ("uwsgi" in path.stem) == uwsgi)


def uwsgi() -> tuple[bytes, ...]:
    return (*_streams(True), b"\0\0\0\0", b"\x1e" + _streams(True)[0][1:])


def fastcgi() -> tuple[bytes, ...]:
    begin = b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0"
    ends = b"\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\0\0\0"
    return (
        *_streams(False),
        # GET_VALUES, an abort, another role, two requests at once, the shape of a request without a body
        b"\x01\x09\0\0\0\x31\x05\0\x0e\0FCGI_MAX_CONNS\x0e\0FCGI_MAX_REQS_\x0f\0FCGI_MPXS_CONNS-----",
        begin + b"\x01\x02\0\x01\0\0\0\0",
        b"\x01\x01\0\x01\0\x08\0\0\0\x02\x01\0\0\0\0\0",
        begin + begin.replace(b"\0\x01\0\x08", b"\0\x02\0\x08") + ends,
        begin + b"\x01\x04\0\x01\0\x15\x03\0\x0e\x03REQUEST_METHODGET\x01" + bytes(5) + ends,
    )


def http() -> tuple[bytes, ...]:
    return (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /caf%C3%A9/..//x?a=b&c=%20 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: Mozilla/5.0 (X11)\r\n"
        b"Accept: text/html,*/*;q=0.8\r\nCookie: a=1; b=2\r\nX-Forwarded-For: 10.0.0.1\r\n"
        b"Connection: keep-alive\r\n\r\n",
        b"HEAD http://h:80/x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\neighteen bytes now",
        b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"4\r\nbody\r\n1a;a=b\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-T: 1\r\n\r\n",
        b"PUT /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
        b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST /old HTTP/1.0\nContent-Length: 4\n\nbody",
        b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
        b"GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    )


def inis() -> tuple[bytes, ...]:
    """Of the tests, of the quickstart, of the documents; one with every option; one for each part of the language."""
    files = sorted((*ROOT.glob("tests/inis/*.ini"), *ROOT.glob("vassals.d/*.ini"), *ROOT.glob("contrib/**/*.ini")))
    documents = [text for path in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
                 for text in _FENCED.findall(path.read_text())]  # fmt: skip
    return (*(path.read_bytes() for path in files), *(text.encode() for text in documents), *_options(), *_language())


_VALUES = {"address": "/run/blog.sock", "uwsgi or fastcgi or http": "http", "octal mode": "660",
           "USER[:GROUP]": "alice:alice", "octal mask": "027", "/PREFIX=FOLDER": "/static=/srv/static",
           "connections": "128", "user": "alice", "group": "alice", "yes/no": "true", "path": "/srv/blog/x",
           "module[:callable]": "blog.wsgi:app", "name": "app", "/PREFIX=APP": "/shop=shop.wsgi",
           "auto, / or /PREFIX": "/shop", "KEY=VALUE": "KEY=value", "count": "2", "seconds": "5", "requests": "1000",
           "whole or rolling": "rolling", "MB": "64", "niceness": "5", "bytes": "8192", "native or flup": "native",
           "format": '%(addr) "%(uri)"', "milliseconds": "50"}  # fmt: skip
"""A good value of each kind."""


def _options() -> tuple[bytes, ...]:
    """A line for each option, ten to an ini, so that most of them are inis that run."""
    lines = [f"{one.name} = {_VALUES.get(one.kind.text, one.default or '1')}" for one in TABLE]
    parts = (lines[at : at + 10] for at in range(0, len(lines), 10))
    return tuple("\n".join(("[uwsgi]", "module = blog", *part, "")).encode() for part in parts)


def _language() -> tuple[bytes, ...]:
    texts = (
        "[uwsgi]\nproject = blog\nchdir = /srv/%(project)\nmodule = %(project).wsgi\nprocesses = %(n * 2)\nn = 2\n",
        "[uwsgi]\nmodule = %n\nsocket = %d%n.sock\nlogto = /srv/%n.log\nenv = A=$(HOME)\nenv = B=@(other.txt)\n",
        "[uwsgi]\nmodule = a\nfor = x y z\nenv = A%(_)=%(_)\nend =\nfor-times = 3\nenv = B%(_)=1\nendfor =\n",
        "[uwsgi]\nif-env = HOME\nmodule = a\nend =\n"
        "if-not-env = HOME=/x\ncallable = b\nendif =\nif-exists = x\nend =\n",
        "[uwsgi]\nset = module=a\nset-ph = k=v\n"
        "env = K=%(k)\nif-opt = k=v\nthreads = 4\nend-if =\nif-dir = /srv\nend=\n",
        "[uwsgi]\ninclude = other.ini\nini = :more\ninherit = base.ini\n[more]\nthreads = 3\n",
        "[uwsgi]\nfor-glob = *.ini\nenv = X=%(_)\nend =\nfor-readline = other.txt\nenv = Y=%(_)\nend =\nmodule = a\n",
        "\ufeff[emperor]\r\n; a comment\r\n# another\r\nmodule = a\r\nmount = /b=b.py\r\nmanage-script-name = yes\r\n",
        "[uwsgi]\nif-plugin = python3\nmodule = a\nend =\nif-hostname = box\nend =\nif-hostname-match = b.*\nend =\n"
        "if-reload =\nend =\nif-not-reload =\nthreads = 2\nend =\nelse =\n",
        "[uwsgi]\n" + "".join(f"k{n} = %(k{n + 1})%(k{n + 1})\n" for n in range(20)) + "k20 = xx\nmodule = %(k0)\n",
        "[uwsgi]\nif-hostname-match = [[a]b{2}\nmodule = a\nend =\nif-hostname-match = a{99999999999}\nend =\n",
        "[uwsgi]\nif-hostname-match = " + "(" * 1500 + ")" * 1500 + "\nend =\n",
        "[uwsgi]\na = -7\nb = 2\nmodule = m%(a / b)%(a / 0)%(a ++)%(a --)%(a * b)%(a b)\ninclude = loop.ini\nelse =\n",
        "[uwsgi]\nmodule = a\nuid = bob\ngid = 0\nchown-socket = root:alice\nchmod-socket = 777\nsocket = /s\n"
        "socket = /s\nvirtualenv = v\nstats = /s\nwsgi-file = b.py\nscript-name = /\nmaster = true\nfoo = bar\n",
        "[uwsgi]\nfor-times = 900\na = %(_)%(b)\nb = %(c)\nend =\nmodule = a\n",
        "[uwsgi]\nmodule = a\nsocket = 127.0.0.1:8001\n"
        "fastcgi-socket = [::1]:9000\nhttp-socket = :8080\nstats = :1717\n"
        "static-map = /s=/srv/s\nstatic-map = /=/srv/www\nstatic-map = /a.txt=/srv/a.txt\nharakiri = 30\n",
        "[uwsgi]\nmount = /a=a.py\nmount = /b=b:app\n"
        "manage-script-name = true\nsocket = @abstract\nuid = alice\n"
        "gid = 27\nprotocol = fastcgi\nsocket = /run/emperor/blog.sock\nlogto = /run/emperor/x\nstats = 127.0.0.1:1\n",
        "[uwsgi]\nmodule = a\na = " + "%(b" * 300 + ")" * 300 + "\n",
    )
    return tuple(text.encode() for text in texts)


def control() -> tuple[bytes, ...]:
    """Each verb with the fewest names, with more of them, and with each of its options."""
    found: list[Request] = []
    for verb, row in VERBS.items():
        needed = {name: 2 for name in row.needs}
        for count in sorted({row.names[0], min(3, row.names[1])}):
            found.append(Request(verb, ("blog", "shop", "hers@2.x")[:count], needed))
            for name, bounds in row.options.items():
                value = True if bounds is None else bounds.most
                found.append(Request(verb, ("blog", "shop", "hers@2.x")[:count], {**needed, name: value}))
        if row.mutates and row.names[1] > 1:
            found.append(Request(verb, ("all",), needed))
    return tuple(messages.encode(one) for one in found)


def channel() -> tuple[bytes, ...]:
    """A message of every kind, as our own vassals send them."""
    worker = WorkerReport(1, 4711, "busy", 10, 2, 30_000_000, 7, "killed by SIGSEGV", 1234.5, 1240.25, 1, 99,
                          "GET /slow", 1234.5, 1 << 40, 1.25, 2, 7.5, 0.25, 99)  # fmt: skip
    found: tuple[words.Message, ...] = (
        *(words.Serving(), words.Idle(), words.Lost(0), words.Crewed(3, 1), words.Stale("/srv/grüß/🌍.py was changed")),
        words.Listening(2, 2049, 1234567, 0o140660, 1001, 33),
        words.Failed("No module named 'blog'", 'Traceback:\n  File "x", line 1\nModuleNotFoundError\n'),
        words.Lines(("one", "", "grüß 🌍", "a\ttab", "\x1b[2J\u202e"), dropped=3),
        words.Lines(("x" * 4096, "y")),
        Workers((worker, WorkerReport(2, 0, "backoff", 0, 0, 0)),
                Totals(9, 2, 1, 3.5, 1 << 40, tuple(range(len(BOUNDS) + 1)))),
        Workers((worker,) * 6),
        Workers(()),
    )  # fmt: skip
    return tuple(words.encode(one) for one in found)
