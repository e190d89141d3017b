"""So many MiB as the query says: /generator yields blocks of 64 KiB, /file hands over a file of BENCH_FILES."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

BLOCK = bytes(range(256)) * 256


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    mebibytes = environ["QUERY_STRING"]
    size = int(mebibytes) << 20
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    if environ["PATH_INFO"] == "/file":
        file = open(os.path.join(os.environ["BENCH_FILES"], mebibytes), "rb")  # noqa: SIM115 -- the server is to close it
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 65536)
        return wrapped
    return blocks(size)


def blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // len(BLOCK)):
        yield BLOCK
