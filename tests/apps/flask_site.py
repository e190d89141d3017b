"""A Flask app with a link to itself, a redirect, a form and an upload."""

import hashlib
import os

from flask import Flask, jsonify, redirect, request, url_for

app = Flask(__name__)


@app.get("/")
def index():
    return "index at " + url_for("index")


@app.get("/who")
def who():
    return jsonify(uid=os.getuid(), script_name=request.script_root, path=request.path, here=url_for("who"))


@app.get("/old")
def old():
    return redirect(url_for("who"))


@app.post("/upload")
def upload():
    data = request.get_data()
    return jsonify(size=len(data), sha256=hashlib.sha256(data).hexdigest())


app.run()  # as many published modules have it, without a __main__ guard: importing it must not serve
