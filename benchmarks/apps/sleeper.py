"""Waits 10 ms, as for a database, and says hello."""

from __future__ import annotations

import time
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, world!\n"]
