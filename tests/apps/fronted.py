"""The guestbook, and pages that tell what of a request has reached it through a web server."""

import hashlib
import os
import time

from flask import Response, jsonify, request, stream_with_context, url_for
from guestbook import app

__all__ = ["app"]


@app.route("/seen/<path:rest>", methods=["GET", "POST", "PUT", "DELETE"])
def seen(rest):
    body = request.get_data()
    return jsonify(
        pid=os.getpid(),
        uid=os.getuid(),
        method=request.method,
        rest=rest,
        arguments=request.args,
        link=url_for("seen", rest=rest),
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        environ={key: value for key, value in request.environ.items() if isinstance(value, (str, bool))},
    )


@app.get("/stream")
def stream():
    """?GATE: one line, and the next one when the file GATE is there."""
    gate = request.query_string.decode()

    def lines():
        yield "first\n"
        while not os.path.exists(gate):
            time.sleep(0.01)
        yield "second\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/hold")
def hold():
    """?FOLDER: make FOLDER/PID, answer with the pid when FOLDER/go is there."""
    where = request.query_string.decode()
    open(f"{where}/{os.getpid()}", "w").close()
    while not os.path.exists(where + "/go"):
        time.sleep(0.01)
    return jsonify(pid=os.getpid())
