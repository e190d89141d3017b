"""An app that prints newlines as fast as it can: ``FLOOD=import`` until $STOP is there, ``FLOOD=worker`` for good."""

import os
import threading

NEWLINES = b"\n" * 65536


def flood():
    while not os.path.exists(os.environ["STOP"]):
        os.write(1, NEWLINES)


if os.environ["FLOOD"] == "import":
    flood()


def application(environ, start_response):
    threading.Thread(target=flood, daemon=True).start()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"flooding"]
