"""FastCGI, the web server's side of one request: what doctor, the development front door and the tests speak.

It promises: records of at most 65535 bytes; events that do not depend on where the bytes are split; no more
than one record kept, whatever comes.
The other side is ``emperor.protocol.responder``. Source: FastCGI specification 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol import records

__all__ = ["ClientResponse", "End", "Event", "Stderr", "Stdout", "encode_begin", "encode_stdin"]


class Stdout(NamedTuple):
    data: bytes


class Stderr(NamedTuple):
    data: bytes


class End(NamedTuple):
    """``protocol_status`` 0 is REQUEST_COMPLETE (section 5.5)."""

    app_status: int
    protocol_status: int


Event = Union[Stdout, Stderr, End]


def encode_begin(params: Iterable[tuple[str, str]], keep: bool = False, request_id: int = 1) -> bytes:
    """BEGIN_REQUEST for a responder, and the whole PARAMS stream. Raises ``ProtocolError`` for text beyond
    latin-1.
    """
    flags = records.KEEP_CONN if keep else 0
    begin = records.BEGIN_BODY.pack(records.RESPONDER, flags)
    block = records.encode_pairs(params)
    return (
        records.encode_record(records.BEGIN_REQUEST, request_id, begin)
        + (records.encode_stream(records.PARAMS, request_id, block) if block else b"")
        + records.encode_record(records.PARAMS, request_id)
    )


def encode_stdin(data: bytes, request_id: int = 1) -> bytes:
    """A piece of the body; b"" ends the stream."""
    return records.encode_stream(records.STDIN, request_id, data)


class ClientResponse:
    """Reads what comes back for one request. Records of other requests and of management are skipped."""

    __slots__ = ("_ended", "_error", "_request_id", "_rest")

    def __init__(self, request_id: int = 1) -> None:
        self._request_id = request_id
        self._rest = b""
        self._ended = False
        self._error: Optional[ProtocolError] = None

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes, give events; ``End`` is the last, and what follows it is thrown away.

        Raises ``ProtocolError`` (502) for what is not FastCGI, once the events before it have been given.
        """
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        try:
            self._records(self._rest + data if self._rest else data, events)
        except ProtocolError as error:
            self._error, self._rest = error, b""
            if not events:
                raise
        return events

    def _records(self, data: bytes, events: list[Event]) -> None:
        position, size = 0, len(data)
        while size - position >= 8 and not self._ended:
            version, kind, request_id, length, padding = records.HEADER.unpack_from(data, position)
            if version != records.VERSION:
                raise _not_fastcgi(version)
            end = position + 8 + length
            if end + padding > size:
                break
            if request_id == self._request_id:
                events += self._event(kind, data[position + 8 : end])
                self._ended = kind == records.END_REQUEST
            position = end + padding
        self._rest = b"" if self._ended else data[position:]
        if self._rest and self._rest[0] != records.VERSION:
            raise _not_fastcgi(self._rest[0])

    @staticmethod
    def _event(kind: int, content: bytes) -> list[Event]:
        if kind == records.STDOUT and content:
            return [Stdout(content)]
        if kind == records.STDERR and content:
            return [Stderr(content)]
        if kind == records.END_REQUEST:
            if len(content) != 8:
                raise ProtocolError("fastcgi response: END_REQUEST is not 8 bytes", 502)
            return [End(*records.END_BODY.unpack(content))]
        return []


def _not_fastcgi(version: int) -> ProtocolError:
    return ProtocolError(f"fastcgi response: version {version}: cut short, or not FastCGI", 502)
