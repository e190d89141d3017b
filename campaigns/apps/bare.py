"""The least that a WSGI app can do, and still tell who it is."""

from __future__ import annotations

import time

BEGUN = time.monotonic()

from collections.abc import Iterable  # noqa: E402 -- what is imported counts as import
from typing import Any  # noqa: E402 -- the same

from echo import answer  # type: ignore[import-not-found,unused-ignore]  # noqa: E402 -- it lies beside this file

VERSION = "1"
TOOK = time.monotonic() - BEGUN


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    text = answer(environ["PATH_INFO"], environ["wsgi.input"], BEGUN, TOOK, VERSION)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
