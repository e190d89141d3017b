"""A Flask app as people write them: links, redirects, a form, uploads, and its own pages for 404 and 500."""

import hashlib
import os

from flask import Flask, jsonify, redirect, request, url_for

app = Flask(__name__)


@app.get("/")
def index():
    return jsonify(here=url_for("index"), uid=os.getuid(), gid=os.getgid(), module=__name__, file=__file__)


@app.get("/pages/<name>")
def page(name):
    return jsonify(
        name=name,
        here=url_for("page", name=name),
        whole=url_for("page", name=name, _external=True),
        style=url_for("static", filename="style.css"),
        script_name=request.environ["SCRIPT_NAME"],
        path_info=request.environ["PATH_INFO"],
        query=request.query_string.decode(),
    )


@app.get("/entries/")
def entries():
    return jsonify(here=url_for("entries"))


@app.post("/sign")
def sign():
    return redirect(url_for("page", name=request.form["name"]), 303)


@app.post("/upload")
def upload():
    data = request.files["photo"].read()
    name = request.files["photo"].filename
    return jsonify(title=request.form["title"], name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


@app.get("/broken")
def broken():
    raise RuntimeError("the ink has run out")


@app.errorhandler(404)
def not_found(error):
    return "no such leaf in the guestbook", 404


@app.errorhandler(500)
def failed(error):
    return "the guestbook is closed: " + type(error.original_exception).__name__, 500
