"""The smallest page that shows a deployment works: where it is mounted, who serves it, that a form arrives.

Try it:   make run, then http://127.0.0.1:8000/hello/   (vassals.d/hello.ini: over uwsgi)
By hand:  curl http://127.0.0.1:8000/hello/whoami

Nothing in here knows its address. ``url_for`` puts the prefix (SCRIPT_NAME) in front of every link, so the
same file works at ``/``, at ``/hello`` and wherever else a web server puts it. That is all an app has to do.
"""

from __future__ import annotations

import os
import sys

from flask import Flask, Response, jsonify, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response as BaseResponse

app = Flask(__name__)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>It works</title></head>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto">
<h1>It works</h1>
<p>This page comes from process {{ pid }}, which runs as user {{ uid }}.</p>
<p>The web server put it under <code>{{ prefix or "/" }}</code>. So these links carry that prefix:
   <a href="{{ url_for('index') }}">{{ url_for('index') }}</a>,
   <a href="{{ url_for('whoami') }}">{{ url_for('whoami') }}</a></p>
<form method="post" action="{{ url_for('greet') }}">
  <label>Your name: <input name="name" required></label> <button>Say hello</button>
</form>
{% if name %}<p id="greeting">Hello, {{ name }}!</p>{% endif %}
</body></html>
"""


@app.get("/")
def index() -> str:
    return render_template_string(
        PAGE,
        pid=os.getpid(),
        uid=os.getuid(),
        prefix=request.script_root,
        name=request.args.get("name", ""),
    )


@app.post("/greet")
def greet() -> BaseResponse:
    """A POST answers with a redirect, so that a reload of the page does not send the form again."""
    return redirect(url_for("index", name=request.form["name"]), code=303)


@app.get("/whoami")
def whoami() -> Response:
    return jsonify(
        uid=os.getuid(),
        gid=os.getgid(),
        groups=sorted(os.getgroups()),
        pid=os.getpid(),
        parent=os.getppid(),
        python=sys.version,
        prefix=sys.prefix,
        script_name=request.environ["SCRIPT_NAME"],
        path_info=request.environ["PATH_INFO"],
    )
