"""FastCGI, the web server's side of one request: what doctor, the development front door and the tests speak.

It promises: records of at most 65535 bytes; events that do not depend on where the bytes are split.
The other side is ``emperor.protocol.responder``. Source: FastCGI specification 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Union

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

    __slots__ = ("_request_id", "_rest")

    def __init__(self, request_id: int = 1) -> None:
        self._request_id = request_id
        self._rest = b""

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes, give events; ``End`` is the last. Raises ``ProtocolError`` (502) for what is not
        FastCGI.
        """
        data = self._rest + data
        position, size = 0, len(data)
        events: list[Event] = []
        while size - position >= 8:
            version, kind, request_id, length, padding = records.HEADER.unpack_from(data, position)
            if version != records.VERSION:
                raise ProtocolError(f"fastcgi response: version {version}: cut short, or not FastCGI", 502)
            end = position + 8 + length
            if end + padding > size:
                break
            if request_id == self._request_id:
                events += self._event(kind, data[position + 8 : end])
            position = end + padding
        self._rest = data[position:]
        return events

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
