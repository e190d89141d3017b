"""Bytes of a web server, or of whoever can reach the socket, into the three protocols: as far as the app's environ.

What holds for every input: a value or ``ProtocolError``; the same wherever the bytes are cut; an environ that says what
PEP 3333 promises, and a line of the access log that is one line. Pure: no socket, no app.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from types import MappingProxyType
from typing import Any

from emperor.errors import ProtocolError
from emperor.protocol import http, responder, uwsgi
from emperor.protocol.cgi import Head
from emperor.protocol.params import Params
from emperor.protocol.responder import Abort, BodyEnd, Reply, Request, Stdin
from emperor.protocol.variables import variables
from emperor.wsgi.accesslog import LONGEST_LINE, Facts, compiled
from emperor.wsgi.body import EMPTY
from emperor.wsgi.environ import OURS, adopt, build, content_length
from emperor.wsgi.forwarded import believing
from emperor.wsgi.routing import compose
from fuzzing.mutation import cuts

LIMIT = 8192
"""Bytes of parameters, or of a head: small, so that it is met."""

ONE_RECORD = 8 + 65535 + 255

_OWN = MappingProxyType({name: None for name in OURS} | {"wsgi.url_scheme": "http", "wsgi.input": EMPTY})
_STATUSES = frozenset((400, 413, 431, 500, 501, 505))
_CONTROL = re.compile(r"[\0\r\n]")
_LINES = (compiled("combined", forwarded=True), compiled('{"uri":"%(uri)","q":"%(var.HTTP_COOKIE)","a":"%(addr)"}'))

Event = Any
"""What comes of the bytes, in a form that can be compared."""


def _start(*words: Any) -> Any: ...


def _app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [b""]


_ROUTED = [
    believing(compose({"": _app, "/a": _app, "/a/b": _app}, manage_script_name=True), 1),
    compose({"/a": _app}, script_name="/a"),
    compose({"": _app}, script_name="/"),
]


def _counted(environ: dict[str, Any]) -> Event:
    """The environ itself, once its body's length is known. Raises ``ProtocolError``."""
    length = content_length(environ)
    assert length is None or 0 <= length < 10**18
    return environ


def _examine(environ: dict[str, Any]) -> None:
    """As an app has it, and what the log would say."""
    _hold(environ)
    facts = Facts(environ, 200, b"HTTP/1.1 200 OK\r\n\r\n", 0, 1, False, False, 1.0, 0.1, 1, 0, 1, 1, lambda: (1, 1))
    for line in _LINES:
        text = line(facts)
        assert text.isprintable() and len(text.encode("utf-8", "backslashreplace")) <= LONGEST_LINE, "the log's line"
    for route in _ROUTED:
        routed = dict(environ)
        route(routed, _start)
        _hold(routed)


def _hold(environ: dict[str, Any]) -> None:
    script, path = environ["SCRIPT_NAME"], environ["PATH_INFO"]
    assert not script.endswith("/"), "SCRIPT_NAME ends with a slash"
    assert script or path, "SCRIPT_NAME and PATH_INFO are both empty"
    assert environ["REQUEST_METHOD"] and environ["SERVER_NAME"] and environ["SERVER_PORT"], "an empty variable"
    assert environ["wsgi.url_scheme"] in ("http", "https") and environ["wsgi.input"] is EMPTY, "one of ours is not ours"
    assert "HTTP_PROXY" not in environ, "HTTP_PROXY"
    for name, value in environ.items():
        if name in OURS or name == "emperor.proxy_fix.orig":
            continue
        assert type(value) is str and name.isidentifier() and name.isascii(), "a name or a value"
        assert not _CONTROL.search(value) or (name.startswith("SSL_") and "\0" not in value), "a control character"
    "".join(value for value in environ.values() if type(value) is str).encode("latin-1")


def _environ(params: Params) -> Event:
    return _counted(adopt(params[0], params[1], _OWN))


def _judged(speak: Callable[[Iterable[bytes]], Iterator[Event]], parts: Iterable[bytes]) -> list[Event]:
    """All events; a fault is the last of them, by its status."""
    events: list[Event] = []
    try:
        for event in speak(parts):
            events.append(event)
    except ProtocolError as error:
        assert error.status in _STATUSES, f"status {error.status}"
        assert str(error).isprintable(), "a message with a control character"
        events.append(error.status)
    return events


def _meaning(events: list[Event]) -> list[Event]:
    """Of two faults the one that is seen first names the status: which one that is may depend on what was there."""
    return ["refused" if type(one) is int else one for one in events]


def _trial(speak: Callable[[Iterable[bytes]], Iterator[Event]], data: bytes) -> str:
    whole = _judged(speak, [data])
    cut = _judged(speak, cuts(data))
    assert _meaning(cut) == _meaning(whole), "it means something else when it is cut"
    for event in whole:
        if type(event) is dict:
            _examine(event)
    last = whole[-1] if whole else "more"
    return str(last) if type(last) in (int, str) else "value"


# --- uwsgi ---


def _uwsgi(parts: Iterable[bytes]) -> Iterator[Event]:
    data = b""
    for part in parts:
        data += part
        parsed = uwsgi.parse_request(data, LIMIT)
        if parsed is not None:
            params, size = parsed
            assert 4 <= size <= len(data), "the packet's size"
            yield size
            yield _environ(params)
            return


def try_uwsgi(data: bytes) -> str:
    return _trial(_uwsgi, data)


# --- FastCGI ---


def _kept(machine: responder.ServerMachine) -> int:
    return len(machine._rest) + sum(len(one) for one in machine._params)


def _fastcgi(parts: Iterable[bytes]) -> Iterator[Event]:
    machine = responder.ServerMachine(LIMIT)
    body = b""
    for event in _events(machine, parts):
        if isinstance(event, Stdin):
            # Where its pieces meet is nobody's business.
            body += event.data
            continue
        if body:
            yield body
            body = b""
        yield from _said(event)
    if machine.error is not None:
        raise machine.error
    yield from (["more"] if machine.partial else [])


def _events(machine: responder.ServerMachine, parts: Iterable[bytes]) -> Iterator[responder.ServerEvent | None]:
    """Until the first fault, which the machine keeps. None: that was all."""
    try:
        for part in parts:
            yield from machine.receive(part)
            assert _kept(machine) <= LIMIT + ONE_RECORD, "more is kept than a record and the parameters"
        machine.receive(b"")
    except ProtocolError as error:
        assert error is machine.error, "a fault that is not kept"
    yield None


def _said(event: responder.ServerEvent | None) -> Iterator[Event]:
    if isinstance(event, Request):
        assert 0 < event.request_id < 65536
        try:
            yield _environ(event.params)
        except ProtocolError as error:
            yield error.status
    elif isinstance(event, Reply):
        assert event.data[:1] == b"\1" and event.data[1] in (3, 10, 11), "no record of ours"
        yield (event.data, event.close)
    elif event is not None:
        assert isinstance(event, (BodyEnd, Abort))
        yield "body" if isinstance(event, BodyEnd) else "abort"


def try_fastcgi(data: bytes) -> str:
    _kept_open(data)
    return _trial(_fastcgi, data)


def _kept_open(data: bytes) -> None:
    """Each request is answered at the end of its body, and the next one may begin: what comes depends on the cuts."""
    machine = responder.ServerMachine(LIMIT)
    for part in cuts(data):
        try:
            events = machine.receive(part)
        except ProtocolError:
            return
        for event in events:
            for said in _said(None if isinstance(event, Stdin) else event):
                if type(said) is dict:
                    _examine(said)
        if BodyEnd() in events:
            machine.finish()


# --- HTTP ---

_ANSWER = Head(200, "OK", (("Content-Type", "text/plain"), ("Content-Length", "2")), 0)


def _http(parts: Iterable[bytes]) -> Iterator[Event]:
    machine, left = http.ServerMachine(LIMIT), iter(parts)
    while True:
        try:
            request = machine.receive(b"")
            while request is None:
                data = next(left, None)
                if data is None:
                    yield from (["more"] if machine.partial else [])
                    return
                request = machine.receive(data)
            names, values = variables(request)
            yield _counted(build(names, values, _OWN))
        except ProtocolError as error:
            # The refusal itself must be possible.
            refusal = machine.start(Head(error.status, "x", (("Content-Length", "0"),), 0), True) + machine.finish()
            assert refusal.startswith(b"HTTP/1.1 %d x\r\n" % error.status), "a refusal"
            raise
        body = yield from _body(machine, left)
        if body is None:
            return
        yield body
        answer = machine.start(_ANSWER, False) + machine.data(b"ok") + machine.finish()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and not machine.cut, "an answer"
        if not machine.next():
            return


def _body(machine: http.ServerMachine, left: Iterator[bytes]) -> Generator[Event, None, bytes | None]:
    """The whole of it; None: it does not come."""
    body, asked = b"", machine.go_on()
    assert asked in (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "an interim answer"
    while (piece := machine.piece()) != b"":
        if piece is None:
            data = next(left, None)
            if data is None:
                yield body
                yield "more"
                return None
            machine.feed(data)
        else:
            body += piece
    return body


def try_http(data: bytes) -> str:
    return _trial(_http, data)
