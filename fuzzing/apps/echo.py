"""Gives the body back, or says that it did not come; what an app sees of a damaged request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    try:
        body = environ["wsgi.input"].read()
    except OSError:
        body = b"(cut)"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", ascii(environ.get("PATH_INFO", "")))])
    return [body]
