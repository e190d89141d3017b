"""An app factory, a blueprint, a streamed answer and an upload: what hello.py leaves out, over FastCGI.

Try it:   make run, then http://127.0.0.1:8000/greet/   (vassals.d/greet.ini)
By hand:  curl -N http://127.0.0.1:8000/greet/count/5          five lines, one every half second
          curl --data-binary @FILE http://127.0.0.1:8000/greet/sha256

The ini says ``module = greet:create_app()``: the parentheses make the server call it once, in the vassal,
before the workers are forked. What it builds is shared by all of them (copy on write).
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, current_app, jsonify, request, url_for
from markupsafe import escape

pages = Blueprint("pages", __name__)


def create_app() -> Flask:
    app = Flask(__name__)
    # The ini's ``env = GREETING=...`` arrives here as in any other program.
    app.config["GREETING"] = os.environ.get("GREETING", "Hello")
    app.register_blueprint(pages)
    return app


@pages.get("/")
def index() -> str:
    names = ("Ada", "Grace", "Margaret")
    links = "".join(f'<li><a href="{url_for("pages.greet", name=name)}">{escape(name)}</a></li>' for name in names)
    count = url_for("pages.count", until=5)
    whoami = url_for("pages.whoami")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Whom to greet?</title>'
        f"<h1>Whom to greet?</h1><ul>{links}</ul>"
        f'<p><a href="{count}">Count to five</a>, <a href="{whoami}">who am I?</a></p></html>'
    )


@pages.get("/to/<name>")
def greet(name: str) -> str:
    back = url_for("pages.index")
    greeting = escape(f"{current_app.config['GREETING']}, {name}!")
    return f'<!doctype html><meta charset="utf-8"><h1>{greeting}</h1><p><a href="{back}">back</a></p>'


@pages.get("/count/<int:until>")
def count(until: int) -> Response:
    """Each line leaves as soon as it is there: nobody on its way waits for the whole answer."""

    def lines() -> Iterator[str]:
        for number in range(1, min(until, 100) + 1):
            yield f"{number}\n"
            time.sleep(0.5)

    return Response(lines(), mimetype="text/plain")


@pages.post("/sha256")
def sha256() -> Response:
    """Reads the body in pieces: a file of any size passes through without being held in memory."""
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    return jsonify(sha256=digest.hexdigest(), size=size)


@pages.get("/whoami")
def whoami() -> Response:
    return jsonify(uid=os.getuid(), pid=os.getpid(), python=sys.version, protocol="fastcgi")
