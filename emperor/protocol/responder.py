"""FastCGI, the application server's side: one connection as a state machine, fed bytes, answering with events.

One request at a time. It never touches a socket: what must be written at once comes out as a ``Reply``. Its
events do not depend on where the bytes are split; after a ``ProtocolError`` nothing more comes of that
connection. Source: FastCGI specification 1.0; the sections stand beside the code.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol import records
from emperor.protocol.params import Params, pairs

__all__ = [
    "Abort",
    "BodyEnd",
    "Reply",
    "Request",
    "ServerEvent",
    "ServerMachine",
    "Stdin",
]


class Request(NamedTuple):
    """The parameters of a request are whole; its body follows as ``Stdin`` events and one ``BodyEnd``."""

    request_id: int
    params: Params
    keep: bool


class Stdin(NamedTuple):
    data: bytes


class BodyEnd(NamedTuple):
    pass


class Abort(NamedTuple):
    """The web server no longer wants this request's response (section 5.4); it still waits for the
    END_REQUEST.
    """


class Reply(NamedTuple):
    """Bytes to send now; ``close``: and then close the connection."""

    data: bytes
    close: bool = False


ServerEvent = Union[Request, Stdin, BodyEnd, Abort, Reply]

_IDLE, _PARAMS, _STDIN, _RUNNING = range(4)

BODY_END = BodyEnd()

# What frames a request of id 1 without a body: its records up to the parameters, and those behind them.
_BEGIN_ONE = records.HEADER.pack(records.VERSION, records.BEGIN_REQUEST, 1, 8, 0) + b"\0\1"
_PARAMS_ONE = records.HEADER.pack(records.VERSION, records.PARAMS, 1, 0, 0)[:4]
_ENDS_ONE = records.encode_record(records.PARAMS, 1) + records.encode_record(records.STDIN, 1)


class ServerMachine:
    """``limit``: bytes of parameters; ``capacity``: requests at once, ``connections``: as many at once, as GET_VALUES
    tells them.

    ``request_id`` is 0 between requests; ``keep``: its connection is to stay open. ``begun`` differs between any two
    requests with a body. ``ignored`` counts bytes of records for no request since the last one; ``error`` is the fault
    that ended it.
    """

    __slots__ = (
        "_capacity", "_connections", "_events", "_limit", "_params", "_phase", "_rest", "_size",
        "begun", "error", "ignored", "keep", "request_id",
    )  # fmt: skip

    def __init__(self, limit: int = 65536, capacity: int = 1, connections: int = 1) -> None:
        self._limit = limit
        self._capacity = capacity
        self._connections = connections
        self._rest = b""
        self._phase = _IDLE
        self.keep = False
        self._params: list[bytes] = []
        self._size = 0
        self.begun = 0
        self.error: Optional[ProtocolError] = None
        self._events: list[ServerEvent] = []
        self.request_id = 0
        self.ignored = 0

    @property
    def partial(self) -> bool:
        """Has a record or a request begun that is not whole?"""
        return bool(self._rest) or self._phase == _PARAMS

    @property
    def in_body(self) -> bool:
        """Has the request not been read to the end of its body?"""
        return self._phase == _STDIN

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Take bytes, give events. Raises ``ProtocolError`` once the events before the fault have been given."""
        if self.error is not None:
            raise self.error
        params = self.whole(data)
        if params is not None:
            return [Request(1, params, self.keep), BODY_END]
        events = self._events = []
        try:
            self._records(self._rest + data if self._rest else data)
        except ProtocolError as error:
            self.error, self._rest = error, b""
            if not events:
                raise
        return events

    def whole(self, data: bytes, into: Optional[dict[str, Any]] = None) -> Optional[Params]:
        """A request's parameters, if ``data`` is just one of id 1 without a body, which most are: four records in one
        look. None: nothing was taken, ``receive`` has the same result record by record. ``into``: see ``Params``.
        Raises ``ProtocolError``.
        """
        if data[:10] != _BEGIN_ONE or self._phase != _IDLE or self._rest or self.error is not None:
            return None
        length = data[20] << 8 | data[21] if len(data) > 24 else 0
        end = 24 + length
        if not 0 < length <= self._limit or data[16:20] != _PARAMS_ONE or data[end + data[22] :] != _ENDS_ONE:
            return None
        self.request_id, self.keep, self._phase = 1, bool(data[10] & records.KEEP_CONN), _RUNNING
        try:
            return records.decode_pairs(data[24:end], into)
        except ProtocolError as error:
            self.error = error
            raise

    def finish(self) -> None:
        """The response is sent: from now on its id is unknown, and the next request may begin."""
        self._phase = _IDLE
        self.request_id = 0
        self.ignored = 0

    def _records(self, data: bytes) -> None:
        position, size = 0, len(data)
        while size - position >= 8:
            version, kind, request_id, length, padding = records.HEADER.unpack_from(data, position)
            if version != records.VERSION:
                raise ProtocolError(_another(version))
            end = position + 8 + length
            if end + padding > size:
                break
            handler = _HANDLERS.get(kind)
            if handler is None or (request_id == 0) != (kind == records.GET_VALUES):
                self._strange(kind, request_id)
            else:
                handler(self, request_id, data[position + 8 : end])
            position = end + padding
        self._rest = data[position:]
        if self._rest and self._rest[0] != records.VERSION:
            raise ProtocolError(_another(self._rest[0]))

    def _strange(self, kind: int, request_id: int) -> None:
        # Section 4.2: only a management record (id 0) of unknown type asks for an answer; a type that does
        # not exist at all gets the same. One that exists, but travels the other way or without its id, is a
        # fault.
        if records.BEGIN_REQUEST <= kind <= records.UNKNOWN_TYPE:
            raise ProtocolError(f"fastcgi: a record of type {kind} with request id {request_id}")
        body = bytes((kind,)) + bytes(7)
        self._events.append(Reply(records.encode_record(records.UNKNOWN_TYPE, 0, body)))

    def _begin(self, request_id: int, content: bytes) -> None:
        if len(content) != 8:
            raise ProtocolError("fastcgi: BEGIN_REQUEST is not 8 bytes")
        role, flags = records.BEGIN_BODY.unpack(content)
        keep = bool(flags & records.KEEP_CONN)
        if request_id == self.request_id:
            raise ProtocolError("fastcgi: BEGIN_REQUEST for the request that runs")
        if self._phase != _IDLE:
            refusal = records.encode_end(request_id, 0, records.CANT_MPX_CONN)
            self._events.append(Reply(refusal))
        elif role != records.RESPONDER:
            refusal = records.encode_end(request_id, 0, records.UNKNOWN_ROLE)
            self._events.append(Reply(refusal, close=not keep))
        else:
            self.request_id, self.keep, self._phase = request_id, keep, _PARAMS
            self._params, self._size = [], 0
            self.begun += 1

    def _more_params(self, request_id: int, content: bytes) -> None:
        if request_id != self.request_id:
            return self._ignore(request_id, content)
        if self._phase != _PARAMS:
            raise ProtocolError("fastcgi: PARAMS after the end of their stream")
        if content:
            self._size += len(content)
            if self._size > self._limit:
                raise ProtocolError(
                    f"fastcgi: more than {self._limit} bytes of parameters, the limit (buffer-size)", 431
                )
            self._params.append(content)
            return None
        # A pair may lie across records (section 3.4 speaks of the stream), so they are read only when all are
        # here.
        block = self._params[0] if len(self._params) == 1 else b"".join(self._params)
        self._params = []
        self._phase = _STDIN
        self._events.append(Request(request_id, records.decode_pairs(block), self.keep))
        return None

    def _stdin(self, request_id: int, content: bytes) -> None:
        if request_id != self.request_id:
            return self._ignore(request_id, content)
        if self._phase != _STDIN:
            raise ProtocolError("fastcgi: STDIN out of order")
        if content:
            self._events.append(Stdin(content))
        else:
            self._phase = _RUNNING
            self._events.append(BODY_END)
        return None

    def _abort(self, request_id: int, content: bytes) -> None:
        if request_id != self.request_id:
            return
        if self._phase == _PARAMS:
            self._events.append(Reply(records.encode_end(request_id), close=not self.keep))
            self.finish()
        else:
            self._events.append(Abort())

    def _get_values(self, request_id: int, content: bytes) -> None:
        # Section 4.1: only the names that were asked for and that we know.
        known = {
            "FCGI_MAX_CONNS": str(self._connections),
            "FCGI_MAX_REQS": str(self._capacity),
            "FCGI_MPXS_CONNS": "0",
        }
        asked = [name for name, _ in pairs(records.decode_pairs(content))]
        answer = records.encode_pairs((name, known[name]) for name in dict.fromkeys(asked) if name in known)
        self._events.append(Reply(records.encode_record(records.GET_VALUES_RESULT, 0, answer)))

    def _ignore(self, request_id: int, content: bytes) -> None:
        # Section 3.3: records of an id that is not active are ignored; whoever owns the socket bounds how
        # many.
        self.ignored += 8 + len(content)


_HANDLERS: dict[int, Callable[[ServerMachine, int, bytes], None]] = {
    records.BEGIN_REQUEST: ServerMachine._begin,
    records.ABORT_REQUEST: ServerMachine._abort,
    records.PARAMS: ServerMachine._more_params,
    records.STDIN: ServerMachine._stdin,
    records.DATA: ServerMachine._ignore,
    records.GET_VALUES: ServerMachine._get_values,
}


def _another(version: int) -> str:
    """What comes in its place, where its first byte tells."""
    if version == 0:
        return "fastcgi: this is uwsgi: in nginx, fastcgi_pass in place of uwsgi_pass, or protocol = uwsgi here"
    if 65 <= version <= 90:
        return "fastcgi: this is HTTP: in nginx, fastcgi_pass in place of proxy_pass, or protocol = http here"
    return f"fastcgi: version {version}: this is not FastCGI 1"
