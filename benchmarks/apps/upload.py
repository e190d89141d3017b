"""Reads the body in pieces of 64 KiB; /hash answers its SHA-256, /count its length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    read = environ["wsgi.input"].read
    answer = (hashed if environ["PATH_INFO"] == "/hash" else counted)(read).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def hashed(read: Callable[[int], bytes]) -> str:
    state = hashlib.sha256()
    while piece := read(65536):
        state.update(piece)
    return state.hexdigest()


def counted(read: Callable[[int], bytes]) -> str:
    total = 0
    while piece := read(65536):
        total += len(piece)
    return str(total)
