"""FastCGI's record layer: numbers of the specification, records out of streams, name-value pairs.

It promises: no record longer than 65535 bytes; lengths big-endian; a length that lies is a ``ProtocolError``.
It knows no order of records: that is ``emperor.protocol.fastcgi``.
Source: FastCGI specification 1.0, sections 3.3 (records), 3.4 (name-value pairs), 4 and 5 (types), 8
(constants).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Optional, Union

from emperor.errors import ProtocolError
from emperor.protocol.params import MAX_PAIRS, Params, refuse

VERSION = 1
MAX_CONTENT = 65535

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11

RESPONDER = 1
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)

HEADER = struct.Struct(">BBHHBx")
"""version, type, request id, content length, padding length (section 3.3)."""
BEGIN_BODY = struct.Struct(">HB5x")
END_BODY = struct.Struct(">IB3x")

INVALID = bytes(8)
"""A record of version 0: no web server takes it, so that it cannot take a response cut short for a whole one.
"""


def encode_record(kind: int, request_id: int, content: bytes = b"") -> bytes:
    """One record without padding; at most ``MAX_CONTENT`` bytes (``struct.error`` beyond)."""
    return HEADER.pack(VERSION, kind, request_id, len(content), 0) + content


NO_VALUES = encode_record(GET_VALUES_RESULT, 0)
"""A management record (section 4.1) that says nothing."""


def encode_stream(kind: int, request_id: int, data: bytes) -> bytes:
    """All of ``data`` as records of one stream; b"" ends the stream (section 3.3, "stream record types")."""
    if len(data) <= MAX_CONTENT:
        return encode_record(kind, request_id, data)
    return b"".join(parts_of_stream(kind, request_id, data, MAX_CONTENT))


def parts_of_stream(kind: int, request_id: int, data: bytes, size: int) -> list[Union[bytes, memoryview]]:
    """The same, uncopied: a head, ``size`` bytes of content, and so on."""
    view = memoryview(data)
    parts: list[Union[bytes, memoryview]] = []
    for start in range(0, len(data), size):
        piece = view[start : start + size]
        parts += (HEADER.pack(VERSION, kind, request_id, len(piece), 0), piece)
    return parts


def encode_close(request_id: int) -> bytes:
    """What ends a response that is whole: the end of STDOUT (section 3.3) and END_REQUEST."""
    return encode_record(STDOUT, request_id) + encode_end(request_id)


def encode_end(request_id: int, app_status: int = 0, protocol_status: int = REQUEST_COMPLETE) -> bytes:
    """END_REQUEST (section 5.5)."""
    return encode_record(END_REQUEST, request_id, END_BODY.pack(app_status, protocol_status))


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Name-value pairs (section 3.4), latin-1. Raises ``ProtocolError`` for other text."""
    parts: list[bytes] = []
    try:
        for name, value in pairs:
            first, second = name.encode("latin-1"), value.encode("latin-1")
            parts += (_encode_length(len(first)), _encode_length(len(second)), first, second)
    except UnicodeEncodeError:
        raise ProtocolError("fastcgi: a parameter is not latin-1") from None
    return b"".join(parts)


def _encode_length(length: int) -> bytes:
    return bytes((length,)) if length < 128 else (length | 0x80000000).to_bytes(4, "big")


def decode_pairs(block: bytes, into: Optional[dict[str, Any]] = None) -> Params:
    """The pairs of a whole stream: one may lie across records. ``into``: see ``Params``. Raises ``ProtocolError`` for a
    length that does not fit.
    """
    text = block.decode("latin-1")
    fields: dict[str, Any] = {} if into is None else into
    before = len(fields)
    displaced: list[tuple[str, Any]] = []
    position, end = 0, len(block)
    try:
        while position < end:
            first, second = block[position], block[position + 1]
            start = position + 2
            if first > 127 or second > 127:
                first, start = _decode_length(block, position)
                second, start = _decode_length(block, start)
            middle = start + first
            position = middle + second
            name = text[start:middle]
            if name in fields:
                displaced.append((name, fields[name]))
            fields[name] = text[middle:position]
    except IndexError:
        position = -1
    # Lengths only move forwards: one that lies ends beyond the block, and nothing of it was more than a short
    # slice.
    if position != end:
        raise ProtocolError("fastcgi: the length of a parameter does not fit into the stream")
    if "" in fields or len(fields) - before + len(displaced) > MAX_PAIRS:
        raise refuse(fields)
    return fields, displaced


def _decode_length(block: bytes, position: int) -> tuple[int, int]:
    length = block[position]
    if length < 128:
        return length, position + 1
    return int.from_bytes(block[position : position + 4], "big") & 0x7FFFFFFF, position + 4
