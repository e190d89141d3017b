"""The uwsgi packet: a four-byte head and a block of variables; the body follows on the same stream.

It promises: None while the packet is not whole, a value or ``ProtocolError`` otherwise, wherever the bytes
are split. It never lets a variable mean anything: ``UWSGI_*`` are strings like any other, and modifiers other
than 0 and 30 are refused. Source: the uwsgi protocol page of uWSGI's documentation; the response is plain CGI or
HTTP (``emperor.protocol.cgi``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Optional

from emperor.errors import ProtocolError
from emperor.protocol.params import MAX_PAIRS, Params, refuse

__all__ = ["encode_request", "parse_request"]

_HEAD = struct.Struct("<BHB")
_SIZE = struct.Struct("<H")

_SPLIT_PATH = 30
"""modifier1: as 0, and PATH_INFO still begins with SCRIPT_NAME (nginx: ``uwsgi_modifier1 30``). uWSGI documents that
it cuts that off; on Python 3 it forgets to."""


def parse_request(
    data: bytes, limit: int = 65536, into: Optional[dict[str, Any]] = None
) -> Optional[tuple[Params, int]]:
    """Read the packet at the front of ``data``: its variables and its size in bytes. None: more bytes are
    needed.

    ``limit``: the largest block of variables, in bytes. ``into``: see ``Params``. Raises
    ``ProtocolError``: 431 for a larger one, else 400.
    """
    # Nearly every request has 0 there.
    if data and data[0] and data[0] != _SPLIT_PATH:
        raise ProtocolError(_another(data))
    if len(data) < 4:
        return None
    size = data[1] | data[2] << 8
    if size > limit:
        raise ProtocolError(f"uwsgi packet: {size} bytes of variables, the limit (buffer-size) is {limit}", 431)
    end = 4 + size
    if len(data) < end:
        return None
    params = _variables(data, end, {} if into is None else into)
    if data[0]:
        _split_path(params[0])
    return params, end


def _another(data: bytes) -> str:
    """What comes in its place, where its first bytes tell."""
    if data[0] == 1 and data[1:2] in (b"", b"\x01"):
        return (
            "uwsgi packet: this is FastCGI: in nginx, uwsgi_pass in place of fastcgi_pass, or protocol = fastcgi here"
        )
    if 65 <= data[0] <= 90 and data[1:4].rstrip().isalpha():
        return "uwsgi packet: this is HTTP: in nginx, uwsgi_pass in place of proxy_pass, or protocol = http here"
    return f"uwsgi packet: modifier1 is {data[0]}, not 0: this is not a uwsgi request for WSGI"


def _variables(data: bytes, end: int, fields: dict[str, Any]) -> Params:
    # Decoded once and sliced, the head included, so that a position means the same in bytes and in text.
    text = data[:end].decode("latin-1")
    before = len(fields)
    displaced: list[tuple[str, Any]] = []
    position = 4
    try:
        # Nearly every length is below 256, and a test is cheaper than the arithmetic that it saves.
        while position < end:
            start = position + 2
            middle = start + data[position]
            if data[position + 1]:
                middle += data[position + 1] << 8
            position = middle + 2 + data[middle]
            if data[middle + 1]:
                position += data[middle + 1] << 8
            name = text[start:middle]
            if name in fields:
                displaced.append((name, fields[name]))
            fields[name] = text[middle + 2 : position]
    except IndexError:
        position = -1
    # Lengths only move forwards: one that lies ends beyond the block, and nothing of it was more than a short
    # slice.
    if position != end:
        raise ProtocolError("uwsgi packet: the length of a variable does not fit into the packet")
    if "" in fields or len(fields) - before + len(displaced) > MAX_PAIRS:
        raise refuse(fields)
    return fields, displaced


def _split_path(fields: dict[str, Any]) -> None:
    script, path = fields.get("SCRIPT_NAME", "").rstrip("/"), fields.get("PATH_INFO", "")
    if script and (path == script or path.startswith(f"{script}/")):
        fields["PATH_INFO"] = path[len(script) :]


def encode_request(params: Iterable[tuple[str, str]]) -> bytes:
    """The packet for these variables, modifiers 0; the body is to follow.

    Raises ``ProtocolError`` when name, value or all of them need more than 65535 bytes, or are not latin-1.
    """
    block = bytearray()
    try:
        for name, value in params:
            for text in (name, value):
                encoded = text.encode("latin-1")
                block += _SIZE.pack(len(encoded)) + encoded
        return _HEAD.pack(0, len(block), 0) + bytes(block)
    except struct.error:
        raise ProtocolError("uwsgi packet: more than 65535 bytes of variables", 431) from None
    except UnicodeEncodeError:
        raise ProtocolError("uwsgi packet: a variable is not latin-1") from None
