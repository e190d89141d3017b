"""The same as a Flask app."""

from __future__ import annotations

import time

BEGUN = time.monotonic()

from echo import answer  # type: ignore[import-not-found,unused-ignore]  # noqa: E402 -- it lies beside this file
from flask import Flask, request  # noqa: E402 -- what is imported counts as import

application = Flask(__name__)
VERSION = "1"


@application.route("/<path:rest>", methods=["GET", "POST"])
def everything(rest: str) -> bytes:
    return bytes(answer(request.path, request.stream, BEGUN, TOOK, VERSION))


TOOK = time.monotonic() - BEGUN
